"""The relay: what was published becomes jobs and deliveries, each exactly once. The leading dispatcher runs it.

All that one event causes is inserted in the transaction that marks it relayed. A relay that dies has done nothing, and two
at once skip each other's rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, LiteralString
from uuid import UUID

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import InterfaceError, OperationalError

from bus.events import sealed
from bus.subscribers import SUBSCRIBERS
from config.telemetry.trace import TraceContext, of_attempt, parse, within
from domain.errors import NotFound, Transient
from domain.events import RETENTION, selects
from domain.identity.principals import system
from domain.ids import new_id
from jobs.rows import COLUMNS, public
from jobs.submit import INSERT, INTERNAL, NewJob, insert_parameters
from tenancy.access import Tenancy
from tenancy.database import NO_SCOPE, Row
from tenancy.vault import SealBroken, Vault

AT_ONCE = 100
"""Events of one run: so few that the dispatcher is not held up, which runs it several times a second."""

RESULT_LIMIT = 32_768
"""Bytes of a job's result, as JSON, that its event carries; a larger one is to be read from the job."""

_WAITING: LiteralString = (
    "SELECT id, tenant_id FROM events WHERE relay_at <= now() ORDER BY relay_at, id LIMIT %(limit)s"
)
_TAKE: LiteralString = """
SELECT id, tenant_id, name, payload_sealed, job_id, endpoint_id, request_id, traceparent FROM events
 WHERE relay_at <= now() AND (%(only)s::uuid IS NULL OR id = %(only)s)
 ORDER BY relay_at, id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
"""
_ENDPOINTS: LiteralString = """
SELECT id, tenant_id, event_types FROM webhook_endpoints WHERE tenant_id = ANY(%(tenants)s) AND disabled_at IS NULL
"""
_JOBS: LiteralString = f"SELECT {COLUMNS}, traceparent FROM jobs WHERE id = ANY(%(ids)s)"
_DELIVERY: LiteralString = """
INSERT INTO webhook_deliveries (id, tenant_id, endpoint_id, event_id, job_id)
VALUES (%(id)s, %(tenant_id)s, %(endpoint_id)s, %(event_id)s, %(job_id)s)
"""
_RELAYED: LiteralString = """
UPDATE events SET relay_at = NULL, payload_sealed = coalesce(payload_sealed, %(payload_sealed)s) WHERE id = %(id)s
"""
_LATER: LiteralString = "UPDATE events SET relay_at = now() + interval '1 minute' WHERE id = %(id)s"
_EXPIRE: LiteralString = """
DELETE FROM events WHERE id IN (
    SELECT id FROM events WHERE id < %(oldest)s AND relay_at IS NULL ORDER BY id LIMIT 1000) RETURNING id
"""

log = structlog.get_logger(__name__)


def relay(tenancy: Tenancy) -> int:
    """Relay up to `AT_ONCE` events; returns how many were waiting.

    An event that cannot be relayed, for whatever reason, waits a minute and holds up neither the others nor the dispatcher.
    Raises what SQLAlchemy and psycopg raise when the database is away.
    """
    rows = tenancy.platform.fetch(_WAITING, {"limit": AT_ONCE})
    for tenant_id in {row["tenant_id"] for row in rows}:
        # Now, for a master key may be at a service, and nothing is called while a transaction is open.
        with suppress(NotFound, SealBroken, Transient):
            tenancy.vault(tenant_id)
    waiting = [row["id"] for row in rows]
    if not waiting or _relayed(tenancy, None):
        return len(waiting)
    for event_id in waiting:
        if not _relayed(tenancy, event_id):
            tenancy.platform.fetch(_LATER, {"id": event_id})
    return len(waiting)


def _relayed(tenancy: Tenancy, only: UUID | None) -> bool:
    """Relay what waits, or `only` that event, in one transaction; false if that failed, which is logged."""
    try:
        with tenancy.platform.session(NO_SCOPE) as session:
            connection = session.connection()
            events = _rows(connection, _TAKE, {"limit": AT_ONCE, "only": only})
            endpoints = _endpoints(connection, events)
            ended = _ended_jobs(connection, events)
            work = _Work(tenancy)
            for event in events:
                work.add(event, endpoints.get(event["tenant_id"], ()), ended.get(event["job_id"]))
            work.write(connection)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        # Whatever is wrong with one event, jobs are dispatched and the other events relayed.
        log.exception("event.relay_failed", event_id=None if only is None else str(only))
        return False
    return True


def expire(tenancy: Tenancy) -> int:
    """Delete events past their retention, with their deliveries; returns how many."""
    moment = datetime.now(UTC) - RETENTION
    oldest = UUID(int=int(moment.timestamp() * 1000) << 80)  # ids are UUIDv7: they begin with the milliseconds
    return len(tenancy.platform.fetch(_EXPIRE, {"oldest": oldest}))


