"""Parents and children, and jobs that wait for others: who may be named, and what follows when they have finished.

A job names only jobs that are there already and never changes whom it names, so neither parents nor waits can form a circle.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from domain.errors import FieldError, IllegalTransition, InvalidPayload
from domain.jobs.states import TERMINAL, JobState

DEPTH_LIMIT = 16
"""Generations, the first parent included."""

AFTER_LIMIT = 1_000
"""Jobs that one job may wait for."""


class AfterPolicy(StrEnum):
    """What a job needs of those it waits for: that all succeed, or only that all finish."""

    ALL_SUCCEEDED = "all_succeeded"
    ALL_FINISHED = "all_finished"


class Verdict(StrEnum):
    """What becomes of a job that waits."""

    WAIT = "wait"
    RELEASE = "release"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Relative:
    """A job that another names. `depth` is how many generations it ends, 1 for a job without a parent."""

    id: UUID
    state: JobState
    cancel_requested: bool
    depth: int


def verdict(policy: AfterPolicy, remaining: int, unsuccessful: int) -> Verdict:
    """What becomes of a job while `remaining` of those it waits for are live and `unsuccessful` did not succeed."""
    if policy is AfterPolicy.ALL_SUCCEEDED and unsuccessful:
        return Verdict.CANCEL
    return Verdict.WAIT if remaining else Verdict.RELEASE


def check_parent(parent_id: UUID, parent: Relative | None) -> None:
    """Raise `InvalidPayload` for a parent that is not there or too deep, `IllegalTransition` for one that takes no more."""
    if parent is None:
        raise unknown_relative("/parent_id", parent_id)
    if parent.state in TERMINAL:
        raise IllegalTransition(f"Job {parent_id} has {parent.state}; only a live job can have more children.")
    if parent.cancel_requested:
        raise IllegalTransition(f"Job {parent_id} is being cancelled; it can have no more children.")
    if parent.depth >= DEPTH_LIMIT:
        fault = FieldError("/parent_id", "too_deep", f"At most {DEPTH_LIMIT} generations.")
        raise InvalidPayload(f"Job {parent_id} ends {parent.depth} generations; more cannot follow.", errors=(fault,))


def unknown_relative(pointer: str, job_id: UUID) -> InvalidPayload:
    """The error for naming a job that the tenant does not have."""
    return InvalidPayload(
        f"There is no job {job_id}.", errors=(FieldError(pointer, "not_found", f"There is no job {job_id}."),)
    )
