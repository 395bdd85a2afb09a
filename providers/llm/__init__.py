"""Completions: the Protocol and the registry of providers."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from config.telemetry.counters import register_gauge
from config.telemetry.measures import CIRCUITS_OPEN
from providers.llm.accounts import PROVIDER_NAMES, Account, Clients
from providers.llm.base import (
    CompletionProvider,
    CompletionRequest,
    CompletionResponse,
    EmbeddingRequest,
    EmbeddingResponse,
    Interrupted,
    Message,
    Reach,
    Role,
    Usage,
)
from providers.llm.prices import cost_micros

if TYPE_CHECKING:
    from providers.llm.breaker import Circuits

__all__ = [
    "PROVIDER_NAMES",
    "Account",
    "CompletionProvider",
    "CompletionRequest",
    "CompletionResponse",
    "EmbeddingRequest",
    "EmbeddingResponse",
    "Interrupted",
    "Message",
    "Reach",
    "Role",
    "Usage",
    "completion_provider",
    "cost_micros",
]


def completion_provider(account: Account) -> CompletionProvider:
    """The provider under this account, behind its circuit breaker.

    Raises `Permanent` with `provider_not_supported` or `provider_misconfigured`.
    """
    from providers.llm.breaker import GuardedCompletionProvider

    provider = _clients().get(account)
    return GuardedCompletionProvider(provider, _circuits().get(account))


@cache
def _clients() -> Clients:
    return Clients()


@cache
def _circuits() -> Circuits:
    """This process's circuits: they must outlive a call, and its client, to be of use."""
    from providers.llm.breaker import Circuits

    circuits = Circuits()
    register_gauge(CIRCUITS_OPEN, circuits.open_by_provider)
    return circuits
