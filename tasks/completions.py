"""Completions of language models, each attempt accounted for in the tenant's call log."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

from bus.events import announce
from bus.services import register
from config.settings import Settings
from domain.completions.routing import DEFAULT_MODELS, Route, route
from domain.errors import JobError
from jobs.context import JobContext
from jobs.handlers import handles
from jobs.payloads.completions import GetCompletionSchema
from providers.llm import (
    Account,
    CompletionRequest,
    CompletionResponse,
    Message,
    Role,
    Usage,
    completion_provider,
    cost_micros,
)
from tasks.call_log import log_call

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
    provider = completion_provider(_account(context, chosen))
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


def warm(settings: Settings) -> None:
    """Make the clients of the platform's own accounts and load the prices: a second of processor time, once per process."""
    for account in _platform_accounts(settings).values():
        completion_provider(account)
        cost_micros(account.provider, DEFAULT_MODELS[account.provider], Usage(1, 0, 1, "estimated"))


def _platform_accounts(settings: Settings) -> dict[str, Account]:
    keys = {
        "openai": (settings.openai_api_key, settings.openai_base_url),
        "anthropic": (settings.anthropic_api_key, settings.anthropic_base_url),
    }
    return {
        name: Account(name, key.get_secret_value(), base_url)
        for name, (key, base_url) in keys.items()
        if key is not None
    }


def _route(context: JobContext, model: str | None) -> Route:
    settings, tenant = context.settings, context.tenant
    return route(
        tenant.llm_provider,
        model,
        tenant_has_key=bool(tenant.llm_key),
        platform_keys=list(_platform_accounts(settings)),
        allow_sandbox=settings.environment == "development",
    )


def _account(context: JobContext, chosen: Route) -> Account:
    """The account that pays.

    A tenant's key, too, goes to the address that the operator set: it says how this network reaches the vendor.
    """
    settings = context.settings
    if chosen.key_source != "tenant":
        return _platform_accounts(settings).get(chosen.provider) or Account(chosen.provider)
    address = {"openai": settings.openai_base_url, "anthropic": settings.anthropic_base_url}[chosen.provider]
    return Account(chosen.provider, context.tenant.llm_key or "", address)


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
    log_call(
        context,
        operation="chat",
        provider=chosen.provider,
        request_model=chosen.model,
        key_source=chosen.key_source,
        duration_ms=duration_ms,
        **values,
    )


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
