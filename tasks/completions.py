"""Completions of language models, each attempt accounted for in the tenant's call log."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from bus.events import announce
from bus.services import register
from domain.completions.routing import Route, route
from domain.errors import JobError, Transient
from domain.ids import new_id
from jobs.context import JobContext
from jobs.handlers import handles
from jobs.payloads.completions import GetCompletionSchema
from models.tenant import ApiCallLog
from providers.llm import (
    Account,
    CompletionProvider,
    CompletionRequest,
    CompletionResponse,
    Message,
    Role,
    completion_provider,
    cost_micros,
)

LONGEST_CALL = 300.0
"""Seconds."""


@handles("completion.create")
def create(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Answer a conversation."""
    result = complete(
        context,
        payload["messages"],
        model=payload["model"],
        max_tokens=payload["max_tokens"],
        temperature=payload["temperature"],
    )
    told = {name: result[name] for name in ("provider", "model", "finish_reason", "usage", "cost_micros", "sandbox")}
    announce(context, "completion.created", {"completion": {"id": str(context.job_id), **told}})
    return result


def get_completion(context: JobContext, prompt: str) -> str:
    """The answer to one prompt, on the tenant's account and in its call log; raises as `complete`."""
    text: str = complete(context, [{"role": "user", "content": prompt}])["text"]
    return text


register("get_completion", get_completion, "completion:create", GetCompletionSchema)


def complete(
    context: JobContext,
    messages: Sequence[Mapping[str, str]],
    *,
    model: str | None = None,
    max_tokens: int = 1024,
    temperature: float | None = None,
) -> Mapping[str, Any]:
    """Call the provider that the tenant chose, once, and log the call whatever came of it.

    Raises the provider's `RateLimited`, `Transient` or `Permanent`, and `Permanent` (`llm_not_configured`) without a key.
    """
    context.check()
    chosen = _route(context, model)
    provider = _provider(context, chosen)
    request = _request(context, chosen, messages, max_tokens, temperature)
    started = time.monotonic()
    try:
        response = provider.complete(request)
    except JobError as error:
        _log(context, chosen, _elapsed_ms(started), error_code=error.job_code)
        raise
    cost, price_version = cost_micros(response.provider, response.model, response.usage)
    _log(context, chosen, _elapsed_ms(started), cost_micros=cost, price_version=price_version, **_reported(response))
    return _result(chosen, response, cost)


def _route(context: JobContext, model: str | None) -> Route:
    settings, tenant = context.settings, context.tenant
    keys = {"openai": settings.openai_api_key, "anthropic": settings.anthropic_api_key}
    return route(
        tenant.llm_provider,
        model,
        tenant_has_key=bool(tenant.llm_key),
        platform_keys=[name for name, key in keys.items() if key is not None],
        allow_sandbox=settings.environment == "development",
    )


def _provider(context: JobContext, chosen: Route) -> CompletionProvider:
    """The provider under the account that pays.

    A tenant's key, too, goes to the address that the operator set: it says how this network reaches the vendor.
    """
    settings = context.settings
    platform_key, base_url = {
        "openai": (settings.openai_api_key, settings.openai_base_url),
        "anthropic": (settings.anthropic_api_key, settings.anthropic_base_url),
        "sandbox": (None, None),
    }[chosen.provider]
    key = context.tenant.llm_key if chosen.key_source == "tenant" else platform_key and platform_key.get_secret_value()
    return completion_provider(Account(chosen.provider, key or "", base_url))


def _request(
    context: JobContext,
    chosen: Route,
    messages: Sequence[Mapping[str, str]],
    max_tokens: int,
    temperature: float | None,
) -> CompletionRequest:
    """The key is the same when a job asks the same again in its next attempt, and another for its other questions."""
    asked = json.dumps([chosen.provider, chosen.model, [dict(one) for one in messages], max_tokens, temperature])
    left = context.deadline - time.monotonic()
    return CompletionRequest(
        timeout=max(0.1, min(LONGEST_CALL, left)),
        model=chosen.model,
        messages=tuple(Message(cast("Role", one["role"]), one["content"]) for one in messages),
        max_tokens=max_tokens,
        temperature=temperature,
        idempotency_key=f"{context.job_id}:{hashlib.sha256(asked.encode()).hexdigest()[:32]}",
    )


def _elapsed_ms(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


def _reported(response: CompletionResponse) -> dict[str, Any]:
    return {
        "response_model": response.model,
        "response_id": response.response_id,
        "finish_reason": response.finish_reason,
        "input_tokens": response.usage.input_tokens,
        "cached_input_tokens": response.usage.cached_input_tokens,
        "output_tokens": response.usage.output_tokens,
        "usage_source": response.usage.source,
    }


def _log(context: JobContext, chosen: Route, duration_ms: int, **values: Any) -> None:
    """Write the call down under the job's attempt; a job that calls more than once counts on from there."""
    row = {
        "tenant_id": context.tenant_id,
        "id": new_id(),
        "job_id": context.job_id,
        "operation": "chat",
        "provider": chosen.provider,
        "request_model": chosen.model,
        "key_source": chosen.key_source,
        "duration_ms": duration_ms,
        **values,
    }
    used = select(func.max(ApiCallLog.attempt)).where(
        ApiCallLog.tenant_id == context.tenant_id, ApiCallLog.job_id == context.job_id
    )
    number = func.greatest(context.attempt, func.coalesce(used.scalar_subquery(), 0) + 1)
    statement = insert(ApiCallLog).values(row | {"attempt": number}).on_conflict_do_nothing()
    for _ in range(5):
        with context.session() as session:
            if session.scalar(statement.returning(ApiCallLog.id)) is not None:
                return
    raise Transient("The call could not be logged: other attempts of this job log at the same time.")


def _result(chosen: Route, response: CompletionResponse, cost: int | None) -> Mapping[str, Any]:
    usage = response.usage
    return {
        "text": response.text,
        "provider": response.provider,
        "model": response.model,
        "finish_reason": response.finish_reason,
        "usage": {
            "input_tokens": usage.input_tokens,
            "cached_input_tokens": usage.cached_input_tokens,
            "output_tokens": usage.output_tokens,
            "source": usage.source,
        },
        "cost_micros": cost,
        "key_source": chosen.key_source,
        "sandbox": response.sandbox,
        "response_id": response.response_id,
    }
