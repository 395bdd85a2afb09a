"""Firing schedules, by the leader: the jobs of due periods are inserted in the transaction that moves the schedule on.

Rows are locked with SKIP LOCKED, so any number of leaders share the work; a crash anywhere leaves a schedule as it was,
and a period's job has an idempotency key of its own. So each period fires exactly once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, LiteralString
from uuid import UUID

import structlog

from domain.errors import InvalidPayload, NotFound, PayloadTooLarge, PermissionDenied, Transient, UnknownKind
from domain.identity.principals import Principal
from domain.schedules.missed import Missed, due
from domain.schedules.reasons import Reason
from jobs.admission import admit
from jobs.kinds import KINDS
from jobs.schedules import open_payload, timing
from jobs.submit import INSERT, INTERNAL, NewJob, insert_parameters
from tenancy.access import Tenancy
from tenancy.database import NO_SCOPE
from tenancy.identity.principals import permissions_of
from tenancy.vault import SealBroken, Vault

SCHEDULES_PER_ROUND = 50
PERIODS_PER_ROUND = 200
"""Bounds on one transaction to a tenth of a second or so: the leader dispatches between rounds."""
CATCH_UP_PER_ROUND = 100
"""Missed periods of one schedule that a round makes up for; the next round goes on."""

# Kinds that this version does not know are left for one that does, as in dispatching.
_DUE: LiteralString = """
SELECT s.id, s.tenant_id, s.principal, coalesce(%(now)s::timestamptz, now()) AS now
  FROM schedules s JOIN tenants t ON t.id = s.tenant_id
 WHERE s.next_at <= coalesce(%(now)s::timestamptz, now()) AND s.kind = ANY(%(kinds)s) AND t.state = 'active'
 ORDER BY s.next_at LIMIT %(most)s
"""

_LOCK: LiteralString = """
SELECT id, tenant_id, kind, payload_sealed, cron, timezone, missed, priority, principal, next_at FROM schedules
 WHERE id = ANY(%(ids)s) AND next_at <= %(now)s ORDER BY next_at FOR UPDATE SKIP LOCKED
"""

_ADVANCE: LiteralString = """
UPDATE schedules SET next_at = %(next_at)s, disabled_reason = %(reason)s,
       last_fired_at = coalesce(%(last_fired_at)s, last_fired_at), last_job_id = coalesce(%(last_job_id)s, last_job_id)
 WHERE id = %(id)s
"""

_NOTHING_FIRED: dict[str, Any] = {"last_fired_at": None, "last_job_id": None}

log = structlog.get_logger(__name__)

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Owner:
    """On whose behalf a schedule fires: None if the account is gone, and without keys if they cannot be had."""

    principal: Principal | None
    vault: Vault | None


@dataclass(frozen=True, slots=True)
class _Step:
    """What becomes of a schedule in this round: its new columns and the jobs to insert."""

    advance: dict[str, Any]
    jobs: tuple[dict[str, Any], ...] = ()


def fire_due(tenancy: Tenancy, at: datetime | None = None) -> int:
    """Submit the jobs of due periods, for a bounded number of schedules; returns how many jobs.

    Due is what the database's clock says, unless a moment is given: a leader whose clock has jumped must neither take periods
    for missed nor keep them waiting. A schedule that cannot go on rests with a reason, which the API shows. Those of a tenant that is not active wait.
    """
    parameters = {"now": at, "kinds": list(KINDS), "most": SCHEDULES_PER_ROUND}
    found = tenancy.platform.fetch(_DUE, parameters)
    if not found:
        return 0
    now: datetime = found[0]["now"]
    asked = {key: _owner(tenancy, *key) for key in {(row["tenant_id"], row["principal"]) for row in found}}
    owners = {key: owner for key, owner in asked.items() if owner is not None}
    with tenancy.platform.session(NO_SCOPE) as session:
        connection = session.connection()
        locked = connection.exec_driver_sql(_LOCK, {"now": now, "ids": [row["id"] for row in found]}).mappings().all()
        # One whose owner changed in between is left to the next round, as is one whose keys cannot be had for now.
        rows = [dict(row) for row in locked if (row["tenant_id"], row["principal"]) in owners]
        most = min(CATCH_UP_PER_ROUND, PERIODS_PER_ROUND // max(1, len(rows)))
        steps = [_guarded(tenancy, row, owners[row["tenant_id"], row["principal"]], now, most) for row in rows]
        jobs = [job for step in steps for job in step.jobs]
        if steps:
            connection.exec_driver_sql(_ADVANCE, [step.advance for step in steps])
        if jobs:
            connection.exec_driver_sql(INSERT, jobs)
    _tell(rows, steps)
    return len(jobs)


def period_key(schedule_id: UUID, period: datetime) -> str:
    """The idempotency key of a period's job."""
    return f"{INTERNAL}schedule:{schedule_id}:{period.astimezone(UTC).isoformat()}"


