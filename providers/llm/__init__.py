"""Completions: the Protocol and the registry of providers."""

from __future__ import annotations

from domain.errors import Permanent
from providers.llm.base import CompletionProvider, CompletionRequest, CompletionResponse, Message, Role, Usage
from providers.llm.prices import cost_micros

__all__ = [
    "PROVIDER_NAMES",
    "CompletionProvider",
    "CompletionRequest",
    "CompletionResponse",
    "Message",
    "Role",
    "Usage",
    "completion_provider",
    "cost_micros",
]

PROVIDER_NAMES = ("openai", "anthropic", "openai_compatible", "sandbox")


def completion_provider(
    name: str, api_key: str = "", base_url: str | None = None, timeout: float = 60.0
) -> CompletionProvider:
    """The provider called `name`, behind its circuit breaker; `timeout` in seconds.

    `base_url` None means the vendor's own address, never one from the environment: a tenant's key goes nowhere else.
    Raises `Permanent` with `provider_not_supported` or `provider_misconfigured`.
    """
    from providers.llm.breaker import GuardedCompletionProvider, process_circuits

    if name not in PROVIDER_NAMES:
        raise Permanent(f"There is no completion provider {name!r}.", code="provider_not_supported")
    if name == "sandbox":
        from providers.llm.sandbox import SandboxCompletionProvider

        return SandboxCompletionProvider()
    if name == "openai_compatible" and not base_url:
        raise Permanent("An openai_compatible provider needs a base URL.", code="provider_misconfigured")
    if name != "openai_compatible" and not api_key:
        raise Permanent(f"{name} needs an API key.", code="provider_misconfigured")
    provider = _vendor(name, api_key, base_url, timeout)
    return GuardedCompletionProvider(provider, process_circuits().get(name, base_url or "", api_key))


def _vendor(name: str, api_key: str, base_url: str | None, timeout: float) -> CompletionProvider:
    if name == "anthropic":
        from providers.llm.anthropic import ANTHROPIC_URL, AnthropicCompletionProvider

        return AnthropicCompletionProvider(api_key=api_key, base_url=base_url or ANTHROPIC_URL, timeout=timeout)
    from providers.llm.openai import OPENAI_URL, OpenAICompletionProvider

    return OpenAICompletionProvider(name, api_key=api_key, base_url=base_url or OPENAI_URL, timeout=timeout)
