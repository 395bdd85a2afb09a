"""How an attempt ended, and writing that down once: the row's token decides whose outcome counts."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, LiteralString
from uuid import UUID

from domain.errors import JobError
from domain.jobs.retry import GiveUp, Retry, RetryPolicy, decide
from domain.jobs.states import JobState
from jobs.kinds import KINDS, kind
from jobs.rows import seal_json
from tenancy.database import Database
from tenancy.vault import Vault

_FINISH: LiteralString = """
UPDATE jobs j
   SET state = CASE WHEN o.state = 'retrying' AND j.cancel_requested THEN 'cancelled' ELSE o.state END,
       result_sealed = o.result, error_sealed = o.error, error_code = o.code,
       run_at = CASE WHEN o.state = 'retrying' THEN now() + make_interval(secs => o.delay) ELSE j.run_at END,
       finished_at = CASE WHEN o.state = 'retrying' AND NOT j.cancel_requested THEN NULL ELSE now() END,
       expires_at = CASE WHEN o.state = 'retrying' AND NOT j.cancel_requested THEN NULL
                         ELSE now() + make_interval(secs => o.retention) END,
       attempt = j.attempt - (NOT o.counted)::int,
       progress_done = coalesce(o.done, j.progress_done), progress_total = coalesce(o.total, j.progress_total),
       progress_message = coalesce(o.message, j.progress_message),
       single = j.single OR o.single, token = NULL, worker_id = NULL, lease_until = NULL, version = version + 1
  FROM unnest(%(ids)s::uuid[], %(tokens)s::uuid[], %(states)s::text[], %(results)s::bytea[], %(errors)s::bytea[],
              %(codes)s::text[], %(delays)s::float8[], %(retentions)s::float8[], %(singles)s::bool[],
              %(counted)s::bool[], %(done)s::int[], %(total)s::int[], %(messages)s::text[])
    AS o (id, token, state, result, error, code, delay, retention, single, counted, done, total, message)
 WHERE j.id = o.id AND j.token = o.token AND j.state = 'running'
RETURNING j.id
"""

LOST_RETRY_BASE, LOST_RETRY_MAX = 0.5, 30.0
"""A job whose worker vanished did nothing wrong, most likely: it comes back sooner than one that failed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What to write for one attempt.

    `delay` (seconds) matters to `retrying`; `single` keeps the job out of later batches; an attempt that is not `counted`
    did not really take place. `progress` is the last that the handler told, if it was not written yet.
    """

    job_id: UUID
    token: UUID
    kind: str
    state: JobState
    result: bytes | None = None
    error: bytes | None = None
    code: str | None = None
    delay: float = 0.0
    single: bool = False
    counted: bool = True
    progress: tuple[int, int | None, str] | None = None


def succeeded(job_id: UUID, token: UUID, kind_name: str, result: Any, vault: Vault) -> Outcome:
    """The handler returned."""
    sealed = None if result is None else seal_json(result, "result_sealed", job_id, vault)
    return Outcome(job_id, token, kind_name, JobState.SUCCEEDED, sealed)


def failed(
    job_id: UUID, token: UUID, kind_name: str, error: BaseException, attempt: int, vault: Vault, draw: float
) -> Outcome:
    """The handler raised: retry, give up or cancel, as the kind's policy decides."""
    decision = decide(error, attempt, kind(kind_name).retry, draw)
    described = describe(error, retryable=isinstance(decision, Retry))
    sealed = seal_json(described, "error_sealed", job_id, vault)
    code = str(described["code"])
    if isinstance(decision, Retry):
        return Outcome(
            job_id, token, kind_name, JobState.RETRYING, None, sealed, code, decision.delay, counted=decision.counted
        )
    state = JobState.CANCELLED if decision.cancelled else JobState.FAILED
    return Outcome(job_id, token, kind_name, state, None, sealed, code)


def lost(
    job_id: UUID, token: UUID, kind_name: str, attempt: int, max_attempts: int, vault: Vault | None, draw: float
) -> Outcome:
    """The lease ran out: the worker was killed, froze or lost its database. Counted as an attempt, so poison ends."""
    return _without_handler(
        job_id, token, kind_name, attempt, max_attempts, vault, draw,
        code="worker_lost",
        title="The worker was lost",
        detail=f"The worker that ran attempt {attempt} stopped answering.",
    )  # fmt: skip


def keyless(job_id: UUID, token: UUID, kind_name: str, attempt: int, max_attempts: int, draw: float) -> Outcome:
    """The tenant's keys could not be read, so neither could the payload; nor can an error be sealed: the code tells."""
    return _without_handler(job_id, token, kind_name, attempt, max_attempts, None, draw, code="keys_unavailable")


def _without_handler(
    job_id: UUID,
    token: UUID,
    kind_name: str,
    attempt: int,
    max_attempts: int,
    vault: Vault | None,
    draw: float,
    *,
    code: str,
    title: str = "",
    detail: str = "",
) -> Outcome:
    policy = RetryPolicy(max_attempts, LOST_RETRY_BASE, LOST_RETRY_MAX)
    decision: Retry | GiveUp = GiveUp() if attempt >= max_attempts else Retry(policy.delay(attempt, draw))
    retried = isinstance(decision, Retry)
    described = {"code": code, "title": title, "detail": detail, "retryable": retried}
    return Outcome(
        job_id,
        token,
        kind_name,
        JobState.RETRYING if retried else JobState.FAILED,
        error=None if vault is None else seal_json(described, "error_sealed", job_id, vault),
        code=code,
        delay=decision.delay if isinstance(decision, Retry) else 0.0,
        single=True,
    )


def describe(error: BaseException, *, retryable: bool) -> dict[str, Any]:
    """An error as it is recorded. A bug keeps its traceback for operators; clients only learn that it was one."""
    if isinstance(error, JobError):
        return {"code": error.job_code, "title": error.title, "detail": error.detail, "retryable": retryable}
    return {
        "code": "handler_bug",
        "title": "The handler failed unexpectedly",
        "detail": "An error of the platform, not of the request. Operators see the details.",
        "retryable": retryable,
        "traceback": "".join(traceback.format_exception(error)),
    }


def record(platform: Database, outcomes: Sequence[Outcome]) -> set[UUID]:
    """Write outcomes in one statement; returns the jobs that took theirs. The others were fenced: theirs is dropped."""
    outcomes = sorted(outcomes, key=lambda outcome: outcome.job_id)  # one order of locks for all who write
    parameters = {
        "ids": [outcome.job_id for outcome in outcomes],
        "tokens": [outcome.token for outcome in outcomes],
        "states": [outcome.state.value for outcome in outcomes],
        "results": [outcome.result for outcome in outcomes],
        "errors": [outcome.error for outcome in outcomes],
        "codes": [outcome.code for outcome in outcomes],
        "delays": [outcome.delay for outcome in outcomes],
        "retentions": [_retention(outcome.kind).total_seconds() for outcome in outcomes],
        "singles": [outcome.single for outcome in outcomes],
        "counted": [outcome.counted for outcome in outcomes],
        "done": [outcome.progress and outcome.progress[0] for outcome in outcomes],
        "total": [outcome.progress and outcome.progress[1] for outcome in outcomes],
        "messages": [outcome.progress and outcome.progress[2] for outcome in outcomes],
    }
    return {row["id"] for row in platform.fetch(_FINISH, parameters)}


def _retention(kind_name: str) -> timedelta:
    """Of a kind that this version does not know, as after a rollback, too."""
    declared = KINDS.get(kind_name)
    return timedelta(days=30) if declared is None else declared.retention
