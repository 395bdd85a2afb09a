"""Running one message: claim its jobs, run them one after another, each in its own scope and with its own outcome."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import structlog
from sqlalchemy.exc import OperationalError

from config.telemetry.spans import Nothing
from config.telemetry.trace import current
from domain.audit.entries import Origin
from domain.errors import Cancelled, NotFound, NotNow, Permanent, Transient
from domain.ids import new_id
from domain.jobs.states import JobState
from jobs.context import JobContext, draw
from jobs.handlers import HANDLERS
from jobs.kinds import KINDS, payload_schema
from jobs.leases import ClaimedRow, claim
from jobs.messages import Item
from jobs.outcomes import Outcome, failed, keyless, succeeded
from jobs.rows import open_json
from tenancy.audit import acting
from tenancy.gathering import Gathering
from tenancy.vault import SealBroken
from workers import tracing
from workers.pulse import Held
from workers.runtime import Runtime
from workers.task_events import FailedJob

if TYPE_CHECKING:
    from config.telemetry.recording import Span

log = structlog.get_logger(__name__)


class JobsFailed(Exception):
    """Ends the Celery task as failed, so that Flower tells the truth. Carries counts and codes, never a detail."""

    failed: Sequence[FailedJob] = ()


def run_message(runtime: Runtime, items: Sequence[Item]) -> dict[str, int]:
    """Run what this message carries; returns how many jobs succeeded and how many were no longer ours.

    Raises `JobsFailed` if any attempt failed. Outcomes are written by the pulse, which begins at once.
    """
    token, rows = _CLAIMS.ask(runtime, items)
    held = [Held(row["id"], token) for row in rows]
    runtime.pulse.hold(held)
    ran, failures = 0, list[FailedJob]()
    try:
        with tracing.message(rows) as message:
            for row, entry in zip(rows, held, strict=True):
                if runtime.pulse.begin(entry):
                    ran += 1
                    failures.extend(_run_one(runtime, row, entry, message))
    finally:
        runtime.pulse.abandon(held)
    if failures:
        error = JobsFailed(f"{len(failures)} of {ran} jobs failed this attempt")
        error.failed = failures if len(items) > 1 else ()
        raise error
    return {"succeeded": ran, "not_ours": len(items) - ran}


def _claim(runtime: Runtime, messages: Sequence[Sequence[Item]]) -> list[tuple[UUID, list[ClaimedRow]]]:
    """Claim for the messages that the threads of a pool begin at the same time, in one statement and under one token."""
    token = new_id()
    rows = claim(
        runtime.tenancy.platform, [item for items in messages for item in items], token=token,
        worker_id=runtime.worker_id, lease_seconds=runtime.pulse.lease_seconds,
    )  # fmt: skip
    found = {row["id"]: row for row in rows}
    return [(token, [found[job_id] for job_id, _ in items if job_id in found]) for items in messages]


_CLAIMS: Gathering[Runtime, Sequence[Item], tuple[UUID, list[ClaimedRow]]] = Gathering(_claim)


def _run_one(runtime: Runtime, row: ClaimedRow, entry: Held, message: Span | Nothing) -> list[FailedJob]:
    """The attempt, if it failed."""
    started = time.monotonic()
    with tracing.attempt(row, message) as span:
        outcome = _outcome(runtime, row, entry)
        if outcome.code is not None:
            span.fail(outcome.code)
    entry.context = None
    seconds = time.monotonic() - started
    runtime.pulse.finish(entry, outcome, seconds, (row["tenant_id"], row["queue"]))
    if outcome.state is JobState.SUCCEEDED:
        return []
    return [FailedJob(str(row["id"]), row["attempt"], outcome.code or outcome.state.value, seconds)]


def _outcome(runtime: Runtime, row: ClaimedRow, entry: Held) -> Outcome:
    job_id, kind, here = row["id"], row["kind"], current()
    try:
        vault = runtime.tenancy.vault(row["tenant_id"])
    except (NotFound, SealBroken, Transient, OperationalError, psycopg.OperationalError):
        log.warning("job.keys_unavailable", job_id=str(job_id), tenant_id=str(row["tenant_id"]), exc_info=True)
        return keyless(job_id, entry.token, kind, row["attempt"], row["max_attempts"], draw())
    facts = {"job_id": str(job_id), "tenant_id": str(row["tenant_id"]), "kind": kind, "attempt": row["attempt"]}
    if row["request_id"]:
        facts["request_id"] = row["request_id"]
    if here is not None:
        facts["trace_id"] = here.trace_id
    with structlog.contextvars.bound_contextvars(**facts):
        try:
            context = _context(runtime, row, entry)
            payload = payload_schema(kind).load(
                open_json(bytes(row["payload_sealed"]), "payload_sealed", job_id, vault)
            )
            with acting(Origin(f"job:{job_id}", context.principal.user_id, row["request_id"])):
                result = HANDLERS[kind](context, payload)
            outcome = succeeded(job_id, entry.token, kind, result, vault)
        except Exception as error:
            # Whatever a handler raises is an outcome of its job and never of its neighbours.
            outcome = failed(job_id, entry.token, kind, _named(error), row["attempt"], vault, draw())
            log.warning("job.attempt_failed", code=outcome.code, next_state=outcome.state.value,
                        exc_info=outcome.code == "handler_bug")  # fmt: skip
        else:
            log.debug("job.succeeded")
        return outcome


def _named(error: Exception) -> Exception:
    """A platform database that goes away under a handler is no bug of the handler. The attempt counts, for it may be what
    takes the database down.
    """
    if isinstance(error, (OperationalError, psycopg.OperationalError)):
        return Transient("The platform's database went away.", code="platform_database_down")
    return error


def _context(runtime: Runtime, row: ClaimedRow, entry: Held) -> JobContext:
    """Check again what the submitter was allowed and the tenant's state, which may have changed since."""
    declared, tenant_id = KINDS[row["kind"]], row["tenant_id"]
    principal = runtime.principal(row["principal"], tenant_id)
    if principal is None:
        raise Permanent("The account that submitted the job is gone.", code="principal_gone")
    if declared.permission and principal.user_id is not None and not principal.may(declared.permission):
        raise Permanent(f"The submitter no longer holds {declared.permission}.", code="permission_denied")
    # What was changed before the claim holds for this job, whatever this process remembers of the tenant.
    state = runtime.tenancy.record(tenant_id, row["tenant_version"] or 0).state
    if declared.needs_active_tenant and state != "active":
        raise NotNow(f"The tenant is {state}.", code="tenant_unavailable", retry_after=15.0)
    if entry.cancel_requested:
        raise Cancelled("The job was cancelled before its handler began.")
    context = JobContext(
        job_id=row["id"],
        kind=row["kind"],
        attempt=row["attempt"],
        token=entry.token,
        principal=principal,
        tenancy=runtime.tenancy,
        deadline=time.monotonic() + row["deadline_seconds"],
        sink=runtime.pulse,
        request_id=row["request_id"],
        _checkpoint=None if row["checkpoint_sealed"] is None else bytes(row["checkpoint_sealed"]),
    )
    entry.context = context
    return context


def parse_items(raw: Sequence[Sequence[Any]]) -> list[Item]:
    """The items of a message as it came off the wire."""
    return [(UUID(job_id), int(attempt)) for job_id, attempt in raw]
