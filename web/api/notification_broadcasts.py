"""Broadcasts: one message to many, with its progress; paused, resumed and cancelled."""

from __future__ import annotations

import contextlib
from typing import Any
from uuid import UUID

from flask import Response
from flask_smorest import Blueprint
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from domain.errors import FieldError, IllegalTransition, InvalidPayload, NotFound
from jobs.control import cancel
from jobs.payloads.notifications import NotificationBroadcastSchema
from jobs.plan_quotas import submit_counting
from models.tenant import Broadcast, Message, Recipient, Template
from models.tenant.audiences import audience
from web.auth import can
from web.context import tenancy, tenant_id
from web.jobs_response import accepted, new_job
from web.listing import list_rows
from web.pagination import Envelope
from web.schemas.base import page_schema
from web.schemas.jobs import JobSchema
from web.schemas.notification_broadcasts import (
    COUNTS,
    BroadcastDetailSchema,
    BroadcastFilterSchema,
    BroadcastSchema,
)

blueprint = Blueprint("notification_broadcasts", __name__, description="One message to many")

KIND = "notification.broadcast"
_EXAMPLE = {"name": "Spring news", "subject": "Spring", "text": "It is here.", "audience": {}, "category": "news"}


@blueprint.route("/notifications/broadcast", methods=["POST"])
@can("notification:create")
@blueprint.arguments(NotificationBroadcastSchema, example=_EXAMPLE)
@blueprint.response(202, JobSchema, description="The job that fans it out. The broadcast has the job's id.")
@blueprint.alt_response(200, schema=JobSchema, description="The finished job, for a client that waited.")
def create_broadcast(wanted: dict[str, Any]) -> Response:
    """Send a message to every recipient of an audience. 422 if there is nobody in it.

    A template is used in the version that it has now. Recipients who come later are not written to.
    """
    with tenancy().session(tenant_id()) as session:
        conditions = audience(tenant_id(), wanted["channel"], wanted["audience"])
        total = session.scalar(select(func.count()).select_from(Recipient).where(*conditions)) or 0
        version = _template_version(session, wanted)
    if not total:
        fault = FieldError("/audience", "empty_audience", f"Nobody in it has an address for {wanted['channel']}.")
        raise InvalidPayload("The broadcast would reach nobody.", errors=(fault,))
    new = new_job(KIND, {**wanted, "template_version": version})
    submitted = submit_counting(tenancy(), new, "messages", total)
    row = {
        "tenant_id": tenant_id(), "id": submitted.id, "name": wanted["name"], "channel": wanted["channel"],
        "category": wanted["category"], "total": total,
    }  # fmt: skip
    added = insert(Broadcast).values(row)
    with tenancy().session(tenant_id()) as session:
        session.execute(
            added.on_conflict_do_update(  # the job may have made it already
                index_elements=[Broadcast.tenant_id, Broadcast.id],
                set_={"total": func.greatest(Broadcast.total, added.excluded.total)},
                where=Broadcast.state == "running",
            )
        )
    return accepted(submitted)


@blueprint.route("/notifications/broadcasts", methods=["GET"])
@can("notification:read")
@blueprint.arguments(BroadcastFilterSchema, location="query")
@blueprint.response(200, page_schema(BroadcastSchema))
def list_broadcasts(arguments: dict[str, Any]) -> tuple[Envelope[Broadcast], dict[str, str]]:
    """List the tenant's broadcasts. Whether one has finished, reading it tells."""
    return list_rows(Broadcast, arguments)


@blueprint.route("/notifications/broadcasts/<uuid:broadcast_id>", methods=["GET"])
@can("notification:read")
@blueprint.response(200, BroadcastDetailSchema)
def get_broadcast(broadcast_id: UUID) -> dict[str, Any]:
    """Read a broadcast with what became of its messages so far."""
    with tenancy().session(tenant_id()) as session:
        return _shown(session, _broadcast(session, broadcast_id))


@blueprint.route("/notifications/broadcasts/<uuid:broadcast_id>/pause", methods=["POST"])
@can("notification:cancel")
@blueprint.response(200, BroadcastDetailSchema)
def pause_broadcast(broadcast_id: UUID) -> dict[str, Any]:
    """Stop sending. The handful of messages that each batch has claimed still goes out."""
    return _change(broadcast_id, "paused", {"running", "paused"})


@blueprint.route("/notifications/broadcasts/<uuid:broadcast_id>/resume", methods=["POST"])
@can("notification:create")
@blueprint.response(200, BroadcastDetailSchema)
def resume_broadcast(broadcast_id: UUID) -> dict[str, Any]:
    """Go on sending, within seconds."""
    return _change(broadcast_id, "running", {"running", "paused"})


@blueprint.route("/notifications/broadcasts/<uuid:broadcast_id>/cancel", methods=["POST"])
@can("notification:cancel")
@blueprint.response(200, BroadcastDetailSchema)
def cancel_broadcast(broadcast_id: UUID) -> dict[str, Any]:
    """Stop for good. What was sent stays sent; nobody else is written to. Cancelling twice is the same as once."""
    shown = _change(broadcast_id, "cancelled", {"running", "paused", "cancelled"})
    with contextlib.suppress(NotFound, IllegalTransition):  # its job has ended; batches look before each handful
        cancel(tenancy(), tenant_id(), broadcast_id)
    return shown


def _template_version(session: Session, wanted: dict[str, Any]) -> int | None:
    """Pinned now, so that all recipients read the same. Raises `InvalidPayload` for an unknown template."""
    if wanted["template"] is None:
        return None
    found = session.scalar(
        select(Template.version).where(Template.tenant_id == tenant_id(), Template.key == wanted["template"])
    )
    if found is None:
        fault = FieldError("/template", "template_unknown", "There is no template of this key.")
        raise InvalidPayload("The template does not exist.", errors=(fault,))
    number: int = wanted["template_version"] or found
    return number


def _broadcast(session: Session, broadcast_id: UUID, *, to_change: bool = False) -> Broadcast:
    found = session.get(Broadcast, (tenant_id(), broadcast_id), with_for_update=to_change)
    if found is None:
        raise NotFound(f"There is no broadcast {broadcast_id}.")
    return found


def _change(broadcast_id: UUID, state: str, allowed: set[str]) -> dict[str, Any]:
    with tenancy().session(tenant_id()) as session:
        broadcast = _broadcast(session, broadcast_id, to_change=True)
        now = _shown(session, broadcast)["state"]
        if now not in allowed:
            raise IllegalTransition(f"The broadcast is {now}.")
        broadcast.state = state
        broadcast.version += 1
        session.flush()
        return _shown(session, broadcast)


def _shown(session: Session, broadcast: Broadcast) -> dict[str, Any]:
    where = (Message.tenant_id == tenant_id(), Message.notification_id == broadcast.id, Message.in_broadcast)
    rows = session.execute(select(Message.status, func.count()).where(*where).group_by(Message.status))
    counts: dict[str, int] = dict.fromkeys(COUNTS, 0)
    for status, count in rows:
        counts["queued" if status == "delivery_attempted" else status] += count
    made = sum(counts.values())
    counts["queued"] += max(0, broadcast.total - made) if broadcast.state != "cancelled" else 0
    done = broadcast.state == "running" and 0 < broadcast.total == broadcast.fanned_out and not counts["queued"]
    columns = {column.key: getattr(broadcast, column.key) for column in Broadcast.__table__.columns}
    return {**columns, "state": "finished" if done else broadcast.state, "counts": counts}
