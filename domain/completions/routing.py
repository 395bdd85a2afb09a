"""Who serves a completion, and on whose account."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from domain.errors import Permanent

DEFAULT_MODELS = {"openai": "gpt-5.4-mini", "anthropic": "claude-haiku-4-5", "sandbox": "sandbox"}
"""What answers where the caller names no model: small, inexpensive and in the price table."""


@dataclass(frozen=True, slots=True)
class Route:
    """The provider, the model asked for, and whose key pays: `tenant`, `platform`, or `sandbox` where nobody does."""

    provider: str
    model: str
    key_source: str


def route(
    choice: str, model: str | None, *, tenant_has_key: bool, platform_keys: Collection[str], allow_sandbox: bool
) -> Route:
    """Where a completion goes.

    `choice` is the tenant's: `nexus` for the platform's accounts, or a provider for its own key there. A tenant that
    chose its own key is never served on the platform's, nor the other way round. `platform_keys` names the providers
    that the platform has a key for; with several, a `claude…` model goes to Anthropic and all else to OpenAI.

    Raises `Permanent` with `llm_not_configured` where the key is missing.
    """
    if choice != "nexus":
        if choice not in DEFAULT_MODELS or choice == "sandbox" or not tenant_has_key:
            raise Permanent(
                f"The tenant chose {choice} for completions but has no key there.", code="llm_not_configured"
            )
        return Route(choice, model or DEFAULT_MODELS[choice], "tenant")
    provider = _platform_provider(model, platform_keys)
    if provider is not None:
        return Route(provider, model or DEFAULT_MODELS[provider], "platform")
    if allow_sandbox:
        return Route("sandbox", model or DEFAULT_MODELS["sandbox"], "sandbox")
    raise Permanent(
        "No language model is configured: set OPENAI_API_KEY or ANTHROPIC_API_KEY.", code="llm_not_configured"
    )


def _platform_provider(model: str | None, keys: Collection[str]) -> str | None:
    order = ("anthropic", "openai") if (model or "").startswith("claude") else ("openai", "anthropic")
    return next((provider for provider in order if provider in keys), None)
