"""Waves of migrations: what operators start, pause and resume, and the job that may drive.

The row of the wave names the job that drives it, and is written in the transaction that inserts that job. A job that is not
named any more, or finds the wave paused, ends without doing anything. So a wave has one driver, and never a row without a job.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from sqlalchemy.orm import Session

from domain.errors import Conflict, FieldError, IllegalTransition, InvalidPayload, NotFound
from domain.identity.principals import system
from jobs.hints import hints
from jobs.operators import operator_tenant
from jobs.rows import LIVE
from jobs.submit import INSERT, NewJob, Submitted, insert_parameters
from tenancy.access import Tenancy
from tenancy.audit import audited, noted
from tenancy.database import Database, Row, Scope
from tenancy.fleet import newest
from tenancy.scopes import operator_scope, tenant_scope

_COLUMNS: LiteralString = """w.id, w.target, w.state, w.reason, w.canaries, w.databases, w.started_by, w.job_id, w.created_at,
 w.finished_at"""
_LATEST: LiteralString = f"SELECT {_COLUMNS} FROM fleet_waves w ORDER BY w.id DESC LIMIT 1"
_START: LiteralString = f"""
INSERT INTO fleet_waves AS w (id, target, canaries, started_by, job_id)
VALUES (%(wave_id)s, %(target)s, %(canaries)s, %(by)s, %(id)s)
ON CONFLICT DO NOTHING RETURNING {_COLUMNS}
"""
_RESUME: LiteralString = f"""
UPDATE fleet_waves w SET state = 'running', reason = NULL, target = %(target)s, job_id = %(id)s
 WHERE id = %(wave_id)s AND (state IN ('paused', 'stopped')
       OR state = 'running' AND NOT EXISTS (SELECT FROM jobs j WHERE j.id = w.job_id AND {LIVE}))
RETURNING {_COLUMNS}
"""
_PAUSE: LiteralString = f"""
UPDATE fleet_waves w SET state = 'paused' WHERE id = %(wave_id)s AND state = 'running' RETURNING {_COLUMNS}
"""
_HELD: LiteralString = (
    f"SELECT {_COLUMNS} FROM fleet_waves w WHERE id = %(wave_id)s AND job_id = %(job_id)s AND state = 'running'"
)
_BEGIN: LiteralString = f"""
UPDATE fleet_waves w SET databases = coalesce(databases, %(databases)s)
 WHERE id = %(wave_id)s AND job_id = %(job_id)s RETURNING {_COLUMNS}
"""
_END: LiteralString = """
UPDATE fleet_waves SET state = %(state)s, reason = %(reason)s, finished_at = CASE WHEN %(state)s = 'finished' THEN now() END
 WHERE id = %(wave_id)s AND job_id = %(job_id)s AND state = 'running' RETURNING id
"""
_FAIL: LiteralString = """
INSERT INTO fleet_failures (wave_id, tenant_id, database_name, stage, code, detail)
VALUES (%(wave_id)s, %(tenant_id)s, %(database)s, %(stage)s, %(code)s, %(detail)s)
ON CONFLICT (wave_id, tenant_id) DO UPDATE
   SET stage = excluded.stage, code = excluded.code, detail = excluded.detail, created_at = now()
"""
_MEND: LiteralString = "DELETE FROM fleet_failures WHERE wave_id = %(wave_id)s AND tenant_id = %(tenant_id)s"
_FAILURES: LiteralString = """
SELECT tenant_id, database_name AS database, stage, code, detail, created_at FROM fleet_failures
 WHERE wave_id = %(wave_id)s ORDER BY created_at, tenant_id LIMIT 100
