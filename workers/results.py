"""Celery's result backend, answered from the job row: `AsyncResult(job_id)` tells the truth in any Celery client.

It only reads. Outcomes are written by the engine, with the row's token, so Celery's own writes are refused silently:
its tasks are messages, not jobs.
"""

from __future__ import annotations

from typing import Any

from celery import states
from celery.backends.base import BaseBackend

from domain.ids import parse_id
from domain.jobs.states import JobState
from jobs.rows import COLUMNS, KEPT, error_of, result_of
from workers.runtime import runtime

_STATES = {
    JobState.SCHEDULED: states.PENDING,
    JobState.QUEUED: states.PENDING,
    JobState.DISPATCHED: states.RECEIVED,
    JobState.RUNNING: states.STARTED,
    JobState.RETRYING: states.RETRY,
    JobState.SUCCEEDED: states.SUCCESS,
    JobState.FAILED: states.FAILURE,
    JobState.CANCELLED: states.REVOKED,
}


class JobFailedError(Exception):
    """What `AsyncResult.result` holds for a failed job: its code and detail."""


class JobRowBackend(BaseBackend):
    """Reads the job whose id is the task id. An id that is no job's is `PENDING`, as Celery has it."""

    supports_native_join = False
    supports_autoexpire = True
    persistent = True

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        job_id = parse_id(task_id.partition(".")[0])
        rows = [] if job_id is None else runtime().tenancy.platform.fetch(
            f"SELECT {COLUMNS} FROM jobs WHERE id = %(id)s AND {KEPT}", {"id": job_id}
        )  # fmt: skip
        if not rows:
            return {"task_id": task_id, "status": states.PENDING, "result": None, "traceback": None, "children": []}
        row = rows[0]
        state = _STATES[JobState(row["state"])]
        vault = runtime().tenancy.vault(row["tenant_id"])
        result: Any = result_of(row, vault)
        error = error_of(row, vault)
        if state in states.EXCEPTION_STATES and error is not None:
            result = JobFailedError(f"{error['code']}: {error['detail']}")
        return {
            "task_id": task_id,
            "status": state,
            "result": result,
            "traceback": (error or {}).get("traceback"),
            "children": [],
            "date_done": row["finished_at"],
        }

    def get_task_meta(self, task_id: str, cache: bool = False) -> dict[str, Any]:
        """The row as Celery's meta dictionary; never cached, because the row is the truth."""
        return self._get_task_meta_for(task_id)

    def store_result(self, *_: Any, **__: Any) -> None:
        """The engine has written the outcome already."""
