"""`completion.create`: on whose account, and the call log that accounts for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr
from pytest_httpserver import HTTPServer
from sqlalchemy import select

from domain.completions.routing import DEFAULT_MODELS
from domain.errors import Permanent, RateLimited
from jobs.context import JobContext
from models.tenant import ApiCallLog
from providers.llm import Usage, cost_micros
from tasks.completions import create, get_completion
from tenancy.access import Tenancy
from tests.contracts.completion_doubles import ANTHROPIC, OPENAI
from tests.integration.tasks.conftest import next_attempt

ASK = {"messages": [{"role": "user", "content": "Who are you?"}]}
PLATFORM_KEY, TENANT_KEY = "sk-platform", "sk-of-the-tenant"


@pytest.fixture
def asked(
    make_context: Callable[..., Any], pooled_tenant: UUID, under: Callable[..., JobContext], httpserver: HTTPServer
) -> tuple[JobContext, Any]:
    """A claimed completion on a platform whose own OpenAI account is the test's double."""
    context, payload = make_context("completion.create", pooled_tenant, ASK)
    served = under(
        context,
        openai_api_key=SecretStr(PLATFORM_KEY),
        openai_base_url=httpserver.url_for("/v1"),
        anthropic_base_url=httpserver.url_for("").rstrip("/"),
    )
    return served, payload


def choose(context: JobContext, engine: Tenancy, provider: str, key: str | None) -> None:
    """What `PUT /llm/config` does."""
    sealed = None if key is None else engine.vault(context.tenant_id).seal(
        key.encode(), "tenants", "llm_key_sealed", context.tenant_id
    )  # fmt: skip
    engine.platform.fetch(
        "UPDATE tenants SET llm_provider = %(provider)s, llm_key_sealed = %(sealed)s WHERE id = %(id)s",
        {"provider": provider, "sealed": sealed, "id": context.tenant_id},
    )
    context.tenancy.directory.forget(context.tenant_id)


def calls(context: JobContext) -> list[ApiCallLog]:
    with context.session() as session:
        return list(session.scalars(select(ApiCallLog).order_by(ApiCallLog.attempt)))


def bearer(httpserver: HTTPServer) -> list[str | None]:
    return [request.headers.get("Authorization") for request, _ in httpserver.log]


def test_without_a_key_the_sandbox_answers_and_says_so(make_context: Callable[..., Any], tenant: UUID) -> None:
    context, payload = make_context("completion.create", tenant, ASK)

    result = create(context, payload)

    assert result["sandbox"] is True
    assert "sandbox" in result["text"]
    assert (result["provider"], result["key_source"], result["cost_micros"]) == ("sandbox", "sandbox", 0)
    (call,) = calls(context)
    assert (call.job_id, call.attempt, call.provider, call.usage_source) == (context.job_id, 1, "sandbox", "estimated")


def test_production_without_a_key_refuses(
    make_context: Callable[..., Any], pooled_tenant: UUID, under: Callable[..., JobContext]
) -> None:
    context, payload = make_context("completion.create", pooled_tenant, ASK)

    with pytest.raises(Permanent) as raised:
        create(under(context, environment="production"), payload)

    assert raised.value.job_code == "llm_not_configured"
    assert calls(context) == []


def test_the_platforms_account_answers_and_the_call_is_accounted_for(
    asked: tuple[JobContext, Any], httpserver: HTTPServer
) -> None:
    context, payload = asked
    httpserver.expect_request(OPENAI.path).respond_with_json(OPENAI.answer)

    result = create(context, payload)

    assert result == {
        "text": "Hello, Ada.", "provider": "openai", "model": "gpt-5-mini-2025-08-07", "finish_reason": "stop",
        "usage": {"input_tokens": 100, "cached_input_tokens": 40, "output_tokens": 7, "source": "reported"},
        "cost_micros": result["cost_micros"], "key_source": "platform", "fallback_from": None, "sandbox": False, "response_id": "chatcmpl-1",
    }  # fmt: skip
    assert result["cost_micros"] > 0
    assert bearer(httpserver) == [f"Bearer {PLATFORM_KEY}"]
    (call,) = calls(context)
    assert (call.operation, call.provider, call.request_model) == ("chat", "openai", "gpt-5.4-mini")
    assert (call.response_model, call.response_id, call.finish_reason) == (
        "gpt-5-mini-2025-08-07",
        "chatcmpl-1",
        "stop",
    )
    assert (call.input_tokens, call.cached_input_tokens, call.output_tokens) == (100, 40, 7)
    assert (call.usage_source, call.key_source, call.error_code) == ("reported", "platform", None)
    assert call.cost_micros == result["cost_micros"]
    assert call.price_version is not None
    assert call.duration_ms >= 0


