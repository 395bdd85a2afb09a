"""Completion providers: one contract for every vendor and the sandbox, and each vendor's own words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from domain.errors import JobError, Permanent, RateLimited, Transient
from providers.llm.base import CompletionProvider, CompletionRequest, Message, Usage
from providers.llm.sandbox import SandboxCompletionProvider
from tests.contracts.completion_doubles import ANTHROPIC, COMPATIBLE, KEY, OPENAI, VENDORS, Vendor

REQUEST = CompletionRequest(
    model="some-model",
    messages=(Message("system", "Be brief."), Message("user", "Greet Ada.")),
    max_tokens=64,
    idempotency_key="job-1",
)
REPORTED = Usage(input_tokens=100, cached_input_tokens=40, output_tokens=7, source="reported")


@pytest.fixture(params=VENDORS, ids=lambda vendor: vendor.name)
def vendor(request: pytest.FixtureRequest) -> Vendor:
    found: Vendor = request.param
    return found


@pytest.fixture
def double(httpserver: HTTPServer) -> Iterator[HTTPServer]:
    """The vendor's server. Every request to it must have been expected."""
    yield httpserver
    httpserver.check_assertions()


def url_of(server: HTTPServer) -> str:
    return server.url_for("").rstrip("/")


def answering(
    server: HTTPServer, vendor: Vendor, answer: object, status: int = 200, **headers: str
) -> CompletionProvider:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    server.expect_request(vendor.path, method="POST").respond_with_json(answer, status=status, headers=named)
    return vendor.provider(url_of(server))


def failing(provider: CompletionProvider, request: CompletionRequest = REQUEST) -> JobError:
    with pytest.raises(JobError) as raised:
        provider.complete(request)
    assert KEY not in raised.value.detail
    return raised.value


def sent(server: HTTPServer) -> tuple[dict[str, Any], dict[str, str]]:
    ((request, _),) = server.log
    return json.loads(request.get_data()), {name.lower(): value for name, value in request.headers.items()}


# --- the contract


@pytest.fixture(params=["openai", "openai_compatible", "anthropic", "sandbox"])
def any_provider(request: pytest.FixtureRequest, httpserver: HTTPServer) -> CompletionProvider:
    if request.param == "sandbox":
        return SandboxCompletionProvider()
    vendor = next(vendor for vendor in VENDORS if vendor.name == request.param)
    return answering(httpserver, vendor, vendor.answer)


def test_an_answer_has_text_usage_and_an_id_and_says_who_gave_it(any_provider: CompletionProvider) -> None:
    response = any_provider.complete(REQUEST)

    assert response.provider == any_provider.name
    assert response.text
    assert response.model
    assert response.response_id
    assert response.finish_reason == "stop"
    assert response.usage.input_tokens >= response.usage.cached_input_tokens >= 0
    assert response.usage.input_tokens > 0
    assert response.usage.output_tokens > 0


def test_only_the_sandbox_calls_itself_one_and_estimates(any_provider: CompletionProvider) -> None:
    response = any_provider.complete(REQUEST)

    assert response.sandbox == (any_provider.name == "sandbox")
    assert response.usage.source == ("estimated" if response.sandbox else "reported")
    assert ("sandbox" in response.text) == response.sandbox


def test_the_same_request_may_be_made_again(any_provider: CompletionProvider) -> None:
    assert any_provider.complete(REQUEST) == any_provider.complete(REQUEST)


# --- every vendor


def test_usage_is_the_total_with_the_cached_part_apart(double: HTTPServer, vendor: Vendor) -> None:
    response = answering(double, vendor, vendor.answer).complete(REQUEST)

    assert response.text == "Hello, Ada."
    assert response.usage == REPORTED
    assert response.model == vendor.answer["model"]


def test_an_answer_without_usage_is_estimated(double: HTTPServer, vendor: Vendor) -> None:
    answer = {name: value for name, value in vendor.answer.items() if name != "usage"}

    usage = answering(double, vendor, answer).complete(REQUEST).usage

    assert usage.source == "estimated"
    assert usage.output_tokens == 3
    assert usage.input_tokens > 0


def test_the_request_carries_model_limit_and_key_and_no_temperature(double: HTTPServer, vendor: Vendor) -> None:
    answering(double, vendor, vendor.answer).complete(REQUEST)

    body, headers = sent(double)
    assert body["model"] == "some-model"
    assert KEY in headers.get("authorization", "") + headers.get("x-api-key", "")
    assert "temperature" not in body
    assert 64 in (body.get("max_tokens"), body.get("max_completion_tokens"))