def _owner(tenancy: Tenancy, tenant_id: UUID, subject: str) -> _Owner | None:
    """None if a later round has to look again."""
    try:
        vault = tenancy.vault(tenant_id)
    except (NotFound, SealBroken):
        vault = None
    except Transient:
        return None
    return _Owner(permissions_of(tenancy.platform, subject, tenant_id), vault)


def _guarded(tenancy: Tenancy, row: Row, owner: _Owner, now: datetime, most: int) -> _Step:
    """What becomes of a schedule, whatever happens: a bug in one must not stop the leader, who serves them all."""
    try:
        return _step(tenancy, row, owner, now, most)
    except Exception:
        log.exception("schedule.firing_failed", schedule_id=str(row["id"]), tenant_id=str(row["tenant_id"]))
        return _resting(row, Reason.INTERNAL_ERROR)


def _step(tenancy: Tenancy, row: Row, owner: _Owner, now: datetime, most: int) -> _Step:
    if owner.principal is None:
        return _resting(row, Reason.PRINCIPAL_GONE)
    if owner.vault is None:
        return _resting(row, Reason.PAYLOAD_UNREADABLE)
    try:
        cron, zone = timing(row["cron"], row["timezone"])
    except InvalidPayload:  # a time zone that this machine's database has no more
        return _resting(row, Reason.INVALID_TIMING)
    found = due(cron, zone, Missed(row["missed"]), row["next_at"], now, most)
    try:
        admit(owner.principal, row["kind"])
        payload = open_payload(bytes(row["payload_sealed"]), row["id"], owner.vault)
        jobs = tuple(_job(tenancy, row, owner.principal, owner.vault, payload, period) for period in found.periods)
    except (PermissionDenied, UnknownKind):
        return _resting(row, Reason.PERMISSION_DENIED)
    except SealBroken:
        return _resting(row, Reason.PAYLOAD_UNREADABLE)
    except (InvalidPayload, PayloadTooLarge):
        return _resting(row, Reason.INVALID_PAYLOAD)
    last = {"last_fired_at": found.periods[-1], "last_job_id": jobs[-1]["id"]} if jobs else _NOTHING_FIRED
    return _Step({"id": row["id"], "next_at": found.next_at, "reason": None, **last}, jobs)


def _job(
    tenancy: Tenancy, row: Row, principal: Principal, vault: Vault, payload: Row, period: datetime
) -> dict[str, Any]:
    """The parameters of a period's job, which was due when the period was."""
    new = NewJob(
        kind=row["kind"], payload=payload, principal=principal, run_at=period, priority=row["priority"],
        idempotency_key=period_key(row["id"], period),
    )  # fmt: skip
    return insert_parameters(tenancy, new, vault)


def _resting(row: Row, reason: Reason) -> _Step:
    return _Step({"id": row["id"], "next_at": None, "reason": reason.value, **_NOTHING_FIRED})


def _tell(rows: Sequence[Row], steps: Sequence[_Step]) -> None:
    for row, step in zip(rows, steps, strict=True):
        if step.advance["reason"] is not None:
            facts = {"schedule_id": str(row["id"]), "tenant_id": str(row["tenant_id"]), "kind": row["kind"]}
            log.warning("schedule.rests", reason=step.advance["reason"], **facts)
    log.info("schedules.fired", schedules=len(steps), jobs=sum(len(step.jobs) for step in steps))
