"""Task events for Flower of those jobs that Celery's own events do not tell of.

Celery knows messages. One that carries several jobs is one task there: under the kind's name, with its jobs' ids for arguments, failed
if any of them failed, as long as all of them took. So a job that failed among others is told as a task of its own, as it would have
been had it travelled alone. Those that succeeded are in the message's count: an event for each would cost more than the job.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from celery import Task

log = structlog.get_logger(__name__)

GROUP = "task"


@dataclass(frozen=True, slots=True)
class FailedJob:
    """One failed attempt of a message of several, by its stable code, and the seconds that it took."""

    job_id: str
    attempt: int
    code: str
    seconds: float


def tell(task: Task[Any, Any], failed: Sequence[FailedJob]) -> None:
    """Send the events of these. Flower is for looking on: a broker that is away, or anything else, only leaves it blind."""
    try:
        with task.app.amqp.producer_pool.acquire(block=True) as producer:
            dispatcher = task.app.events.Dispatcher(
                connection=producer.connection,
                channel=producer.channel,
                hostname=task.request.hostname,
                buffer_group={GROUP},
                buffer_limit=10 * len(failed),
            )
            with dispatcher:
                for each in failed:
                    _tell_one(dispatcher, task, each)
                dispatcher.flush()
    except Exception:
        log.info("task_events.unsent", jobs=len(failed), exc_info=True)


def _tell_one(dispatcher: Any, task: Task[Any, Any], job: FailedJob) -> None:
    named = {"uuid": f"{job.job_id}.{job.attempt}", "name": task.name}
    asked = {"args": f"({job.job_id})", "kwargs": "{}", "retries": job.attempt - 1, "eta": None, "expires": None}
    dispatcher.send("task-received", root_id=task.request.id, parent_id=task.request.id, **named, **asked)
    dispatcher.send("task-started", **named)
    dispatcher.send("task-failed", exception=f"JobFailed({job.code!r})", traceback="", runtime=job.seconds, **named)
