"""`event.handle`: one event for one subscriber within the platform."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bus import events
from bus.subscribers import subscriber_named
from jobs.context import JobContext
from jobs.handlers import handles


@handles("event.handle")
def handle(context: JobContext, payload: Mapping[str, Any]) -> None:
    """Call the subscriber with the event, in the event's tenant."""
    event = events.get(context.tenancy, context.tenant_id, payload["event_id"])
    subscriber_named(event.type, payload["subscriber"])(context, event)