def test_every_attempt_is_logged_and_repeats_the_idempotency_key(
    asked: tuple[JobContext, Any], httpserver: HTTPServer
) -> None:
    context, payload = asked
    httpserver.expect_ordered_request(OPENAI.path).respond_with_json(
        OPENAI.error("rate_limit_exceeded", "Slow down"), status=429, headers={"Retry-After": "7"}
    )
    httpserver.expect_ordered_request(OPENAI.path).respond_with_json(OPENAI.answer)

    with pytest.raises(RateLimited) as raised:
        create(context, payload)
    create(next_attempt(context), payload)

    assert raised.value.retry_after == 7
    assert [(call.attempt, call.error_code, call.cost_micros is None) for call in calls(context)] == [
        (1, "provider_rate_limited", True),
        (2, None, False),
    ]
    keys = {request.headers["Idempotency-Key"] for request, _ in httpserver.log}
    assert len(keys) == 1
    assert str(context.job_id) in keys.pop()


@pytest.mark.parametrize("vendor", [OPENAI, ANTHROPIC], ids=lambda vendor: vendor.name)
def test_a_tenants_own_key_pays_for_who_chose_it(
    asked: tuple[JobContext, Any], httpserver: HTTPServer, engine_tenancy: Tenancy, vendor: Any
) -> None:
    context, payload = asked
    choose(context, engine_tenancy, vendor.name, TENANT_KEY)
    httpserver.expect_request(vendor.path).respond_with_json(vendor.answer)

    result = create(context, payload)

    assert (result["provider"], result["key_source"]) == (vendor.name, "tenant")
    (request, _) = httpserver.log[0]
    assert TENANT_KEY in (request.headers.get("Authorization") or request.headers.get("X-Api-Key") or "")
    assert [call.key_source for call in calls(context)] == ["tenant"]


def test_a_tenants_refused_key_is_never_replaced_by_the_platforms(
    asked: tuple[JobContext, Any], httpserver: HTTPServer, engine_tenancy: Tenancy
) -> None:
    context, payload = asked
    choose(context, engine_tenancy, "openai", TENANT_KEY)
    httpserver.expect_request(OPENAI.path).respond_with_json(OPENAI.error("invalid_api_key", "No"), status=401)

    with pytest.raises(Permanent) as raised:
        create(context, payload)

    assert raised.value.job_code == "provider_unauthorized"
    assert bearer(httpserver) == [f"Bearer {TENANT_KEY}"]
    assert [(call.key_source, call.error_code) for call in calls(context)] == [("tenant", "provider_unauthorized")]


def test_a_tenant_without_its_key_is_not_served_on_the_platforms(
    asked: tuple[JobContext, Any], httpserver: HTTPServer, engine_tenancy: Tenancy
) -> None:
    context, payload = asked
    choose(context, engine_tenancy, "openai", None)

    with pytest.raises(Permanent) as raised:
        create(context, payload)

    assert raised.value.job_code == "llm_not_configured"
    assert httpserver.log == []


def test_a_job_that_asks_several_times_accounts_for_each(asked: tuple[JobContext, Any], httpserver: HTTPServer) -> None:
    context, _ = asked
    httpserver.expect_request(OPENAI.path).respond_with_json(OPENAI.answer)

    answers = [get_completion(context, "One?"), get_completion(context, "Two?")]
    get_completion(next_attempt(context), "One?")

    assert answers == ["Hello, Ada."] * 2
    assert [call.attempt for call in calls(context)] == [1, 2, 3]
    keys = [request.headers["Idempotency-Key"] for request, _ in httpserver.log]
    assert keys[0] == keys[2] != keys[1]


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_the_model_that_answers_unless_another_is_named_has_a_price(provider: str) -> None:
    cost, _ = cost_micros(provider, DEFAULT_MODELS[provider], Usage(1000, 0, 1000, "reported"))

    assert cost


def test_the_key_is_in_no_log_row(asked: tuple[JobContext, Any], httpserver: HTTPServer) -> None:
    context, payload = asked
    httpserver.expect_request(OPENAI.path).respond_with_json(OPENAI.error("x", f"bad {PLATFORM_KEY}"), status=400)

    with pytest.raises(Permanent) as raised:
        create(context, payload)

    (call,) = calls(context)
    assert PLATFORM_KEY not in raised.value.detail
    assert PLATFORM_KEY not in repr([getattr(call, column.key) for column in ApiCallLog.__table__.columns])
