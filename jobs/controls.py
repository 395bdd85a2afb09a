"""What operators hold back and allow: written through the API, obeyed by the leader.

A pause keeps jobs from being dispatched; what is dispatched or running goes on to its end. To drain is to pause and to see
`in_flight` reach 0. The leader marks each pause as obeyed when it reads it, so a count that is younger than the mark is
final: see `Pause.drained`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import LiteralString
from uuid import UUID

from domain.errors import NotFound
from domain.ids import parse_id
from domain.jobs.limits import Limits
from jobs.kinds import KINDS, QUEUES
from tenancy.audit import audited
from tenancy.database import RELAXED, Database
from tenancy.scopes import operator_scope


class Scope(StrEnum):
    """What a pause is of."""

    QUEUE = "queue"
    KIND = "kind"
    TENANT = "tenant"


@dataclass(frozen=True, slots=True)
class Controls:
    """What the dispatcher has to obey. A tenant that `limits` does not name has `UNLIMITED`."""

    paused_queues: frozenset[str] = frozenset()
    paused_kinds: frozenset[str] = frozenset()
    paused_tenants: frozenset[UUID] = frozenset()
    limits: dict[UUID, Limits] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pause:
    """One pause, as operators see it. `in_flight` is null until the leader has counted."""

    scope: str
    name: str
    reason: str
    drain: bool
    paused_by: str
    created_at: datetime
    in_flight: int | None
    drained: bool


_READ: LiteralString = """
WITH obeyed AS (UPDATE dispatch_pauses SET obeyed_at = clock_timestamp() WHERE obeyed_at IS NULL)
SELECT scope, name, NULL::uuid AS tenant_id, NULL::float8 AS weight, NULL::int AS max_running,
       NULL::float8 AS rate_per_second, NULL::int AS burst
  FROM dispatch_pauses
 UNION ALL
SELECT NULL, NULL, tenant_id, weight, max_running, rate_per_second, burst FROM tenant_limits
"""

_SHOWN: LiteralString = """scope, name, reason, drain, paused_by, created_at, in_flight,
 coalesce(in_flight = 0 AND measured_at > obeyed_at, false) AS drained"""

_PAUSE: LiteralString = f"""
INSERT INTO dispatch_pauses AS p (scope, name, reason, drain, paused_by)
VALUES (%(scope)s, %(name)s, %(reason)s, %(drain)s, %(by)s)
ON CONFLICT (scope, name) DO UPDATE SET drain = p.drain OR excluded.drain
RETURNING {_SHOWN}
"""

_RESUME: LiteralString = (
    "DELETE FROM dispatch_pauses WHERE scope = %(scope)s AND name = %(name)s RETURNING reason, drain"
)

_LIST: LiteralString = f"SELECT {_SHOWN} FROM dispatch_pauses ORDER BY scope, name"

_TENANT: LiteralString = "SELECT 1 FROM tenants WHERE id = %(id)s AND state <> 'deleted'"

COUNT_IN_FLIGHT: LiteralString = """
UPDATE dispatch_pauses p SET measured_at = now(), in_flight = (
    SELECT count(*) FROM jobs j WHERE j.stage = 'in_flight'
       AND p.name = CASE p.scope WHEN 'queue' THEN j.queue WHEN 'kind' THEN j.kind ELSE j.tenant_id::text END)
"""
"""One of the leader's measurements (`jobs.backlog`)."""


def read(platform: Database) -> Controls:
    """Everything to obey, in one statement; for the leader, who dispatches nothing paused from when this returns."""
    rows = platform.fetch(_READ, {}, RELAXED)
    paused: dict[str, set[str]] = {scope: set() for scope in Scope}
    limits: dict[UUID, Limits] = {}
    for row in rows:
        if row["tenant_id"] is None:
            paused[row["scope"]].add(row["name"])
        else:
            limits[row["tenant_id"]] = Limits(row["weight"], row["max_running"], row["rate_per_second"], row["burst"])
    return Controls(
        frozenset(paused[Scope.QUEUE]),
        frozenset(paused[Scope.KIND]),
        frozenset(UUID(name) for name in paused[Scope.TENANT]),
        limits,
    )


def pause(platform: Database, scope: Scope, name: str, *, by: str, reason: str = "", drain: bool = False) -> Pause:
    """Hold back the queue, kind or tenant of that name; once is the same as twice, and a drain stays one.

    For operators, which the caller has checked. Raises `NotFound` for what does not exist.
    """
    _check(platform, scope, name)
    parameters = {"scope": scope, "name": name, "reason": reason, "drain": drain, "by": by}
    shown = {"reason": reason, "drain": drain}
    operators = operator_scope()
    statement = audited(_PAUSE, parameters, operators, f"{scope}.paused", f"{scope}:{name}", after=shown)
    return Pause(**platform.fetch(*statement, operators)[0])


def resume(platform: Database, scope: Scope, name: str) -> None:
    """Let it go on, if it was paused at all. Raises `NotFound` for what does not exist."""
    _check(platform, scope, name)
    operators, parameters = operator_scope(), {"scope": scope, "name": name}
    platform.fetch(*audited(_RESUME, parameters, operators, f"{scope}.resumed", f"{scope}:{name}"), operators)


def pauses(platform: Database) -> list[Pause]:
    """All pauses, by scope and name; for operators and for what watches over the platform."""
    return [Pause(**row) for row in platform.fetch(_LIST, {}, operator_scope())]


def check_tenant(platform: Database, tenant_id: UUID) -> None:
    """Raise `NotFound` unless there is such a tenant."""
    if not platform.fetch(_TENANT, {"id": tenant_id}, operator_scope()):
        raise NotFound(f"There is no tenant {tenant_id}.")


def _check(platform: Database, scope: Scope, name: str) -> None:
    if scope is Scope.TENANT:
        tenant_id = parse_id(name)
        if tenant_id is None:
            raise NotFound(f"There is no tenant {name}.")
        check_tenant(platform, tenant_id)
    elif name not in (QUEUES if scope is Scope.QUEUE else KINDS):
        known = ", ".join(QUEUES if scope is Scope.QUEUE else KINDS)
        raise NotFound(f"There is no {scope} {name!r}; there are {known}.")