def test_a_temperature_that_was_asked_for_is_sent(double: HTTPServer, vendor: Vendor) -> None:
    answering(double, vendor, vendor.answer).complete(replace(REQUEST, temperature=0.0))

    assert sent(double)[0]["temperature"] == 0.0


@pytest.mark.parametrize(
    ("headers", "wait"),
    [({}, None), ({"Retry_After": "7"}, 7.0), ({"retry_after_ms": "1500"}, 1.5), ({"Retry_After": "-3"}, 0.0)],
)
def test_a_rate_limit_is_retried_after_the_wait_it_asks_for(
    double: HTTPServer, vendor: Vendor, headers: dict[str, str], wait: float | None
) -> None:
    provider = answering(double, vendor, vendor.error("rate_limit_error", "Slow down"), 429, **headers)

    error = failing(provider)

    assert isinstance(error, RateLimited)
    assert error.retry_after == wait


def test_nothing_is_retried_here(double: HTTPServer, vendor: Vendor) -> None:
    failing(answering(double, vendor, vendor.error("server_error", "Oops"), 500))

    assert len(double.log) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504, 529, 408])
def test_a_server_in_trouble_may_recover(double: HTTPServer, vendor: Vendor, status: int) -> None:
    error = failing(answering(double, vendor, vendor.error("overloaded_error", "Overloaded"), status))

    assert type(error) is Transient
    assert error.job_code == "provider_unavailable"


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_permanent(double: HTTPServer, vendor: Vendor, status: int) -> None:
    provider = answering(double, vendor, vendor.error("authentication_error", f"Incorrect key: {KEY}"), status)

    error = failing(provider)

    assert type(error) is Permanent
    assert error.job_code == "provider_unauthorized"


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_a_refused_request_is_permanent_and_says_why(double: HTTPServer, vendor: Vendor, status: int) -> None:
    provider = answering(double, vendor, vendor.error("invalid_request_error", f"No such model for {KEY}"), status)

    error = failing(provider)

    assert type(error) is Permanent
    assert error.job_code == "provider_rejected"
    assert "No such model" in error.detail


def test_a_redirect_is_not_followed(double: HTTPServer, vendor: Vendor) -> None:
    double.expect_request(vendor.path).respond_with_response(Response(status=307, headers={"Location": "/elsewhere"}))

    error = failing(vendor.provider(url_of(double)))

    assert error.job_code == "provider_rejected"
    assert len(double.log) == 1


def test_silence_is_a_timeout(silent_server: str, vendor: Vendor) -> None:
    error = failing(vendor.provider(silent_server), replace(REQUEST, timeout=0.2))

    assert type(error) is Transient
    assert error.job_code == "provider_timeout"


def test_a_reset_connection_may_work_later(resetting_server: str, vendor: Vendor) -> None:
    error = failing(vendor.provider(resetting_server))

    assert type(error) is Transient
    assert error.job_code == "provider_unreachable"


def test_a_refused_connection_may_work_later(closed_port: int, vendor: Vendor) -> None:
    error = failing(vendor.provider(f"http://127.0.0.1:{closed_port}"))

    assert type(error) is Transient
    assert error.job_code == "provider_unreachable"


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"<html>a gateway speaks</html>", b"[]", b"null", b'"text"', b"{}", b"\xff\xfe", b"[" * 100_000],
)
@pytest.mark.parametrize("content_type", ["application/json", "text/html"])
def test_an_answer_that_cannot_be_read_may_be_better_later(
    double: HTTPServer, vendor: Vendor, content: bytes, content_type: str
) -> None:
    double.expect_request(vendor.path).respond_with_data(content, content_type=content_type)

    error = failing(vendor.provider(url_of(double)))

    assert type(error) is Transient
    assert error.job_code == "provider_malformed_response"


@pytest.mark.parametrize(
    "broken",
    [
        {"choices": [], "content": None},
        {"choices": None, "content": "text"},
        {"choices": ["text"], "content": ["text"]},
        {"choices": [{"message": {"content": 5}}], "content": [{"type": "text", "text": 5}]},
        {"usage": {"prompt_tokens": "many", "input_tokens": "many"}},
        {"usage": {"completion_tokens": -1, "output_tokens": -1}},
        {"usage": []},
        {"model": 5},
        {"id": 5},
    ],
)
def test_an_answer_of_another_shape_is_not_half_believed(
    double: HTTPServer, vendor: Vendor, broken: dict[str, object]
) -> None:
    error = failing(answering(double, vendor, {**vendor.answer, **broken}))

    assert error.job_code == "provider_malformed_response"


# --- OpenAI