"""
_TENANTS: LiteralString = "SELECT id FROM tenants WHERE id = ANY(%(ids)s) AND database_name IS NOT NULL"


@dataclass(frozen=True, slots=True)
class Wave:
    """One wave. `databases` is how many were behind when it began, null until it has."""

    id: UUID
    target: str
    state: str
    reason: str | None
    canaries: list[UUID] = field(repr=False)
    databases: int | None
    started_by: str
    job_id: UUID | None
    created_at: datetime
    finished_at: datetime | None


def latest(platform: Database) -> Wave | None:
    """The wave that runs, or ran last."""
    rows = platform.fetch(_LATEST, {}, operator_scope())
    return Wave(**rows[0]) if rows else None


def failures(platform: Database, wave_id: UUID) -> list[Row]:
    """The databases that the wave has not migrated, up to 100, the first failure first."""
    return platform.fetch(_FAILURES, {"wave_id": wave_id}, operator_scope())


def start(tenancy: Tenancy, wave_id: UUID, canaries: Sequence[UUID], by: str) -> tuple[Wave, Submitted]:
    """Begin a wave to the newest revision, and submit the job that drives it.

    Raises `Conflict` while another is unfinished, and `InvalidPayload` for a canary that is no tenant with a database.
    """
    wanted = list(dict.fromkeys(canaries))
    known = {row["id"] for row in tenancy.platform.fetch(_TENANTS, {"ids": wanted}, operator_scope())}
    faults = tuple(
        FieldError(f"/canaries/{number}", "not_found", f"There is no tenant {each} that has a database.")
        for number, each in enumerate(canaries)
        if each not in known
    )
    if faults:
        raise InvalidPayload("A canary is unknown.", errors=faults)
    return _drive(tenancy, wave_id, _START, {"canaries": wanted, "by": by}, "started", _unfinished)


def resume(tenancy: Tenancy) -> Wave:
    """Let the wave go on, with a new job if it has no live one. Raises `NotFound` and `IllegalTransition`."""
    wave = _some(tenancy.platform)
    if wave.state == "finished":
        raise IllegalTransition("The last wave is finished; start another.")
    try:
        return _drive(tenancy, wave.id, _RESUME, {}, "resumed", _running)[0]
    except Conflict:
        return _some(tenancy.platform)


def pause(platform: Database) -> Wave:
    """Let the wave end after the database that it is at. Raises `NotFound`, and `IllegalTransition` unless it runs."""
    wave = _some(platform)
    asked = audited(_PAUSE, {"wave_id": wave.id}, operator_scope(), "fleet_wave.paused", f"fleet_wave:{wave.id}")
    rows = platform.fetch(*asked, operator_scope())
    if rows:
        return Wave(**rows[0])
    if wave.state == "paused":
        return wave
    raise IllegalTransition(f"The wave is {wave.state}.")


def held(platform: Database, wave_id: UUID, job_id: UUID) -> Wave | None:
    """The wave, if that job is to drive it now."""
    rows = platform.fetch(_HELD, {"wave_id": wave_id, "job_id": job_id})
    return Wave(**rows[0]) if rows else None


def begin(platform: Database, wave: Wave, databases: int) -> Wave:
    """Note how many databases the wave is about, once."""
    values = {"wave_id": wave.id, "job_id": wave.job_id, "databases": databases}
    rows = platform.fetch(_BEGIN, values)
    return Wave(**rows[0]) if rows else wave


def end(platform: Database, wave: Wave, state: str, reason: str | None = None) -> None:
    """Note that it is `finished` or `stopped`, unless someone paused it or took it over meanwhile."""
    platform.fetch(_END, {"wave_id": wave.id, "job_id": wave.job_id, "state": state, "reason": reason})


def failed(platform: Database, wave: Wave, failure: Mapping[str, Any]) -> None:
    """Note why a database was not migrated."""
    platform.fetch(_FAIL, {"wave_id": wave.id, **failure})


def mended(platform: Database, wave: Wave, tenant_id: UUID) -> None:
    """Forget that a database was not migrated: now it is."""
    platform.fetch(_MEND, {"wave_id": wave.id, "tenant_id": tenant_id})


def _some(platform: Database) -> Wave:
    wave = latest(platform)
    if wave is None:
        raise NotFound("There was no wave yet.")
    return wave


def _drive(
    tenancy: Tenancy,
    wave_id: UUID,
    statement: LiteralString,
    values: Mapping[str, Any],
    done: str,
    refused: Callable[[], Conflict],
) -> tuple[Wave, Submitted]:
    operator, target = operator_tenant(tenancy.platform), newest()
    payload = {"wave_id": str(wave_id), "target": target}
    job = insert_parameters(tenancy, NewJob("fleet.migrate", payload, system("operator", operator)))
    with tenancy.platform.session(_scope(operator)) as session:
        waves = _rows(session, statement, {"wave_id": wave_id, "target": target, "id": job["id"], **values})
        if not waves:
            raise refused()
        row = _rows(session, INSERT, job)[0]
        note = noted(
            operator_scope(), f"fleet_wave.{done}", f"fleet_wave:{wave_id}", after={"target": target, **values}
        )
        session.connection().exec_driver_sql(*note)
    hints(tenancy.settings).due()
    return Wave(**waves[0]), Submitted(row, created=True)


def _rows(session: Session, sql: LiteralString, parameters: Mapping[str, Any]) -> list[Row]:
    return [dict(row) for row in session.connection().exec_driver_sql(sql, dict(parameters)).mappings()]


def _scope(operator: UUID) -> Scope:
    return {**operator_scope(), **tenant_scope(operator)}


def _unfinished() -> Conflict:
    return Conflict("A wave is unfinished; resume it, or wait for its end.")


def _running() -> Conflict:
    return Conflict("The wave runs already.")
