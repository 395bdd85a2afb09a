"""The people whom a tenant writes to, their devices and their feeds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from flask import Response, make_response
from flask_smorest import Blueprint
from marshmallow import ValidationError
from sqlalchemy import Boolean, delete, func, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from domain.destinations import parse_destination, parse_networks
from domain.errors import FieldError, InvalidPayload, NotFound
from domain.ids import new_id
from domain.notifications.channels import normal_email, normal_phone
from jobs.payloads.notifications import EXTERNAL_ID
from models.tenant import Message, Recipient, RecipientDevice
from web.api.notification_preferences import recipient_named
from web.auth import can
from web.context import tenancy, tenant_id
from web.idempotency import idempotent, new_resource_id
from web.listing import list_rows
from web.pagination import Envelope, read_page
from web.schemas.base import PageQuerySchema, page_schema
from web.schemas.notification_recipients import (
    DeviceCreateSchema,
    DeviceSchema,
    FeedCountSchema,
    FeedFilterSchema,
    RecipientBulkResultSchema,
    RecipientBulkSchema,
    RecipientFilterSchema,
    RecipientPutSchema,
    RecipientSchema,
)
from web.schemas.notifications import NotificationSchema

blueprint = Blueprint("notification_recipients", __name__, description="People, devices and feeds")

_REPLACED = ("email", "phone", "locale", "timezone", "attributes")


@blueprint.route("/notifications/recipients", methods=["GET"])
@can("notification:read")
@blueprint.arguments(RecipientFilterSchema, location="query")
@blueprint.response(200, page_schema(RecipientSchema))
def list_recipients(arguments: dict[str, Any]) -> tuple[Envelope[Recipient], dict[str, str]]:
    """List the people whom the tenant writes to."""
    return list_rows(Recipient, arguments)


@blueprint.route("/notifications/recipients/bulk", methods=["POST"])
@can("notification:update")
@blueprint.arguments(RecipientBulkSchema)
@blueprint.response(200, RecipientBulkResultSchema)
def put_recipients(bulk: dict[str, Any]) -> dict[str, int]:
    """Create or replace up to 1000 recipients, all or none. Of one that stands there twice, the last counts."""
    items = {item["external_id"]: item for item in bulk["items"]}
    with tenancy().session(tenant_id()) as session:
        _put(session, list(items.values()))
    return {"stored": len(items)}


@blueprint.route("/notifications/recipients/<string:external_id>", methods=["PUT"])
@can("notification:update")
@blueprint.arguments(RecipientPutSchema)
@blueprint.response(200, RecipientSchema, description="The recipient was replaced.")
@blueprint.alt_response(201, schema=RecipientSchema, description="The recipient is new.")
def put_recipient(person: dict[str, Any], external_id: str) -> tuple[dict[str, Any], int]:
    """Create or replace a recipient under your own name for the person. Preferences and devices stay."""
    try:
        EXTERNAL_ID(external_id)
    except ValidationError:
        fault = FieldError("", "invalid", "A name has 1 to 200 letters, digits or . _ : @ + ~ = -")
        raise InvalidPayload("The recipient's name is invalid.", errors=(fault,)) from None
    with tenancy().session(tenant_id()) as session:
        (stored,) = _put(session, [{**person, "external_id": external_id}])
    return stored, 201 if stored["created"] else 200


@blueprint.route("/notifications/recipients/<string:external_id>", methods=["GET"])
@can("notification:read")
@blueprint.response(200, RecipientSchema)
def get_recipient(external_id: str) -> Recipient:
    """Read a recipient."""
    with tenancy().session(tenant_id()) as session:
        return recipient_named(session, external_id)


@blueprint.route("/notifications/recipients/<string:external_id>", methods=["DELETE"])
@can("notification:update")
@blueprint.response(
    204, description="The recipient is gone, with devices and preferences. Messages and suppressions stay."
)
def delete_recipient(external_id: str) -> None:
    """Delete a recipient."""
    with tenancy().session(tenant_id()) as session:
        session.delete(recipient_named(session, external_id, to_change=True))


@blueprint.route("/notifications/recipients/<string:external_id>/devices", methods=["GET"])
@can("notification:read")
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, page_schema(DeviceSchema))
def list_devices(arguments: dict[str, Any], external_id: str) -> tuple[Envelope[RecipientDevice], dict[str, str]]:
    """List a recipient's devices."""
    page = read_page(arguments)
    with tenancy().session(tenant_id()) as session:
        person = recipient_named(session, external_id)
        where = (RecipientDevice.tenant_id == tenant_id(), RecipientDevice.recipient_id == person.id)
        return page.answer(_page(session, RecipientDevice, where, page))


