"""What each kind of job does: one module per domain. A handler opens scopes, calls the domain and providers, records."""

from __future__ import annotations

from collections.abc import Collection
from importlib import import_module

from config.settings import Settings

MODULES = (
    "accounts",
    "audit",
    "billing",
    "completion_sweeps",
    "completions",
    "documents",
    "embeddings",
    "events",
    "fleet",
    "isolation",
    "keys",
    "notifications",
    "recovery",
    "search",
    "search_services",
    "search_upkeep",
    "system",
    "tenant_life",
    "tenants",
    "webhook_endpoints",
    "webhook_sweeps",
    "webhooks",
)
"""Every module that binds a handler, a subscriber or a service."""


def load() -> None:
    """Import them all, so that each kind has its handler. Loading twice is loading once."""
    for name in MODULES:
        import_module(f"tasks.{name}")


def warm(settings: Settings, queues: Collection[str]) -> None:
    """Load what the first jobs of these queues would else wait for."""
    if "completions" in queues:
        import_module("tasks.completions").warm(settings)
