"""Model calls that nobody closed, and prompts that nobody needs to be asked about."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr
from pytest_httpserver import HTTPServer
from sqlalchemy import select, update

from domain.completions.catalog import context_window
from domain.errors import Permanent
from domain.identity.principals import system
from domain.ids import new_id
from jobs.context import JobContext
from jobs.control import cancel
from jobs.submit import NewJob, submit
from models.tenant import ApiCallLog, LlmBudget, LlmOpenCall
from providers.llm.tokens import least_tokens
from tasks.completion_sweeps import sweep
from tasks.completions import create
from tasks.ledger import Expected, open_call

WINDOW = 128_000


def an_open_call(context: JobContext) -> None:
    expected = Expected("chat", "openai", "gpt-4o", "platform", None, 40, 1064, 100, 5000, "v1")
    open_call(context, expected)


def test_a_call_whose_worker_was_lost_is_put_down_without_a_later_call(
    make_context: Callable[..., Any], pooled_tenant: UUID
) -> None:
    context, _ = make_context("completion.create", pooled_tenant, {"messages": [{"role": "user", "content": "a"}]})
    budget = LlmBudget(
        tenant_id=pooled_tenant, id=new_id(), name="all", period="total", limit_micros=1_000_000, spent_micros=0,
        reserved_micros=0,
    )  # fmt: skip
    with context.session() as session:
        session.add(budget)
    context.deadline = time.monotonic() + 1000
    an_open_call(context)
    tenancy = context.tenancy
    ended = submit(tenancy, NewJob("system.ping", {}, system("test", pooled_tenant)))
    cancel(tenancy, pooled_tenant, ended.id)
    sweeping, payload = make_context("completion.sweep", pooled_tenant, {})
    sweep(sweeping, payload)
    with context.session() as session:
        assert len(session.scalars(select(LlmOpenCall)).all()) == 1  # its time is not up
        session.execute(update(LlmOpenCall).values(expires_at=LlmOpenCall.created_at))
    for _ in range(2):
        sweep(sweeping, payload)
    with context.session() as session:
        assert session.scalars(select(LlmOpenCall)).all() == []
        [call] = session.scalars(select(ApiCallLog)).all()
        [kept] = session.scalars(select(LlmBudget)).all()
    assert (call.error_code, call.usage_source, call.input_tokens, call.cost_micros) == (
        "worker_lost",
        "estimated",
        40,
        100,
    )
    assert (kept.spent_micros, kept.reserved_micros) == (100, 0)


def test_a_prompt_that_does_not_fit_is_refused_before_anybody_is_asked(
    make_context: Callable[..., Any], pooled_tenant: UUID, under: Callable[..., JobContext], httpserver: HTTPServer
) -> None:
    assert context_window("openai", "gpt-4o") == WINDOW
    ask = {"messages": [{"role": "user", "content": "word " * 70_000}] * 2, "model": "gpt-4o"}
    context, payload = make_context("completion.create", pooled_tenant, ask)
    served = under(context, openai_api_key=SecretStr("sk-platform"), openai_base_url=httpserver.url_for("/v1"))
    with pytest.raises(Permanent) as raised:
        create(served, payload)
    assert raised.value.job_code == "context_window_exceeded"
    assert httpserver.log == []
    with context.session() as session:
        assert session.scalars(select(ApiCallLog)).all() == []
        assert session.scalars(select(LlmOpenCall)).all() == []


@pytest.mark.parametrize(
    ("text", "at_most"),
    [("word " * 1000, 1000), ("", 0), ("x" * 1280, 10), (" " * 1280, 10), ("日本語" * 100, 100), ("a.b.c", 3)],
)
def test_the_least_number_of_tokens_is_never_too_high(text: str, at_most: int) -> None:
    assert least_tokens([text]) <= at_most


@pytest.mark.parametrize(
    ("provider", "model", "known"),
    [("openai", "gpt-4o-2024-08-06", True), ("openai", "nobody-knows", False), ("openai_compatible", "gpt-4o", False),
     ("openai", "gpt-4o-2024-08-06-and-more", False)],
)  # fmt: skip
def test_only_a_window_that_is_known_for_sure_refuses(provider: str, model: str, known: bool) -> None:
    assert (context_window(provider, model) is not None) == known
