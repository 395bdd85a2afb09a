"""Targets one after another, budgets, limits and prices: what is asked of whom, and that the ledger is right about it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from domain.completions.config import LlmConfig
from domain.completions.routing import Target
from domain.errors import Cancelled, JobError, NotNow, Permanent, RateLimited, Transient
from domain.ids import new_id
from jobs.context import JobContext
from models.tenant import ApiCallLog, LlmBudget, LlmOpenCall, LlmPrice
from providers.llm import Usage, cost_micros
from tasks import ledger, own_prices
from tasks.completions import complete, create, verify
from tasks.embeddings import embed
from tests.contracts.llm_double import WORDS, LlmDouble, llm_double
from tests.integration.tasks.conftest import next_attempt

ASK = {
    "messages": [{"role": "user", "content": "When does the harbour open?"}],
    "model": "gpt-5-mini",
    "max_tokens": 50,
}
QUESTION = ASK["messages"]


@pytest.fixture
def double() -> Iterator[LlmDouble]:
    with llm_double() as running:
        yield running


@pytest.fixture
def asked(
    make_context: Callable[..., Any], pooled_tenant: UUID, under: Callable[..., JobContext], double: LlmDouble
) -> tuple[JobContext, Mapping[str, Any]]:
    """A claimed completion on a platform with accounts at both vendors, which are the double."""
    context, payload = make_context("completion.create", pooled_tenant, ASK)
    served = under(
        context, openai_api_key=SecretStr(f"sk-{new_id()}"), openai_base_url=f"{double.url}/v1",
        anthropic_api_key=SecretStr("sk-ant"), anthropic_base_url=double.url, llm_private_networks="127.0.0.0/8",
    )  # fmt: skip
    return served, payload


def choose(context: JobContext, *targets: Target, **limits: int) -> None:
    """What `PUT /llm/config` keeps."""
    tenancy, tenant_id = context.tenancy, context.tenant_id
    kept = json.dumps(LlmConfig(targets, **limits).kept()).encode()
    sealed = tenancy.vault(tenant_id).seal(kept, "tenants", "llm_config_sealed", tenant_id)
    tenancy.platform.fetch(
        "UPDATE tenants SET llm_config_sealed = %(sealed)s WHERE id = %(id)s", {"sealed": sealed, "id": tenant_id}
    )
    tenancy.directory.forget(tenant_id)


def calls(context: JobContext) -> list[ApiCallLog]:
    with context.session() as session:
        return list(session.scalars(select(ApiCallLog).order_by(ApiCallLog.id)))


def budget(context: JobContext, limit: int, **values: Any) -> UUID:
    identity = new_id()
    with context.session() as session:
        session.add(
            LlmBudget(
                tenant_id=context.tenant_id, id=identity, name="b", period=values.pop("period", "total"),
                limit_micros=limit, **values,
            )
        )  # fmt: skip
    return identity


def state_of(context: JobContext, budget_id: UUID) -> tuple[int, int]:
    with context.session() as session:
        row = session.get_one(LlmBudget, (context.tenant_id, budget_id))
        return row.spent_micros, row.reserved_micros


def other_job(context: JobContext) -> JobContext:
    return replace(context, job_id=new_id(), token=new_id())


COST = cost_micros("openai", "gpt-5-mini", Usage(15, 4, len(WORDS), "reported"))[0]


# --- who serves


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("step", ["529", "429", "429-after", "401", "spent", "no-model"])
def test_the_next_target_serves_what_the_first_could_not_and_the_answer_shows_it(
    asked: tuple[JobContext, Mapping[str, Any]], double: LlmDouble, step: str, stream: bool
) -> None:
    context, payload = asked
    choose(context, Target("openai", api_key="sk-own"), Target("nexus", model="claude-haiku-4-5"))
    double.script = [step]

    result = create(context, {**payload, "stream": stream})

    assert (result["provider"], result["key_source"], result["fallback_from"]) == (
        "anthropic", "platform", "openai/gpt-5-mini",
    )  # fmt: skip
    first, second = calls(context)
    assert (first.key_source, first.fallback_from, first.cost_micros) == ("tenant", None, None)
    assert first.error_code is not None
    assert (second.key_source, second.fallback_from, second.error_code) == ("platform", "openai/gpt-5-mini", None)
    assert (second.attempt, second.principal) == (2, context.principal.subject)


@pytest.mark.parametrize("step", ["529", "401", "spent"])
def test_the_platforms_key_is_not_used_without_the_tenants_leave(
    asked: tuple[JobContext, Mapping[str, Any]], double: LlmDouble, step: str
) -> None:
    context, payload = asked
    choose(context, Target("openai", api_key="sk-own"), Target("anthropic", api_key="sk-ant-own"))
    double.script = [step, step]

    with pytest.raises(JobError):
        create(context, payload)

    sent = [headers.get("x-api-key") or headers.get("authorization") for _, headers, _ in double.requests]
    assert [(key or "").removeprefix("Bearer ") for key in sent] == ["sk-own", "sk-ant-own"]


def test_what_is_wrong_with_the_request_is_asked_of_nobody_else(
    asked: tuple[JobContext, Mapping[str, Any]], double: LlmDouble
) -> None:
    context, payload = asked
    choose(context, Target("openai", api_key="sk-own"), Target("nexus"))
    double.script = ["too-long"]

    with pytest.raises(Permanent) as raised:
        create(context, payload)

    assert raised.value.job_code == "context_window_exceeded"
    assert len(double.requests) == 1


def test_a_failure_that_passes_counts_more_than_one_that_does_not(
    asked: tuple[JobContext, Mapping[str, Any]], double: LlmDouble
) -> None:
    context, payload = asked
    choose(context, Target("openai", api_key="sk-own"), Target("anthropic", api_key="sk-bad"))
    double.script = ["429-after", "401"]

    with pytest.raises(RateLimited) as raised:
        create(context, payload)

    assert raised.value.retry_after == 7.0


def test_after_its_first_word_a_stream_is_not_gone_on_with_by_another(
    asked: tuple[JobContext, Mapping[str, Any]], double: LlmDouble
) -> None:
    context, payload = asked
    choose(context, Target("openai", api_key="sk-own"), Target("nexus"))
    double.script = ["cut"]

    with pytest.raises(Transient) as raised:
        create(context, {**payload, "stream": True})

    assert raised.value.job_code == "provider_stream_cut"
    (call,) = calls(context)
    assert (call.error_code, call.finish_reason, call.usage_source) == (
        "provider_stream_cut",
        "interrupted",
        "estimated",
    )
    assert call.cost_micros is not None
    assert call.ttft_ms is not None
    assert len(double.requests) == 1


def test_a_server_of_the_tenants_own_answers_at_its_own_price(
    asked: tuple[JobContext, Mapping[str, Any]], double: LlmDouble
) -> None:
    context, payload = asked
    choose(context, Target("openai_compatible", base_url=f"{double.url}/v1"))
    with context.session() as session:
        session.add(
            LlmPrice(
                tenant_id=context.tenant_id, provider="openai_compatible", model="gpt-5-mini", input_micros=1_000_000,
                cached_input_micros=500_000, output_micros=2_000_000, version=3,
            )
        )  # fmt: skip
    own_prices._known.clear()

    result = create(context, payload)

    assert (result["provider"], result["key_source"]) == ("openai_compatible", "tenant")
    assert result["cost_micros"] == 11 + 2 + 2 * len(WORDS)
    assert calls(context)[0].price_version == "own 3"


def test_without_the_operators_leave_a_private_server_is_not_reached(
    asked: tuple[JobContext, Mapping[str, Any]], double: LlmDouble, under: Callable[..., JobContext]
) -> None:
    context, payload = asked
    choose(context, Target("openai_compatible", base_url=f"{double.url}/v1"))
    strict = under(context, llm_private_networks="")

    with pytest.raises(Permanent) as raised:
        create(strict, payload)

    assert raised.value.job_code == "address_refused"
    assert double.requests == []


# --- accounting


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["gpt-5-mini", "claude-haiku-4-5"])
def test_the_log_has_the_very_tokens_that_the_vendor_counted(
    asked: tuple[JobContext, Mapping[str, Any]], double: LlmDouble, model: str, stream: bool
) -> None:
    context, payload = asked

    for _ in range(3):
        create(other_job(context), {**payload, "model": model, "stream": stream})

    logged = calls(context)
    assert [(c.input_tokens, c.cached_input_tokens, c.output_tokens) for c in logged] == double.served
    assert len(logged) == 3
    provider = "openai" if model.startswith("gpt") else "anthropic"
    expected = cost_micros(provider, model, Usage(*double.served[0], "reported"))[0]
    assert [c.cost_micros for c in logged] == [expected] * 3
    assert all((c.ttft_ms is not None) is stream for c in logged)


def test_a_lost_workers_call_is_accounted_for_once(
    asked: tuple[JobContext, Mapping[str, Any]], double: LlmDouble
) -> None:
    context, payload = asked
    limited = budget(context, 1_000_000)
    double.script = ["hold"]
    with ThreadPoolExecutor(1) as pool:
        lost = pool.submit(create, context, {**payload, "stream": True})
        assert double.held.wait(30)
        again = next_attempt(context)

        create(again, {**payload, "stream": True})

        first, second = calls(context)
        double.released.set()
        lost.result(30)
    assert (first.error_code, first.usage_source, first.output_tokens) == ("worker_lost", "estimated", 0)
    assert (second.error_code, second.output_tokens) == (None, len(WORDS))
    assert len(calls(context)) == 2
    assert first.cost_micros is not None
    assert second.cost_micros is not None
    assert state_of(context, limited) == (first.cost_micros + second.cost_micros, 0)


def test_an_open_call_whose_job_never_comes_back_is_closed_by_another_when_its_time_is_up(
    asked: tuple[JobContext, Mapping[str, Any]], double: LlmDouble
) -> None:
    context, _ = asked
    limited = budget(context, 1_000_000)
    expected = ledger.Expected("chat", "openai", "gpt-5-mini", "platform", None, 100, 200, 25, 500, "v")
    ledger.open_call(other_job(context), expected)
    assert state_of(context, limited) == (0, 500)
    with context.session() as session:
        session.query(LlmOpenCall).update({"expires_at": session.query(LlmOpenCall.created_at).scalar_subquery()})

    complete(context, QUESTION, model="gpt-5-mini")

    assert state_of(context, limited) == (25 + COST, 0)
    assert [(c.error_code, c.cost_micros) for c in calls(context)] == [("worker_lost", 25), (None, COST)]


def test_a_cancelled_stream_stops_and_is_accounted_for(
    asked: tuple[JobContext, Mapping[str, Any]], double: LlmDouble
) -> None:
    context, payload = asked
    double.script = ["hold"]
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(create, context, {**payload, "stream": True})
        assert double.held.wait(30)
        context.request_cancel()
        double.released.set()
        assert isinstance(running.exception(30), Cancelled)

    (call,) = calls(context)
    assert call.error_code == "cancelled"
    assert call.cost_micros is not None


# --- budgets


def test_two_hundred_at_once_spend_a_budget_to_its_end_and_not_much_beyond(
    asked: tuple[JobContext, Mapping[str, Any]], double: LlmDouble
) -> None:
    """Never beyond by more than one reservation, and refused only when the money is gone: who finds it reserved waits."""
    context, _ = asked
    assert COST is not None
    limit = 40 * COST
    limited = budget(context, limit)
    done: list[int] = []
    left_at_refusal: list[int] = []
    codes: set[str] = set()
    lock = threading.Lock()

    def one(_: int) -> None:
        mine = other_job(context)
        while True:
            try:
                complete(mine, QUESTION, model="gpt-5-mini", max_tokens=50)
            except NotNow as error:
                with lock:
                    codes.add(error.job_code)
                mine.wait(0.05)
                continue
            except Permanent as error:
                with lock:
                    codes.add(error.job_code)
                    left_at_refusal.append(limit - state_of(context, limited)[0])
                return
            with lock:
                done.append(1)
            return

    with ThreadPoolExecutor(40) as pool:
        list(pool.map(one, range(200)))

    spent, reserved = state_of(context, limited)
    assert reserved == 0
    assert spent == len(done) * COST == sum(c.cost_micros or 0 for c in calls(context))
    most = cost_micros("openai", "gpt-5-mini", Usage(27 + 8, 0, 50, "estimated"))[0]
    assert limit <= spent <= limit + (most or 0)
    assert len(done) + len(left_at_refusal) == 200
    assert max(left_at_refusal) <= 0
    assert codes <= {"budget_reserved", "budget_exhausted"}


def test_a_model_without_a_price_is_refused_under_a_budget_only(
    asked: tuple[JobContext, Mapping[str, Any]], double: LlmDouble
) -> None:
    context, _ = asked
    complete(context, QUESTION, model="my-own-tune")
    budget(context, 1_000_000)

    with pytest.raises(Permanent) as raised:
        complete(context, QUESTION, model="my-own-tune")

    assert raised.value.job_code == "price_unknown"
    assert len(double.requests) == 1


def test_a_budget_binds_those_whom_it_names(asked: tuple[JobContext, Mapping[str, Any]], double: LlmDouble) -> None:
    context, _ = asked
    budget(context, 1, spent_micros=1, principal=f"key:{new_id()}")
    budget(context, 1, spent_micros=1, key_source="tenant")
    assert complete(context, QUESTION)["text"]
    budget(context, 1, spent_micros=1, principal=context.principal.subject)

    with pytest.raises(Permanent) as raised:
        complete(context, QUESTION)

    assert raised.value.job_code == "budget_exhausted"


def test_a_new_period_begins_at_nothing(asked: tuple[JobContext, Mapping[str, Any]], double: LlmDouble) -> None:
    from datetime import UTC, datetime, timedelta

    context, _ = asked
    limited = budget(context, 5, spent_micros=5, period="day", period_start=datetime.now(UTC) - timedelta(days=1))

    complete(context, QUESTION, model="gpt-5-mini")

    assert state_of(context, limited) == (COST, 0)


# --- limits by the minute


def test_more_requests_than_a_minute_allows_wait_for_the_next(
    asked: tuple[JobContext, Mapping[str, Any]], double: LlmDouble
) -> None:
    context, _ = asked
    choose(context, Target("nexus"), requests_per_minute=3)
    answers: list[bool] = []
    refusals: list[tuple[str, float]] = []
    for _ in range(8):
        try:
            complete(other_job(context), QUESTION)
            answers.append(True)
        except NotNow as error:
            refusals.append((error.job_code, error.retry_after or 0.0))
            answers.append(False)

    assert 3 <= sum(answers) <= 6  # two minutes, if one ended in between
    assert refusals
    assert all(code == "llm_rate_limited" and 0 < seconds <= 60 for code, seconds in refusals)


def test_tokens_of_a_minute_are_limited_too(asked: tuple[JobContext, Mapping[str, Any]], double: LlmDouble) -> None:
    context, _ = asked
    choose(context, Target("nexus"), tokens_per_minute=60)
    complete(other_job(context), QUESTION, max_tokens=100)
    refusals = 0
    for _ in range(2):
        try:
            complete(other_job(context), QUESTION, max_tokens=100)
        except NotNow:
            refusals += 1

    assert refusals


# --- embeddings and verification


def test_many_texts_go_in_few_calls_and_come_back_in_order(
    asked: tuple[JobContext, Mapping[str, Any]], double: LlmDouble
) -> None:
    context, _ = asked
    texts = ["x" * (number % 50 + 1) for number in range(600)]

    answer = embed(context, texts)

    assert [vector[0] for vector in answer["embeddings"]] == [float(len(text)) for text in texts]
    assert len(double.requests) == 3
    assert sum(served[0] for served in double.served) == answer["usage"]["input_tokens"] == 600
    assert [c.operation for c in calls(context)] == ["embeddings"] * 3
    assert answer["cost_micros"] == sum(c.cost_micros or 0 for c in calls(context))


def test_vectors_of_two_models_are_never_mixed(asked: tuple[JobContext, Mapping[str, Any]], double: LlmDouble) -> None:
    context, _ = asked
    choose(
        context, Target("openai", api_key="sk-own"),
        Target("openai_compatible", model="other", base_url=f"{double.url}/v1"),
    )  # fmt: skip
    double.script = ["ok", "401", "ok", "ok", "ok"]

    answer = embed(context, ["word"] * 600)

    assert answer["model"] == "other"
    assert len(answer["embeddings"]) == 600


def test_verifying_tells_of_each_target(asked: tuple[JobContext, Mapping[str, Any]], double: LlmDouble) -> None:
    context, _ = asked
    choose(context, Target("openai", api_key="sk-own"), Target("anthropic", api_key="sk-bad"))
    double.script = ["ok", "401"]

    first, second = verify(context, {})["targets"]

    assert (first["provider"], first["ok"], first["error"]) == ("openai", True, None)
    assert (second["provider"], second["ok"], second["error"]["code"]) == ("anthropic", False, "provider_unauthorized")
