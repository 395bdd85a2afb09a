"""Schedules as clients keep them, always within one tenant. `jobs.firing` submits their jobs.

Whoever creates, replaces or resumes a schedule answers for it from then on: its jobs run with that principal's
permissions, so nobody makes another one's schedule do what they may not do themselves. Sessions are the caller's, in
the scope of the tenant.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from domain.billing.periods import zone_named
from domain.errors import Conflict, FieldError, NotFound, PayloadTooLarge
from domain.identity.principals import Principal
from domain.schedules.cron import Cron, parse
from domain.schedules.firings import next_after, upcoming
from domain.schedules.missed import Missed
from domain.schedules.reasons import Reason
from jobs.admission import admit
from jobs.submit import validated
from models.platform import Schedule
from tenancy.access import Tenancy
from tenancy.vault import Vault

MOST_PER_TENANT = 1000
"""Schedules of one tenant, so that nobody's firings hold up everyone else's."""

PAYLOAD_LIMIT = 64_000
"""Bytes of a schedule's payload as JSON: the leader holds those of a whole round. What is larger belongs in the bucket."""


@dataclass(frozen=True, slots=True)
class Definition:
    """What a schedule does and when. `payload` is what the client sent; without a `priority` the kind's own holds."""

    name: str
    kind: str
    payload: Mapping[str, Any]
    cron: str
    timezone: str
    missed: Missed
    priority: int | None = None


def columns(tenancy: Tenancy, who: Principal, schedule_id: UUID, definition: Definition) -> dict[str, Any]:
    """The definition's columns, checked and sealed for this schedule.

    Raises `UnknownKind`, `PermissionDenied`, `PayloadTooLarge`, and `InvalidPayload` for a payload, cron expression or
    time zone that cannot be used.
    """
    declared = admit(who, definition.kind)
    timing(definition.cron, definition.timezone)
    payload = validated(declared, definition.payload)
    size = len(json.dumps(payload))
    if size > PAYLOAD_LIMIT:
        raise PayloadTooLarge(f"The payload has {size} bytes; the limit of a schedule's is {PAYLOAD_LIMIT}.")
    return {
        "name": definition.name,
        "kind": definition.kind,
        "payload_sealed": seal_payload(payload, schedule_id, tenancy.vault(_tenant(who))),
        "cron": definition.cron,
        "timezone": definition.timezone,
        "missed": definition.missed.value,
        "priority": definition.priority,
        "principal": who.subject,
    }


def create(session: Session, tenant_id: UUID, schedule_id: UUID, values: Mapping[str, Any], now: datetime) -> Schedule:
    """Insert the schedule, or find the one that an earlier run of the same request inserted; it fires after `now`.

    Raises `Conflict` if another one has the name, or the tenant has as many as it may.
    """
    own = select(func.count()).select_from(Schedule).where(Schedule.tenant_id == tenant_id, Schedule.id != schedule_id)
    if (session.scalar(own) or 0) >= MOST_PER_TENANT:
        raise Conflict(f"A tenant has at most {MOST_PER_TENANT} schedules; delete one first.")
    key = {"tenant_id": tenant_id, "id": schedule_id, "next_at": _next(values["cron"], values["timezone"], now, None)}
    session.execute(insert(Schedule).values({**values, **key}).on_conflict_do_nothing())
    made = session.get(Schedule, schedule_id)
    if made is None:
        raise _name_taken()
    return made


def get(session: Session, schedule_id: UUID, *, to_change: bool = False) -> Schedule:
    """One of the tenant's schedules, locked `to_change` it. Raises `NotFound`, also for another tenant's."""
    found = session.get(Schedule, schedule_id, with_for_update=to_change or None)
    if found is None:
        raise NotFound(f"There is no schedule {schedule_id}.")
    return found