@blueprint.route("/notifications/recipients/<string:external_id>/devices", methods=["POST"])
@can("notification:update")
@idempotent
@blueprint.arguments(DeviceCreateSchema, example={"kind": "fcm", "token": "fRz3sPq5T0e:APA91bHexampletoken"})
@blueprint.response(201, DeviceSchema)
def create_device(device: dict[str, Any], external_id: str) -> Response:
    """Add a device. One that is there already is answered with, and gets messages again if it had unsubscribed."""
    target = _target(device)
    digest = hashlib.sha256(target.encode()).digest()
    device_id = new_resource_id()
    sealed = tenancy().vault(tenant_id()).seal(target.encode(), "recipient_devices", "target_sealed", device_id)
    with tenancy().session(tenant_id()) as session:
        person = recipient_named(session, external_id, to_change=True)
        where = (
            RecipientDevice.tenant_id == tenant_id(), RecipientDevice.recipient_id == person.id,
            RecipientDevice.target_hash == digest,
        )  # fmt: skip
        found = session.scalars(select(RecipientDevice).where(*where)).first()
        if found is None:
            found = RecipientDevice(
                tenant_id=tenant_id(), id=device_id, recipient_id=person.id, kind=device["kind"], target_sealed=sealed,
                target_hash=digest, last_four=target.rstrip('"}')[-4:],
            )  # fmt: skip
            session.add(found)
            session.flush()
            session.refresh(found)
        found.gone_at = None
    return make_response(DeviceSchema().dump(found), 201)


@blueprint.route("/notifications/recipients/<string:external_id>/devices/<uuid:device_id>", methods=["DELETE"])
@can("notification:update")
@blueprint.response(204, description="The device is gone.")
def delete_device(external_id: str, device_id: UUID) -> None:
    """Remove a device."""
    with tenancy().session(tenant_id()) as session:
        person = recipient_named(session, external_id)
        where = (
            RecipientDevice.tenant_id == tenant_id(), RecipientDevice.recipient_id == person.id, RecipientDevice.id == device_id
        )  # fmt: skip
        if session.scalar(delete(RecipientDevice).where(*where).returning(RecipientDevice.id)) is None:
            raise NotFound(f"There is no device {device_id}.")


@blueprint.route("/notifications/recipients/<string:external_id>/feed", methods=["GET"])
@can("notification:read")
@blueprint.arguments(FeedFilterSchema, location="query")
@blueprint.response(200, page_schema(NotificationSchema))
def list_feed(arguments: dict[str, Any], external_id: str) -> tuple[Envelope[Message], dict[str, str]]:
    """List a recipient's feed, newest first unless asked otherwise. Listing marks nothing as seen."""
    page = read_page(arguments)
    with tenancy().session(tenant_id()) as session:
        where = [*_feed_of(recipient_named(session, external_id))]
        if arguments["unread"]:
            where.append(Message.read_at.is_(None))
        return page.answer(_page(session, Message, where, page))


@blueprint.route("/notifications/recipients/<string:external_id>/feed/counts", methods=["GET"])
@can("notification:read")
@blueprint.response(200, FeedCountSchema)
def count_feed(external_id: str) -> dict[str, int]:
    """Count what waits in a recipient's feed."""
    with tenancy().session(tenant_id()) as session:
        where = _feed_of(recipient_named(session, external_id))
        row = session.execute(
            select(
                func.count().filter(Message.seen_at.is_(None)).label("unseen"),
                func.count().filter(Message.read_at.is_(None)).label("unread"),
            ).where(*where)
        ).one()
    return {"unseen": row.unseen, "unread": row.unread}


@blueprint.route("/notifications/recipients/<string:external_id>/feed/read", methods=["POST"])
@can("notification:update")
@blueprint.response(200, FeedCountSchema)
def read_feed(external_id: str) -> dict[str, int]:
    """Mark all of a recipient's feed as read."""
    with tenancy().session(tenant_id()) as session:
        where = _feed_of(recipient_named(session, external_id))
        moments = {"seen_at": func.coalesce(Message.seen_at, func.now()), "read_at": func.now()}
        session.execute(update(Message).where(*where, Message.read_at.is_(None)).values(**moments))
    return {"unseen": 0, "unread": 0}


def _put(session: Session, people: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = [
        {
            **person, "tenant_id": tenant_id(), "id": new_id(),
            "email": None if person["email"] is None else normal_email(person["email"]),
            "phone": None if person["phone"] is None else normal_phone(person["phone"]),
        }
        for person in sorted(people, key=lambda each: each["external_id"])  # one order of locks
    ]  # fmt: skip
    added = insert(Recipient).values(rows)
    statement = added.on_conflict_do_update(
        index_elements=[Recipient.tenant_id, Recipient.external_id],
        set_={
            **{name: added.excluded[name] for name in _REPLACED}, "updated_at": func.now(), "version": Recipient.version + 1
        },
    ).returning(*Recipient.__table__.columns, literal_column("xmax = 0", Boolean).label("created"))  # fmt: skip
    return [dict(row) for row in session.execute(statement).mappings()]


def _target(device: dict[str, Any]) -> str:
    """What is sealed. A subscription's address is judged here, and again at each message."""
    if device["kind"] == "fcm":
        token: str = device["token"]
        return token
    allowed = parse_networks(tenancy().settings.webhook_private_networks)
    parse_destination(device["endpoint"], allowed, "/endpoint")
    return json.dumps({"endpoint": device["endpoint"], "keys": device["keys"]}, sort_keys=True)


def _feed_of(person: Recipient) -> tuple[Any, ...]:
    return (
        Message.tenant_id == tenant_id(), Message.channel == "in_app", Message.recipient_id == person.id,
        Message.status == "delivered",
    )  # fmt: skip


def _page(session: Session, model: Any, where: Sequence[Any], page: Any) -> Sequence[Any]:
    statement = select(model).where(*where)
    if page.after is not None:
        statement = statement.where(model.id < page.after if page.newest_first else model.id > page.after)
    order = model.id.desc() if page.newest_first else model.id.asc()
    return session.scalars(statement.order_by(order).limit(page.fetch_limit)).all()
