"""The Celery application that workers and beat run: one task per kind, all the same few lines."""

from __future__ import annotations

import gc
import os
from typing import Any

from celery import Celery, Task
from celery.signals import (
    celeryd_init,
    setup_logging,
    worker_init,
    worker_process_init,
    worker_process_shutdown,
    worker_ready,
    worker_shutdown,
    worker_shutting_down,
)

import tasks
from config.logging import configure
from config.settings import current
from jobs.kinds import KINDS
from jobs.transport import celery_app
from workers import registration, runtime, shutdown, start, task_events, telemetry, ticks
from workers.consumer import OneAhead
from workers.execution import JobsFailed, parse_items, run_message
from workers.pulse import Held

tasks.load()
app: Celery = celery_app(start.settings(), "workers.results:JobRowBackend")


def _register(name: str) -> None:
    def run(self: Task[Any, Any], items: list[list[Any]]) -> dict[str, int]:
        try:
            return run_message(runtime.runtime(), parse_items(items))
        except JobsFailed as error:
            if error.failed:
                task_events.tell(self, error.failed)
                error.failed = ()  # only the words travel to the worker's main process
            raise

    app.task(name=name, bind=True, throws=(JobsFailed,), ignore_result=True)(run)


for kind_name in KINDS:
    _register(kind_name)

ticks.register(app)
app.steps["consumer"].add(OneAhead)


_name = "worker"
"""What this process is called in logs, traces and figures: the part of the worker's name before the host's."""


@celeryd_init.connect
def _learn_name(sender: str | None, **_: Any) -> None:
    global _name  # noqa: PLW0603 - Celery's later signals do not tell
    _name = (sender or _name).partition("@")[0]


@setup_logging.connect
def _configure_logging(**_: Any) -> None:
    configure(current(), _name)


@worker_init.connect
def _refuse_wrong_accounts(**_: Any) -> None:
    start.check(runtime.runtime().tenancy)
    telemetry.begin(current(), _name)


@worker_process_init.connect
def _start_child(**_: Any) -> None:
    """In a forked child: make everything anew. A handler that will not stop takes its process with it.

    What was imported lives as long as the process, so the garbage collector need not look through it again and again.
    """
    gc.freeze()
    runtime.after_fork()
    runtime.runtime().pulse.on_overdue = _leave
    telemetry.report(runtime.runtime().tenancy, _name)


@worker_ready.connect
def _announce(sender: Any, **_: Any) -> None:
    tasks.warm(current(), sender.app.amqp.queues.consume_from)
    gc.freeze()
    registration.start(runtime.runtime().tenancy.platform, sender)
    telemetry.report(runtime.runtime().tenancy, _name)


@worker_shutting_down.connect
def _take_no_more(**_: Any) -> None:
    registration.leaving()
    shutdown.begin()


@worker_process_shutdown.connect
def _end_child(**_: Any) -> None:
    runtime.runtime().pulse.stop()
    telemetry.end()


@worker_shutdown.connect
def _withdraw(**_: Any) -> None:
    runtime.runtime().pulse.stop()
    registration.stop()
    telemetry.end()


def _leave(_entry: Held) -> None:
    os._exit(1)
