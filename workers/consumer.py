"""Celery's consumer, with two changes for a broker without acknowledgements.

Task events go out together, a few times a second: Celery publishes them in every turn of its loop. With one job per
message that is most of what the worker's main process does, and Flower does not need to know within a millisecond.

A prefork worker takes one message for each slot ahead while messages are quick, so that no slot waits for the broker.
Behind slow ones it takes nothing: another worker may be free.
"""

from __future__ import annotations

import time
from types import MethodType
from typing import Any

from celery import bootsteps
from celery.concurrency.prefork import TaskPool
from celery.worker import state
from celery.worker.consumer import Consumer, Tasks

EVENTS_SECONDS = 0.1
EVENTS_AT_ONCE = 1000
"""Events that are sent before their time is up, so that a flood does not grow in memory."""

QUICK_SECONDS = 0.01
"""Messages are quick if a slot has lately begun one at least this often. One that has run for longer is slow."""

LATELY_SECONDS = 0.05


class BufferingConsumer(Consumer):
    """Flushes buffered events after `EVENTS_SECONDS`, or when there are `EVENTS_AT_ONCE`. Celery's own limit is 24."""

    _flush_is_due = False

    def on_send_event_buffered(self) -> None:  # type: ignore[override]  # the stubs take the method for a property
        """Called for every buffered event: make sure that one flush is planned."""
        hub: Any = getattr(self, "hub", None)
        if hub and not self._flush_is_due:
            self._flush_is_due = True
            self._dispatcher.buffer_limit = EVENTS_AT_ONCE
            hub.call_later(EVENTS_SECONDS, self._flush_later)

    def _flush_later(self) -> None:
        self._flush_is_due = False
        if self._dispatcher:
            self._dispatcher.flush()

    @property
    def _dispatcher(self) -> Any:
        return getattr(self, "event_dispatcher", None)


class OneAhead(bootsteps.StartStopStep):
    """Lets the consumer take a message ahead of each free slot, in place of `worker_disable_prefetch`, which lets it take none.

    Celery asks its channel's `can_consume` before each fetch, and has its own limit put in there, as we do.
    """

    requires = (Tasks,)

    def start(self, parent: Any) -> None:
        """Raise the limit of a prefork worker on Redis; other brokers and pools keep theirs."""
        if parent.connection.transport.driver_type != "redis" or not isinstance(parent.pool, TaskPool):
            return
        qos = parent.task_consumer.channel.qos
        by_the_broker = type(qos).can_consume
        pace = Pace()

        def can_consume(self: Any) -> bool:
            slots = parent.pool.num_processes
            reserved = len(state.reserved_requests)
            if reserved >= 2 * slots or (reserved >= slots and not pace.is_quick(slots)):
                return False
            return bool(by_the_broker(self))

        qos.can_consume = MethodType(can_consume, qos)


class Pace:
    """How fast messages begin in this worker: asked in each turn of Celery's loop, so it counts seldom and compares often."""

    def __init__(self) -> None:
        self._at = time.monotonic()
        self._begun = state.all_total_count[0]
        self._rate = 0.0

    def is_quick(self, slots: int) -> bool:
        """Whether messages are quick at present, and none that runs is slow. A worker that was idle is not: who knows."""
        now = time.monotonic()
        if now - self._at >= LATELY_SECONDS:
            begun = state.all_total_count[0]
            self._rate = (begun - self._begun) / (now - self._at)
            self._at, self._begun = now, begun
        if self._rate < slots / QUICK_SECONDS:
            return False
        slow_since = time.time() - QUICK_SECONDS
        return all(request.time_start is None or request.time_start > slow_since for request in state.active_requests)
