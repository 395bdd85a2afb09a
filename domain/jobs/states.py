"""The states of a job and the moves between them.

    scheduled ◀▶ queued ─▶ dispatched ─▶ running ─▶ succeeded | failed | cancelled
                   ▲ ▲──────────┘           │
                   └──── (run_at) retrying ◀┘

A job that has not begun goes back from `queued` to `scheduled` when a submission with its unique key puts it off.
The SQL of `jobs/` makes these moves in single conditional updates; the property test drives it against `MOVES`.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum


class JobState(StrEnum):
    """What the row says. Clients see `public_state`."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    DISPATCHED = "dispatched"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


TERMINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})
DUE = frozenset({JobState.SCHEDULED, JobState.QUEUED, JobState.RETRYING})

MOVES: dict[JobState, frozenset[JobState]] = {
    JobState.SCHEDULED: frozenset({JobState.QUEUED, JobState.CANCELLED}),
    JobState.QUEUED: frozenset({JobState.SCHEDULED, JobState.DISPATCHED, JobState.CANCELLED}),
    JobState.RETRYING: frozenset({JobState.QUEUED, JobState.CANCELLED}),
    JobState.DISPATCHED: frozenset({JobState.RUNNING, JobState.QUEUED, JobState.CANCELLED}),
    JobState.RUNNING: frozenset(
        {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.RETRYING, JobState.QUEUED}
    ),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
}


def public_state(state: JobState, run_at: datetime, now: datetime) -> JobState:
    """What a client sees: how a job travels to its worker is our affair, so `dispatched` and due ones read `queued`."""
    if state is JobState.DISPATCHED or (state is JobState.SCHEDULED and run_at <= now):
        return JobState.QUEUED
    return state
