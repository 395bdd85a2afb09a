"""Who wants to know within the platform: `@subscribes("tenant.provisioned")` on a function of `tasks/`."""

from __future__ import annotations

from collections.abc import Callable

from bus.events import Event
from domain.errors import Transient
from domain.events import EVENTS
from jobs.context import JobContext

Subscriber = Callable[[JobContext, Event], None]
"""Runs as a job of its own, `event.handle`, with that kind's retries. It may run twice, as every job."""

SUBSCRIBERS: dict[str, dict[str, Subscriber]] = {}
"""By event and by the subscriber's name, `module.function`. The name is in waiting jobs, so a renamed one misses those."""


def subscribes(event: str) -> Callable[[Subscriber], Subscriber]:
    """Register the function for an event. Raises `LookupError` for an unknown event or a name that is taken."""

    def register(subscriber: Subscriber) -> Subscriber:
        name = f"{subscriber.__module__.rpartition('.')[2]}.{subscriber.__name__}"
        known = SUBSCRIBERS.setdefault(event, {})
        if event not in EVENTS or name in known:
            raise LookupError(f"{event} is not an event, or {name} subscribes to it already")
        known[name] = subscriber
        return subscriber

    return register


def subscriber_named(event: str, name: str) -> Subscriber:
    """Raises `Transient` (`subscriber_unknown`): another version of the platform may know it."""
    try:
        return SUBSCRIBERS[event][name]
    except KeyError:
        raise Transient(f"No subscriber {name} of {event} here.", code="subscriber_unknown") from None
