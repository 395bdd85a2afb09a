"""Schedules: jobs that are submitted again and again, by cron expressions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from flask import Response, make_response
from flask_smorest import Blueprint
from sqlalchemy.orm import Session

from domain.audit.entries import changed
from domain.errors import Conflict
from domain.schedules.firings import upcoming
from jobs import schedules
from jobs.admission import admit
from jobs.schedules import Definition
from jobs.submit import submit
from models.platform import Schedule
from tenancy.audit import record
from tenancy.scopes import tenant_scope
from tenancy.vault import SealBroken
from web.auth import READABLE, can
from web.context import principal, tenancy, tenant_id
from web.etags import check_if_match, with_etag
from web.idempotency import idempotent, new_resource_id
from web.jobs_response import accepted, new_job
from web.pagination import Envelope, read_page
from web.schemas.base import PageQuerySchema, page_schema
from web.schemas.jobs import JobSchema
from web.schemas.schedules import (
    PREVIEWED,
    FiringListSchema,
    ScheduleDetailSchema,
    SchedulePreviewSchema,
    SchedulePutSchema,
    ScheduleSchema,
)

blueprint = Blueprint(
    "schedules", __name__, url_prefix="/schedules", description="Jobs that are submitted again and again"
)


@blueprint.route("", methods=["POST"])
@can("schedule:create")
@idempotent
@blueprint.arguments(SchedulePutSchema)
@blueprint.response(201, ScheduleDetailSchema)
def create_schedule(definition: dict[str, Any]) -> Response:
    """Create a schedule.

    Beside `schedule:create`, the permission of the kind is needed. Its jobs run in the caller's name, and with what the
    caller may do then; once that is not enough, or the account or key is gone, the schedule rests and says so.
    """
    schedule_id = new_resource_id()
    values = schedules.columns(tenancy(), principal(), schedule_id, Definition(**definition))
    with _session() as session:
        made = schedules.create(session, tenant_id(), schedule_id, values, datetime.now(UTC))
        record(session, "schedule.created", f"schedule:{schedule_id}", after=_noted(made))
    return _shown(made, 201)


@blueprint.route("", methods=["GET"])
@can("schedule:read", states=READABLE)
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, page_schema(ScheduleSchema))
def list_schedules(query: dict[str, Any]) -> tuple[Envelope[dict[str, Any]], dict[str, str]]:
    """List the tenant's schedules."""
    page = read_page(query)
    with _session() as session:
        rows = schedules.page(
            session, tenant_id(), after=page.after, limit=page.fetch_limit, newest_first=page.newest_first
        )
    return page.answer([_view(row) for row in rows])


@blueprint.route("/preview", methods=["POST"])
@can("schedule:read")
@blueprint.arguments(SchedulePreviewSchema)
@blueprint.response(200, FiringListSchema)
def preview_schedule(asked: dict[str, Any]) -> dict[str, Any]:
    """Show when a cron expression would fire, without making a schedule."""
    cron, zone = schedules.timing(asked["cron"], asked["timezone"])
    found = upcoming(cron, zone, asked["after"] or datetime.now(UTC), asked["count"])
    return {"items": [{"at": moment, "local": moment.astimezone(zone).isoformat()} for moment in found]}


@blueprint.route("/<uuid:schedule_id>", methods=["GET"])
@can("schedule:read", states=READABLE)
@blueprint.response(200, ScheduleDetailSchema)
def get_schedule(schedule_id: UUID) -> Response:
    """Read a schedule, with its payload and its next firings."""
    with _session() as session:
        found = schedules.get(session, schedule_id)
    return _shown(found)


@blueprint.route("/<uuid:schedule_id>", methods=["PUT"])
@can("schedule:update")
@blueprint.arguments(SchedulePutSchema)
@blueprint.response(200, ScheduleDetailSchema)
@blueprint.alt_response(412, "PRECONDITION_FAILED")
@blueprint.alt_response(428, "PRECONDITION_REQUIRED")
def put_schedule(definition: dict[str, Any], schedule_id: UUID) -> Response:
    """Replace a schedule's definition. `If-Match` must carry the `ETag` that was read.

    Firings since then do not matter, edits do. Its jobs run in the caller's name from now on. A paused schedule stays
    paused; one that could not go on is set going again. With another rhythm, periods not yet fired are dropped.
    """
    values = schedules.columns(tenancy(), principal(), schedule_id, Definition(**definition))
    with _session() as session:
        schedule = schedules.get(session, schedule_id, to_change=True)
        check_if_match(schedule.version)
        before = _noted(schedule)
        schedules.replace(session, schedule, values, datetime.now(UTC))
        before, after = changed(before, _noted(schedule))
        record(session, "schedule.updated", f"schedule:{schedule_id}", before=before, after=after)
    return _shown(schedule)


