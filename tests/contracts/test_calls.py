"""What is told of calls of providers: counts, times, open circuits, a line in the log; never a word of what was said."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from config.telemetry import counters
from config.telemetry.measures import CIRCUITS_OPEN, PROVIDER_CALLS, PROVIDER_SECONDS
from domain.errors import JobError, Permanent, Transient
from providers.calls import Calling
from providers.circuits import FAILURES_TO_OPEN, process_circuits
from providers.llm import Account, CompletionRequest, Message, completion_provider
from providers.payments.stripe import StripePaymentProvider
from tests.contracts.llm_double import LlmDouble, llm_double

REQUEST = CompletionRequest("some-model", (Message("user", "A private question"),), 64, "job-1")


@pytest.fixture(autouse=True)
def _nothing_counted() -> Iterator[None]:
    counters.take()
    yield
    counters.take()


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What is logged."""
    handler = logging.getLogger().handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    before, written = handler.stream, io.StringIO()
    handler.setStream(written)
    yield written
    handler.setStream(before)


@pytest.fixture
def models() -> Iterator[LlmDouble]:
    with llm_double() as running:
        yield running


def counted() -> dict[tuple[str, ...], float]:
    """Calls by provider, operation and outcome; the times are as many."""
    taken = counters.take()
    calls = {labels: each.total for (name, labels), each in taken.items() if name == PROVIDER_CALLS.name}
    timed = sum(each.count for (name, _), each in taken.items() if name == PROVIDER_SECONDS.name)
    assert timed == sum(calls.values())
    return calls


def test_calls_of_models_are_counted_by_what_came_of_them_and_logged_with_the_ids_of_their_job(
    models: LlmDouble, log: io.StringIO
) -> None:
    provider = completion_provider(Account("openai", "sk-secret", f"{models.url}/v1"))
    models.script[:] = ["ok", "529", "401"]
    with structlog.contextvars.bound_contextvars(job_id="some-job"):
        provider.complete(REQUEST)
        for error in (Transient, Permanent):
            with pytest.raises(error):
                provider.complete(REQUEST)
    assert counted() == {
        ("openai", "complete", "ok"): 1, ("openai", "complete", "provider_unavailable"): 1,
        ("openai", "complete", "provider_unauthorized"): 1,
    }  # fmt: skip
    lines = [json.loads(line) for line in log.getvalue().splitlines() if "provider.call" in line]
    assert [(line["outcome"], line["level"], line["job_id"]) for line in lines] == [
        ("ok", "info", "some-job"), ("provider_unavailable", "warning", "some-job"), ("provider_unauthorized", "warning", "some-job"),
    ]  # fmt: skip
    assert all(line["duration_ms"] >= 0 for line in lines)
    assert "private" not in log.getvalue()
    assert "sk-secret" not in log.getvalue()


def test_an_open_circuit_is_told_and_what_it_refuses_is_counted(models: LlmDouble) -> None:
    account = Account("openai", "sk-other", f"{models.url}/v1")
    models.script[:] = ["529"] * 20
    for _ in range(FAILURES_TO_OPEN + 2):
        with pytest.raises(JobError):
            completion_provider(account).complete(REQUEST)
    assert counted()["openai", "complete", "provider_circuit_open"] == 2
    assert (CIRCUITS_OPEN.name, ("openai",), 1.0) in counters.gauges()


def test_circuits_of_message_accounts_are_told_by_type_and_those_of_tenants_together() -> None:
    process_circuits.cache_clear()
    for name in ("platform:smtp:abc", "own:1", "own:2"):
        for _ in range(FAILURES_TO_OPEN):
            process_circuits().get(name).note(Transient("away"))
    found = {labels: value for name, labels, value in counters.gauges() if name == CIRCUITS_OPEN.name}
    assert (found["smtp",], found["tenant_account",]) == (1, 2)
    process_circuits.cache_clear()


def test_a_payment_provider_that_cannot_be_reached_is_counted_under_the_method() -> None:
    provider = StripePaymentProvider(api_key="sk_test", api_base="http://127.0.0.1:9", timeout=1.0)
    with pytest.raises(Transient):
        provider.detach("pm_1", "key")
    assert counted() == {("stripe", "payment_methods.detach", "provider_unreachable"): 1}


def test_an_answer_that_is_no_success_can_say_so_and_a_bug_is_one(log: io.StringIO) -> None:
    with Calling("webhook", "deliver") as calling:
        calling.failed("http_500")
    with pytest.raises(ZeroDivisionError), Calling("webhook", "deliver", quiet=True):
        _ = 1 / 0
    assert counted() == {("webhook", "deliver", "http_500"): 1, ("webhook", "deliver", "handler_bug"): 1}
    assert [json.loads(line)["outcome"] for line in log.getvalue().splitlines()] == ["http_500"]


def test_who_wants_no_metrics_is_not_counted_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "_recording", False)
    with Calling("webhook", "deliver"):
        pass
    assert counters.take() == {}
