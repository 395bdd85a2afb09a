"""Completions of language models, each call accounted for in the tenant's call log."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from bus.events import announce
from bus.services import register
from domain.completions.routing import Route, routes
from domain.errors import JobError
from jobs.context import JobContext
from jobs.handlers import handles
from jobs.payloads.completions import GetCompletionSchema
from jobs.texts import speaker
from providers.llm import CompletionProvider, CompletionRequest, CompletionResponse, Message, Role, Usage
from tasks.model_calls import Asked, Served, platform_accounts, serve, tenant_config, warm

__all__ = ["complete", "create", "get_completion", "verify", "warm"]

VERIFYING: Mapping[str, Any] = {"messages": [{"role": "user", "content": "Answer with: ok"}], "max_tokens": 16}
"""The smallest question that shows whether a key works, its model exists and its account has money."""


@handles("completion.create")
def create(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Answer a conversation."""
    result = complete(
        context,
        payload["messages"],
        model=payload["model"],
        max_tokens=payload["max_tokens"],
        temperature=payload["temperature"],
        aloud=payload["stream"],
    )
    told = {name: result[name] for name in ("provider", "model", "finish_reason", "usage", "cost_micros", "sandbox")}
    announce(context, "completion.created", {"completion": {"id": str(context.job_id), **told}})
    return result


@handles("completion.verify")
def verify(context: JobContext, _payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Ask each of the tenant's targets a small question, and tell which of them answer. Each call is paid for and logged."""
    return {"targets": [_verified(context, number, route) for number, route in enumerate(_routes(context, None))]}


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
    aloud: bool = False,
) -> Mapping[str, Any]:
    """Ask the targets that the tenant chose, in their order, and log each call whatever came of it.

    `aloud` sends the text on while it comes, to whoever reads along. Raises as `tasks.model_calls.serve`, and `Permanent`
    (`llm_not_configured`) without a key.
    """
    context.check()
    question = _Question(tuple(dict(one) for one in messages), max_tokens, temperature)
    return _result(_ask(context, _routes(context, model), question, aloud=aloud))


@dataclass(frozen=True, slots=True)
class _Question:
    messages: tuple[dict[str, str], ...]
    max_tokens: int
    temperature: float | None = None

    def request(self, context: JobContext, route: Route, seconds: float) -> CompletionRequest:
        """The key is the same when a job asks the same again in its next attempt, and another for its other questions."""
        asked = json.dumps([route.provider, route.model, self.messages, self.max_tokens, self.temperature])
        return CompletionRequest(
            model=route.model,
            messages=tuple(Message(cast("Role", one["role"]), one["content"]) for one in self.messages),
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            idempotency_key=f"{context.job_id}:{hashlib.sha256(asked.encode()).hexdigest()[:32]}",
            timeout=seconds,
        )


@dataclass(slots=True)
class _Voice:
    """Says each piece aloud, and stops a job that was cancelled or is late. Remembers when it began."""

    context: JobContext
    began: float = field(default_factory=time.monotonic)
    ttft_ms: int | None = None

    def begin(self) -> None:
        self.began, self.ttft_ms = time.monotonic(), None

    def heard(self, text: str) -> None:
        if self.ttft_ms is None:
            self.ttft_ms = round((time.monotonic() - self.began) * 1000)
        context = self.context
        context.check()
        speaker(context.settings).say(context.job_id, context.attempt, context.tenancy.vault(context.tenant_id), text)


def _ask(
    context: JobContext, chosen: Sequence[Route], question: _Question, *, aloud: bool
) -> Served[CompletionResponse]:
    voice = _Voice(context)

    def call(provider: CompletionProvider, route: Route, seconds: float) -> CompletionResponse:
        request = question.request(context, route, seconds)
        if not aloud:
            return provider.complete(request)
        voice.begin()
        return provider.stream(request, voice.heard)

    asked = Asked(
        operation="chat",
        texts=[one["content"] for one in question.messages],
        max_tokens=question.max_tokens,
        call=call,
        told=_told,
        usage=_usage,
        ttft_ms=lambda: voice.ttft_ms,
    )
    try:
        return serve(context, chosen, asked)
    finally:
        if aloud:
            speaker(context.settings).end(context.job_id)


def _routes(context: JobContext, model: str | None) -> tuple[Route, ...]:
    settings = context.settings
    return routes(
        tenant_config(context).targets,
        model,
        platform_keys=list(platform_accounts(settings)),
        allow_sandbox=settings.environment == "development",
    )


def _verified(context: JobContext, number: int, route: Route) -> Mapping[str, Any]:
    question = _Question(tuple(VERIFYING["messages"]), VERIFYING["max_tokens"])
    told = {"target": number, "provider": route.provider, "model": route.model, "key_source": route.key_source}
    try:
        served = _ask(context, [route], question, aloud=False)
    except JobError as error:
        return {**told, "ok": False, "error": {"code": error.job_code, "detail": error.detail}}
    return {**told, "ok": True, "model": served.answer.model, "error": None}


def _told(response: CompletionResponse) -> dict[str, Any]:
    return {"response_id": response.response_id, "finish_reason": response.finish_reason}


def _usage(response: CompletionResponse) -> tuple[str, Usage]:
    return response.model, response.usage


def _result(served: Served[CompletionResponse]) -> Mapping[str, Any]:
    response, usage = served.answer, served.answer.usage
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
        "cost_micros": served.cost_micros,
        "key_source": served.route.key_source,
        "fallback_from": served.fallback_from,
        "sandbox": response.sandbox,
        "response_id": response.response_id,
    }
