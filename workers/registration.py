"""Tells PostgreSQL that this worker lives, which queues it serves and how many jobs it runs at once."""

from __future__ import annotations

import os
import threading
from typing import Any

import structlog

from jobs import fleet
from tenancy.database import Database
from workers.runtime import worker_id

HEARTBEAT_SECONDS = 2.0

log = structlog.get_logger(__name__)
_stopped = threading.Event()
_leaving = threading.Event()
_soon = threading.Event()
_platform: Database | None = None


def start(platform: Database, consumer: Any) -> None:
    """Begin to send heartbeats for the Celery worker whose consumer this is."""
    global _platform  # noqa: PLW0603 - Celery's shutdown signal brings no state along
    _platform = platform
    facts = {
        "id": worker_id(),
        "name": consumer.hostname,
        "queues": sorted(consumer.app.amqp.queues.consume_from),
        "slots": consumer.pool.limit if hasattr(consumer.pool, "limit") else consumer.pool.num_processes,
        "pid": os.getpid(),
    }
    threading.Thread(target=_beat, args=(platform, facts), name="nexus-registration", daemon=True).start()


def leaving() -> None:
    """Say at the next beat, which is now, that no more should be dispatched for this worker. Called in a signal handler."""
    _leaving.set()
    _soon.set()


def stop() -> None:
    """Withdraw: no job is dispatched for a worker that is leaving."""
    _stopped.set()
    _soon.set()
    if _platform is not None:
        fleet.withdraw(_platform, worker_id())


def _beat(platform: Database, facts: dict[str, Any]) -> None:
    while not _stopped.is_set():
        try:
            fleet.beat(platform, {**facts, "stopping": _leaving.is_set()})
        except Exception:
            # The next beat may find the database again; a worker unseen meanwhile only gets no new jobs.
            log.warning("worker.heartbeat_failed", exc_info=True)
        _soon.wait(HEARTBEAT_SECONDS)
        _soon.clear()