@pytest.mark.parametrize("code", ["insufficient_quota", "billing_hard_limit_reached"])
def test_openais_spent_quota_is_permanent_although_it_is_429(double: HTTPServer, code: str) -> None:
    error = failing(answering(double, OPENAI, OPENAI.error(code, "You exceeded your quota"), 429, Retry_After="1"))

    assert type(error) is Permanent
    assert error.job_code == "provider_quota_exhausted"


def test_openai_gets_the_jobs_key_and_the_newer_name_of_the_limit(double: HTTPServer) -> None:
    answering(double, OPENAI, OPENAI.answer).complete(REQUEST)

    body, headers = sent(double)
    assert headers["idempotency-key"] == "job-1"
    assert body["max_completion_tokens"] == 64
    assert "max_tokens" not in body
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}


def test_compatible_servers_get_the_older_name_of_the_limit(double: HTTPServer) -> None:
    answering(double, COMPATIBLE, COMPATIBLE.answer).complete(REQUEST)

    body, _ = sent(double)
    assert body["max_tokens"] == 64
    assert "max_completion_tokens" not in body


def test_a_tenants_call_does_not_carry_the_operators_organization(
    double: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-operator")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-operator")
    answering(double, OPENAI, OPENAI.answer).complete(REQUEST)

    assert "operator" not in str(sent(double)[1])


def test_a_server_that_needs_no_key_gets_none_of_the_operators(
    double: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-operator")
    double.expect_request(COMPATIBLE.path).respond_with_json(COMPATIBLE.answer)
    from providers.llm.openai import OpenAICompletionProvider

    provider = OpenAICompletionProvider("openai_compatible", api_key="", base_url=f"{url_of(double)}/v1")
    provider.complete(REQUEST)

    assert "sk-operator" not in str(sent(double)[1])


def test_openais_refusal_is_the_text(double: HTTPServer) -> None:
    message = {"role": "assistant", "content": None, "refusal": "I cannot."}
    answer = {**OPENAI.answer, "choices": [{"index": 0, "finish_reason": "stop", "message": message}]}

    assert answering(double, OPENAI, answer).complete(REQUEST).text == "I cannot."


# --- Anthropic


def test_anthropic_gets_the_system_prompt_apart(double: HTTPServer) -> None:
    answering(double, ANTHROPIC, ANTHROPIC.answer).complete(REQUEST)

    body, headers = sent(double)
    assert body["system"] == "Be brief."
    assert body["messages"] == [{"role": "user", "content": "Greet Ada."}]
    assert headers["anthropic-version"]


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (402, ANTHROPIC.error("billing_error", "Payment required")),
        (400, ANTHROPIC.error("invalid_request_error", "Your credit balance is too low to access the Anthropic API.")),
        (
            429,
            {
                "type": "error",
                "error": {
                    "type": "rate_limit_error",
                    "message": "Limit reached",
                    "details": {"error_code": "enforced_spend_limit_reached"},
                },
            },
        ),
    ],
)
def test_anthropics_spent_credit_is_permanent(double: HTTPServer, status: int, answer: dict[str, Any]) -> None:
    error = failing(answering(double, ANTHROPIC, answer, status))

    assert type(error) is Permanent
    assert error.job_code == "provider_quota_exhausted"


def test_anthropics_ramp_limit_is_a_rate(double: HTTPServer) -> None:
    details = {"error_code": "ramp_limit_exceeded"}
    answer = {"type": "error", "error": {"type": "rate_limit_error", "message": "Too fast", "details": details}}

    error = failing(answering(double, ANTHROPIC, answer, 429, Retry_After="30"))

    assert isinstance(error, RateLimited)
    assert error.retry_after == 30.0


@pytest.mark.parametrize(
    ("word", "reason"),
    [("max_tokens", "length"), ("stop_sequence", "stop"), ("refusal", "content_filter"), ("pause_turn", "pause_turn")],
)
def test_anthropics_stop_reasons_get_the_common_names(double: HTTPServer, word: str, reason: str) -> None:
    answer = {**ANTHROPIC.answer, "stop_reason": word}

    assert answering(double, ANTHROPIC, answer).complete(REQUEST).finish_reason == reason


# --- the sandbox


def test_the_sandbox_keeps_to_the_limit_behind_its_label() -> None:
    request = replace(REQUEST, messages=(Message("user", "ä" * 10_000),), max_tokens=10)

    response = SandboxCompletionProvider().complete(request)

    assert response.finish_reason == "length"
    assert len(response.text) < 120


def test_the_sandbox_answers_different_questions_differently() -> None:
    other = replace(REQUEST, messages=(Message("user", "Greet Grace."),))

    first, second = SandboxCompletionProvider().complete(REQUEST), SandboxCompletionProvider().complete(other)

    assert first.text != second.text
    assert first.response_id != second.response_id
