"""What each kind of job does: one module per domain. A handler opens scopes, calls the domain and providers, records."""

from __future__ import annotations

from importlib import import_module

MODULES = (
    "billing", "completions", "events", "notifications", "search", "system", "tenants", "webhook_endpoints",
    "webhook_sweeps", "webhooks",
)  # fmt: skip
"""Every module that binds a handler, a subscriber or a service."""


def load() -> None:
    """Import them all, so that each kind has its handler. Loading twice is loading once."""
    for name in MODULES:
        import_module(f"tasks.{name}")