def page(
    session: Session, tenant_id: UUID, *, after: UUID | None, limit: int, newest_first: bool = True
) -> list[Schedule]:
    """Up to `limit` of the tenant's schedules, beyond the id `after`."""
    statement = select(Schedule).where(Schedule.tenant_id == tenant_id)
    if after is not None:
        statement = statement.where(Schedule.id < after if newest_first else Schedule.id > after)
    order = Schedule.id.desc() if newest_first else Schedule.id.asc()
    return list(session.scalars(statement.order_by(order).limit(limit)))


def replace(session: Session, schedule: Schedule, values: Mapping[str, Any], now: datetime) -> None:
    """Give a locked schedule a new definition. Missed periods of an unchanged rhythm are kept; a paused one stays so.

    One that could not go on for another reason is set going again. Raises `Conflict` if another one has the name.
    """
    same_rhythm = (schedule.cron, schedule.timezone) == (values["cron"], values["timezone"])
    for name, value in values.items():
        setattr(schedule, name, value)
    if schedule.disabled_reason != Reason.PAUSED and not (same_rhythm and schedule.next_at):
        _wake(schedule, now)
    _edited(schedule, now)
    try:
        session.flush()
    except IntegrityError:
        raise _name_taken() from None


def pause(schedule: Schedule, now: datetime) -> None:
    """Let a locked schedule rest. What falls into the pause is not missed: nobody makes up for it."""
    if schedule.disabled_reason != Reason.PAUSED:
        schedule.next_at, schedule.disabled_reason = None, Reason.PAUSED.value
        _edited(schedule, now)


def resume(schedule: Schedule, who: Principal, now: datetime) -> None:
    """Set a locked schedule that rests going again, from `now` on and in the name of `who`. Raises as `admit`."""
    admit(who, schedule.kind)
    if schedule.next_at is None:
        schedule.principal = who.subject
        _wake(schedule, now)
        _edited(schedule, now)


def timing(cron: str, timezone: str) -> tuple[Cron, ZoneInfo]:
    """The meaning of a schedule's two texts. Raises `InvalidPayload`."""
    return parse(cron), zone_named(timezone)


def next_firings(schedule: Schedule, count: int) -> list[datetime]:
    """The next `count` periods, in UTC, beginning with the earliest that was not fired; none while it rests."""
    if schedule.next_at is None:
        return []
    first = schedule.next_at.astimezone(UTC)
    return [first, *upcoming(*timing(schedule.cron, schedule.timezone), first, count - 1)]


def seal_payload(payload: Mapping[str, Any], schedule_id: UUID, vault: Vault) -> bytes:
    """Seal a payload for one schedule."""
    plain = json.dumps(payload, separators=(",", ":")).encode()
    return vault.seal(plain, "schedules", "payload_sealed", schedule_id)


def open_payload(sealed: bytes, schedule_id: UUID, vault: Vault) -> dict[str, Any]:
    """Open what `seal_payload` sealed. Raises `SealBroken`."""
    payload: dict[str, Any] = json.loads(vault.open(sealed, "schedules", "payload_sealed", schedule_id))
    return payload


def _tenant(who: Principal) -> UUID:
    if who.tenant_id is None:
        raise LookupError("a schedule without a tenant")
    return who.tenant_id


def _next(cron: str, timezone: str, now: datetime, last_fired_at: datetime | None) -> datetime:
    """The next period: never one that was fired, whatever the clocks of this machine and of the leader say."""
    return next_after(*timing(cron, timezone), now if last_fired_at is None else max(now, last_fired_at))


def _wake(schedule: Schedule, now: datetime) -> None:
    schedule.next_at = _next(schedule.cron, schedule.timezone, now, schedule.last_fired_at)
    schedule.disabled_reason = None


def _edited(schedule: Schedule, now: datetime) -> None:
    schedule.version += 1
    schedule.updated_at = now


def _name_taken() -> Conflict:
    fault = FieldError("/name", "taken", "Another one has this value.")
    return Conflict("There is a schedule with this name already.", errors=(fault,))