class _Work:
    """What a run inserts, gathered so that each table is written in one statement sent many times."""

    def __init__(self, tenancy: Tenancy):
        self._tenancy = tenancy
        self._jobs: list[dict[str, Any]] = []
        self._deliveries: list[dict[str, Any]] = []
        self._relayed: list[dict[str, Any]] = []
        self._later: list[dict[str, Any]] = []

    def add(
        self, event: Mapping[str, Any], endpoints: Sequence[Mapping[str, Any]], job: Mapping[str, Any] | None
    ) -> None:
        """Take in one event with its tenant's endpoints and the job whose end it tells."""
        try:
            vault = self._tenancy.vault(event["tenant_id"])
            payload = (
                None if event["payload_sealed"] is not None else sealed(_of_job(event, job, vault), event["id"], vault)
            )
        except (NotFound, SealBroken, Transient):
            log.warning("event.keys_unavailable", event_id=str(event["id"]), tenant_id=str(event["tenant_id"]))
            self._later.append({"id": event["id"]})
            return
        if job is not None:
            event = {**event, "request_id": job["request_id"]}
        with within(_trace(event, job)):
            for name in SUBSCRIBERS.get(event["name"], ()):
                self._job(event, "event.handle", {"event_id": str(event["id"]), "subscriber": name}, name)
            for endpoint in endpoints:
                if endpoint["id"] == event["endpoint_id"] or selects(endpoint["event_types"], event["name"]):
                    self._delivery(event, endpoint["id"])
        self._relayed.append({"id": event["id"], "payload_sealed": payload})

    def write(self, connection: Connection) -> None:
        """Insert it all."""
        batches: Iterable[tuple[LiteralString, list[dict[str, Any]]]] = (
            (INSERT, self._jobs), (_DELIVERY, self._deliveries), (_RELAYED, self._relayed), (_LATER, self._later),
        )  # fmt: skip
        for statement, rows in batches:
            if rows:
                connection.exec_driver_sql(statement, rows)

    def _delivery(self, event: Mapping[str, Any], endpoint_id: UUID) -> None:
        delivery_id = new_id()
        job_id = self._job(event, "webhook.deliver", {"delivery_id": str(delivery_id)}, str(endpoint_id))
        self._deliveries.append({
            "id": delivery_id, "tenant_id": event["tenant_id"], "endpoint_id": endpoint_id, "event_id": event["id"],
            "job_id": job_id,
        })  # fmt: skip

    def _job(self, event: Mapping[str, Any], kind: str, payload: Mapping[str, Any], whom: str) -> UUID:
        new = NewJob(
            kind=kind, payload=payload, principal=system("events", event["tenant_id"]), parent_id=event["job_id"],
            idempotency_key=f"{INTERNAL}event:{event['id']}:{whom}", request_id=event["request_id"],
        )  # fmt: skip
        parameters = insert_parameters(self._tenancy, new)
        self._jobs.append(parameters)
        job_id: UUID = parameters["id"]
        return job_id


def _trace(event: Mapping[str, Any], job: Mapping[str, Any] | None) -> TraceContext | None:
    """What the event causes comes under what told of it: its publisher, or the attempt that ended the job."""
    if job is None:
        return parse(event["traceparent"])
    return of_attempt(job["id"], job["attempt"], job["traceparent"])


def _rows(connection: Connection, sql: LiteralString, parameters: Mapping[str, Any]) -> list[Row]:
    return [dict(row) for row in connection.exec_driver_sql(sql, dict(parameters)).mappings()]


def _endpoints(connection: Connection, events: Sequence[Mapping[str, Any]]) -> dict[UUID, list[Mapping[str, Any]]]:
    found: dict[UUID, list[Mapping[str, Any]]] = {}
    tenants = list({event["tenant_id"] for event in events})
    for row in _rows(connection, _ENDPOINTS, {"tenants": tenants}):
        found.setdefault(row["tenant_id"], []).append(row)
    return found


def _ended_jobs(connection: Connection, events: Sequence[Mapping[str, Any]]) -> dict[UUID, Mapping[str, Any]]:
    ids = [event["job_id"] for event in events if event["payload_sealed"] is None]
    if not ids:
        return {}
    return {row["id"]: row for row in _rows(connection, _JOBS, {"ids": ids})}


def _of_job(event: Mapping[str, Any], job: Mapping[str, Any] | None, vault: Vault) -> dict[str, Any]:
    """The payload of a job's end: the job as the API shows it. One that is gone already is told by its id."""
    if job is None:
        return {"job": {"id": str(event["job_id"]), "state": event["name"].partition(".")[2]}}
    shown: dict[str, Any] = json.loads(json.dumps(public(job, vault), default=_plain))
    omitted = len(json.dumps(shown["result"])) > RESULT_LIMIT
    if omitted:
        shown["result"] = None
    return {"job": shown, "result_omitted": omitted}


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value)
