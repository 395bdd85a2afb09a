"""The relay in tests, where many platforms' worth of events share one database."""

from __future__ import annotations

from bus.relay import relay
from tenancy.access import Tenancy


def relay_all(tenancy: Tenancy) -> None:
    """Relay until nothing waits: a run takes the oldest events first, and other tests leave some."""
    while relay(tenancy):
        pass
