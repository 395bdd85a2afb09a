"""Leaving in time: a worker that was asked to stop finishes what it runs, and hands back what it cannot finish soon.

Celery's warm shutdown waits for as long as a task runs, and whoever runs the worker kills it before that. A job handed
back is queued again at once and has not used up an attempt; one that is killed would wait for its lease to run out.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterable
from contextlib import suppress

import psutil
import structlog

from jobs.leases import hand_back_all
from workers.runtime import runtime, worker_id

log = structlog.get_logger(__name__)


def begin() -> None:
    """The worker was asked to stop: allow what runs its time, then end. Called in a signal handler of the main process."""
    threading.Thread(target=_end_in_time, args=(runtime().settings.worker_stop_seconds,), daemon=True).start()


def kill(processes: Iterable[psutil.Process]) -> None:
    """End them at once; those that have ended by themselves are ended too."""
    for each in processes:
        with suppress(psutil.NoSuchProcess):
            each.send_signal(signal.SIGKILL)


def _end_in_time(seconds: float) -> None:
    threading.Event().wait(seconds)
    try:
        kill(psutil.Process().children())  # before the jobs go back, so that none runs twice at a time
        ids = hand_back_all(runtime().tenancy.platform, worker_id())
        log.warning("worker.handed_back", jobs=len(ids), after_seconds=seconds)
    finally:
        os._exit(0)