@blueprint.route("/<uuid:schedule_id>", methods=["DELETE"])
@can("schedule:delete")
@blueprint.response(204, description="The schedule is gone. Jobs that it has submitted stay.")
def delete_schedule(schedule_id: UUID) -> None:
    """Delete a schedule."""
    with _session() as session:
        schedule = schedules.get(session, schedule_id, to_change=True)
        record(session, "schedule.deleted", f"schedule:{schedule_id}", before=_noted(schedule))
        session.delete(schedule)


@blueprint.route("/<uuid:schedule_id>/pause", methods=["POST"])
@can("schedule:update")
@blueprint.response(200, ScheduleDetailSchema)
def pause_schedule(schedule_id: UUID) -> Response:
    """Let a schedule rest. Periods within the pause are not missed, so nothing makes up for them."""
    with _session() as session:
        schedule = schedules.get(session, schedule_id, to_change=True)
        schedules.pause(schedule, datetime.now(UTC))
        record(session, "schedule.paused", f"schedule:{schedule_id}")
    return _shown(schedule)


@blueprint.route("/<uuid:schedule_id>/resume", methods=["POST"])
@can("schedule:update")
@blueprint.response(200, ScheduleDetailSchema)
def resume_schedule(schedule_id: UUID) -> Response:
    """Set a resting schedule going again, in the caller's name. The kind's permission is needed."""
    with _session() as session:
        schedule = schedules.get(session, schedule_id, to_change=True)
        schedules.resume(schedule, principal(), datetime.now(UTC))
        record(session, "schedule.resumed", f"schedule:{schedule_id}", after={"principal": schedule.principal})
    return _shown(schedule)


@blueprint.route("/<uuid:schedule_id>/run", methods=["POST"])
@can("schedule:run")
@blueprint.response(202, JobSchema, description="The job, submitted in the caller's name.")
def run_schedule(schedule_id: UUID) -> Response:
    """Submit a schedule's job now, also while it rests. Its periods stay as they are."""
    with _session() as session:
        schedule = schedules.get(session, schedule_id)
    admit(principal(), schedule.kind)
    payload = _payload(schedule)
    if payload is None:
        raise Conflict("The schedule's payload cannot be opened any more; replace the schedule.")
    return accepted(submit(tenancy(), new_job(schedule.kind, payload, priority=schedule.priority)))


@contextmanager
def _session() -> Iterator[Session]:
    with tenancy().platform.session(tenant_scope(tenant_id())) as session:
        yield session


def _view(schedule: Schedule) -> dict[str, Any]:
    columns = {column.key: getattr(schedule, column.key) for column in Schedule.__table__.columns}
    return {**columns, "enabled": schedule.next_at is not None}


def _noted(schedule: Schedule) -> dict[str, Any]:
    """What the audit keeps of a schedule: all but the payload, which may hold anything."""
    names = ("name", "kind", "cron", "timezone", "missed", "priority", "principal")
    return {name: getattr(schedule, name) for name in names}


def _payload(schedule: Schedule) -> dict[str, Any] | None:
    """None if it cannot be opened any more."""
    try:
        return schedules.open_payload(schedule.payload_sealed, schedule.id, tenancy().vault(tenant_id()))
    except SealBroken:
        return None


def _shown(schedule: Schedule, status: int = 200) -> Response:
    """The schedule with its address and entity tag, which changes with each edit and each firing."""
    whole = {
        **_view(schedule),
        "payload": _payload(schedule),
        "next_firings": schedules.next_firings(schedule, PREVIEWED),
    }
    response = make_response(ScheduleDetailSchema().dump(whole), status)
    response.headers["Location"] = f"/api/v1/schedules/{schedule.id}"
    state = schedule.disabled_reason if schedule.next_at is None else f"{schedule.next_at.timestamp():.0f}"
    return with_etag(response, schedule.version, str(state))
