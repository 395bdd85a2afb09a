"""Embeddings: texts placed in a space of meaning, in batches that the vendors take, on the tenant's account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bus.services import register
from domain.completions.batching import batches
from domain.completions.routing import EMBEDDING_MODELS, Route, routes
from jobs.context import JobContext
from jobs.handlers import handles
from jobs.payloads.completions import EmbedSchema
from providers.llm import CompletionProvider, EmbeddingRequest, EmbeddingResponse, Usage
from tasks.model_calls import Asked, Served, platform_accounts, serve, tenant_config


@handles("embedding.create")
def create(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Embed texts."""
    return embed(context, payload["input"], model=payload["model"], dimensions=payload["dimensions"])


def embed(
    context: JobContext, input: Sequence[str], model: str | None = None, dimensions: int | None = None
) -> Mapping[str, Any]:
    """A vector for each text, in their order; each batch is one call of the log. Raises as `tasks.model_calls.serve`.

    All vectors are of one model: where a later batch must go to another target, all of them go there, for vectors of two models
    cannot be compared.
    """
    settings = context.settings
    chosen = routes(
        tenant_config(context).targets,
        model,
        platform_keys=list(platform_accounts(settings)),
        allow_sandbox=settings.environment == "development",
        defaults=EMBEDDING_MODELS,
    )
    parts = batches(input)
    served: list[Served[EmbeddingResponse]] = []
    while len(served) < len(parts):
        one = serve(context, chosen, _asked(parts[len(served)], dimensions))
        if served and one.route != served[0].route:
            served, chosen = [], chosen[chosen.index(one.route) :]
            continue
        served.append(one)
        chosen = chosen[chosen.index(one.route) :]
    return _result(served)


register("embed", embed, "completion:create", EmbedSchema)


def _asked(texts: Sequence[str], dimensions: int | None) -> Asked[EmbeddingResponse]:
    def call(provider: CompletionProvider, route: Route, seconds: float) -> EmbeddingResponse:
        return provider.embed(EmbeddingRequest(route.model, tuple(texts), dimensions, seconds))

    return Asked(operation="embeddings", texts=texts, max_tokens=0, call=call, told=lambda _: {}, usage=_usage)


def _usage(response: EmbeddingResponse) -> tuple[str, Usage]:
    return response.model, response.usage


def _result(served: Sequence[Served[EmbeddingResponse]]) -> Mapping[str, Any]:
    first = served[0]
    costs = [each.cost_micros for each in served]
    return {
        "embeddings": [list(vector) for each in served for vector in each.answer.vectors],
        "provider": first.answer.provider,
        "model": first.answer.model,
        "usage": {
            "input_tokens": sum(each.answer.usage.input_tokens for each in served),
            "source": first.answer.usage.source,
        },
        "cost_micros": None if None in costs else sum(cost for cost in costs if cost is not None),
        "key_source": first.route.key_source,
        "fallback_from": first.fallback_from,
        "sandbox": first.answer.sandbox,
    }
