"""Celery's consumer, with one change: task events go out together, a few times a second.

Celery publishes them in every turn of its loop. With one job per message that is most of what the worker's main process
does, and Flower does not need to know within a millisecond.
"""

from __future__ import annotations

from typing import Any

from celery.worker.consumer import Consumer

EVENTS_SECONDS = 0.1


class BufferingConsumer(Consumer):
    """Flushes buffered events after `EVENTS_SECONDS`, or when Celery's own buffer limit is reached."""

    _flush_is_due = False

    def on_send_event_buffered(self) -> None:  # type: ignore[override]  # the stubs take the method for a property
        """Called for every buffered event: make sure that one flush is planned."""
        hub: Any = getattr(self, "hub", None)
        if hub and not self._flush_is_due:
            self._flush_is_due = True
            hub.call_later(EVENTS_SECONDS, self._flush_later)

    def _flush_later(self) -> None:
        self._flush_is_due = False
        dispatcher: Any = getattr(self, "event_dispatcher", None)
        if dispatcher:
            dispatcher.flush()
