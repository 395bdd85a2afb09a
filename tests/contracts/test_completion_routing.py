"""Which completion provider a name leads to, its circuit breaker, and what an answer costs."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime

import pytest
from pytest_httpserver import HTTPServer

from domain.errors import JobError, Permanent, RateLimited, Transient
from providers.llm import Account, Usage, completion_provider, cost_micros
from providers.llm.base import CompletionProvider, CompletionRequest, CompletionResponse, Message
from providers.llm.breaker import FAILURES_TO_OPEN, Circuits, GuardedCompletionProvider
from providers.llm.sandbox import SandboxCompletionProvider
from tests.contracts.completion_doubles import KEY, OPENAI

REQUEST = CompletionRequest("gpt-5-mini", (Message("user", "Hi"),), 16, "job-1")
SERVER_ERROR = {"error": {"message": "Oops", "type": "server_error"}}


# --- registry


@pytest.mark.parametrize(
    ("name", "base_url"),
    [("openai", None), ("anthropic", None), ("openai_compatible", "http://127.0.0.1:1/v1"), ("sandbox", None)],
)
def test_every_registered_name_leads_to_the_provider_of_that_name(name: str, base_url: str | None) -> None:
    assert completion_provider(Account(name, KEY, base_url)).name == name


@pytest.mark.parametrize(
    ("name", "key", "base_url", "code"),
    [
        ("litellm", KEY, None, "provider_not_supported"),
        ("openai", "", None, "provider_misconfigured"),
        ("anthropic", "", None, "provider_misconfigured"),
        ("openai_compatible", KEY, None, "provider_misconfigured"),
    ],
)
def test_a_provider_that_could_never_answer_is_refused(name: str, key: str, base_url: str | None, code: str) -> None:
    with pytest.raises(Permanent) as raised:
        completion_provider(Account(name, key, base_url))

    assert raised.value.job_code == code


def test_a_registered_provider_answers_through_its_breaker(httpserver: HTTPServer) -> None:
    httpserver.expect_request(OPENAI.path).respond_with_json(OPENAI.answer)

    response = completion_provider(Account("openai", KEY, httpserver.url_for("/v1"))).complete(REQUEST)

    assert (response.text, response.provider) == ("Hello, Ada.", "openai")


# --- the circuit breaker


def guarded(server: HTTPServer, circuits: Circuits, key: str = KEY) -> GuardedCompletionProvider:
    url = server.url_for("").rstrip("/")
    return GuardedCompletionProvider(OPENAI.provider(url), circuits.get(Account("openai", key, url)))


def fail(provider: CompletionProvider, times: int) -> list[JobError]:
    errors = []
    for _ in range(times):
        with pytest.raises(JobError) as raised:
            provider.complete(REQUEST)
        errors.append(raised.value)
    return errors


def test_a_provider_that_keeps_failing_is_left_alone(httpserver: HTTPServer) -> None:
    httpserver.expect_request(OPENAI.path).respond_with_json(SERVER_ERROR, status=500)
    provider = guarded(httpserver, Circuits(seconds_open=60.0))

    *failures, refused = fail(provider, FAILURES_TO_OPEN + 1)

    assert {error.job_code for error in failures} == {"provider_unavailable"}
    assert refused.job_code == "provider_circuit_open"
    assert isinstance(refused, Transient)
    assert refused.retry_after is not None
    assert 50 < refused.retry_after <= 60
    assert len(httpserver.log) == FAILURES_TO_OPEN


def test_after_a_while_one_success_closes_the_circuit(httpserver: HTTPServer) -> None:
    for _ in range(FAILURES_TO_OPEN):
        httpserver.expect_oneshot_request(OPENAI.path).respond_with_json(SERVER_ERROR, status=500)
    httpserver.expect_request(OPENAI.path).respond_with_json(OPENAI.answer)
    provider = guarded(httpserver, Circuits(seconds_open=0.2))
    fail(provider, FAILURES_TO_OPEN + 1)

    time.sleep(0.25)

    assert [provider.complete(REQUEST).text for _ in range(2)] == ["Hello, Ada."] * 2


def test_after_a_while_one_failure_opens_it_again(httpserver: HTTPServer) -> None:
    httpserver.expect_request(OPENAI.path).respond_with_json(SERVER_ERROR, status=500)
    provider = guarded(httpserver, Circuits(seconds_open=0.2))
    fail(provider, FAILURES_TO_OPEN)
    time.sleep(0.25)

    trial, refused = fail(provider, 2)

    assert (trial.job_code, refused.job_code) == ("provider_unavailable", "provider_circuit_open")


@pytest.mark.parametrize(("status", "kind"), [(429, RateLimited), (400, Permanent), (401, Permanent)])
def test_a_refusal_shows_that_the_provider_lives(httpserver: HTTPServer, status: int, kind: type[JobError]) -> None:
    httpserver.expect_request(OPENAI.path).respond_with_json(SERVER_ERROR, status=status)
    provider = guarded(httpserver, Circuits(seconds_open=60.0))

    errors = fail(provider, 2 * FAILURES_TO_OPEN)

    assert {type(error) for error in errors} == {kind}


def test_one_keys_open_circuit_is_not_anothers(httpserver: HTTPServer) -> None:
    httpserver.expect_request(OPENAI.path).respond_with_json(SERVER_ERROR, status=500)
    circuits = Circuits(seconds_open=60.0)
    fail(guarded(httpserver, circuits), FAILURES_TO_OPEN + 1)

    (error,) = fail(guarded(httpserver, circuits, key="another"), 1)

    assert error.job_code == "provider_unavailable"


def test_one_address_open_circuit_is_not_anothers() -> None:
    circuits = Circuits()

    assert circuits.get(Account("openai_compatible", base_url="http://a")) is not circuits.get(
        Account("openai_compatible", base_url="http://b")
    )
    assert circuits.get(Account("openai_compatible", base_url="http://a")) is circuits.get(
        Account("openai_compatible", base_url="http://a")
    )


class _Meeting:
    """A provider whose calls wait for each other."""

    name = "sandbox"

    def __init__(self, calls: int):
        self._barrier = threading.Barrier(calls)

    def complete(self, request: CompletionRequest) -> CompletionResponse:
        self._barrier.wait(timeout=5)
        return SandboxCompletionProvider().complete(request)

    def close(self) -> None:
        pass


def test_calls_through_one_circuit_run_side_by_side() -> None:
    provider = GuardedCompletionProvider(_Meeting(4), Circuits().get(Account("sandbox")))
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(provider.complete(REQUEST).text)) for _ in range(4)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert len(answers) == 4


# --- prices

AT = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_known_model_has_a_price_and_the_prices_a_version() -> None:
    micros, version = cost_micros("openai", "gpt-4o-mini", Usage(1_000_000, 0, 1_000_000, "reported"), AT)

    assert micros == 150_000 + 600_000
    assert version.startswith("genai-prices ")


def test_cached_input_is_cheaper_and_not_counted_twice() -> None:
    fresh, _ = cost_micros("anthropic", "claude-haiku-4-5", Usage(1_000_000, 0, 0, "reported"), AT)
    cached, _ = cost_micros("anthropic", "claude-haiku-4-5", Usage(1_000_000, 1_000_000, 0, "reported"), AT)

    assert (fresh, cached) == (1_000_000, 100_000)


def test_the_least_use_costs_at_least_a_micro() -> None:
    assert cost_micros("openai", "gpt-4o-mini", Usage(1, 0, 0, "reported"), AT)[0] == 1


@pytest.mark.parametrize(
    ("provider", "model"),
    [("openai", "no-such-model"), ("openai_compatible", "gpt-4o-mini"), ("nobody", "gpt-4o-mini")],
)
def test_what_has_no_known_price_is_not_called_free(provider: str, model: str) -> None:
    assert cost_micros(provider, model, Usage(10, 0, 10, "reported"), AT)[0] is None


def test_the_sandbox_is_free() -> None:
    assert cost_micros("sandbox", "sandbox", Usage(10, 0, 10, "estimated")) == (0, "sandbox")
