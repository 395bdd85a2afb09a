"""Who serves a completion, on whose account, and who comes next when that one cannot."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from domain.errors import JobError, Permanent

DEFAULT_MODELS = {"openai": "gpt-5.4-mini", "anthropic": "claude-haiku-4-5", "sandbox": "sandbox"}
"""What answers where the caller names no model: small, inexpensive and in the price table."""

EMBEDDING_MODELS = {"openai": "text-embedding-3-small", "sandbox": "sandbox"}
"""Likewise for embeddings, of the providers that have them by a known name."""

OWN_PROVIDERS = ("openai", "anthropic", "openai_compatible")
"""Where a tenant may have an account of its own."""

_NEXT_MAY_SERVE = frozenset({
    "provider_quota_exhausted", "provider_unauthorized", "model_not_found", "provider_not_supported", "provider_misconfigured",
    "address_refused",
})  # fmt: skip
"""Failures for good of one target that say nothing of the next. What is wrong with the request is wrong everywhere."""


@dataclass(frozen=True, slots=True)
class Target:
    """One place where a tenant's completions may be served: `nexus` for the platform's accounts, or an own account.

    That the list names `nexus` is the tenant's leave to use the platform's keys; without it they are never used.
    """

    provider: str
    model: str | None = None
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Route:
    """The provider, the model asked for, and whose key pays: `tenant`, `platform`, or `sandbox` where nobody does.

    `target` is the tenant's that it comes from.
    """

    provider: str
    model: str
    key_source: str
    target: Target = Target("nexus")


def routes(
    targets: Sequence[Target],
    model: str | None,
    *,
    platform_keys: Collection[str],
    allow_sandbox: bool,
    defaults: dict[str, str] = DEFAULT_MODELS,
) -> tuple[Route, ...]:
    """Where a completion goes, in the order in which it is tried.

    `model` is the caller's wish. It holds for the first target; the others serve their own model, or the wished one where
    they are of the same provider. `platform_keys` names the providers that the platform has a key for; with several, a
    `claude…` model goes to Anthropic and all else to OpenAI.

    A target that lacks what it needs is passed over. Raises `Permanent` with `llm_not_configured` where none is left.
    """
    found: list[Route] = []
    for number, target in enumerate(targets):
        wish = model if number == 0 or target.provider == targets[0].provider else None
        if target.provider == "nexus":
            route = _platform(target, wish, platform_keys, allow_sandbox=allow_sandbox, defaults=defaults)
        else:
            route = _own(target, wish, defaults)
        if route is not None and route not in found:
            found.append(route)
    if found:
        return tuple(found)
    if any(target.provider == "nexus" for target in targets):
        detail = "No language model is configured: set OPENAI_API_KEY or ANTHROPIC_API_KEY."
    else:
        detail = f"The tenant chose {targets[0].provider} for completions, but there is no key, or no model for this."
    raise Permanent(detail, code="llm_not_configured")


def next_may_serve(error: JobError) -> bool:
    """Whether another target is worth trying after this failure."""
    return error.retryable or error.job_code in _NEXT_MAY_SERVE


def _own(target: Target, model: str | None, defaults: dict[str, str]) -> Route | None:
    chosen = model or target.model or defaults.get(target.provider)
    ready = bool(target.base_url) if target.provider == "openai_compatible" else bool(target.api_key)
    if chosen is None or not ready or target.provider not in OWN_PROVIDERS:
        return None
    return Route(target.provider, chosen, "tenant", target)


def _platform(
    target: Target, model: str | None, keys: Collection[str], *, allow_sandbox: bool, defaults: dict[str, str]
) -> Route | None:
    chosen = model or target.model
    order = ("anthropic", "openai") if (chosen or "").startswith("claude") else ("openai", "anthropic")
    provider = next((name for name in order if name in keys and (chosen or name in defaults)), None)
    if provider is not None:
        return Route(provider, chosen or defaults[provider], "platform", target)
    return Route("sandbox", chosen or defaults["sandbox"], "sandbox", target) if allow_sandbox and not keys else None
