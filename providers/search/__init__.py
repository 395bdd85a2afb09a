"""Search sources of tenants' own, asked over HTTP."""

from providers.search.source import Endpoint, ask

__all__ = ["Endpoint", "ask"]
