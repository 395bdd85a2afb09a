"""Events of the selected tenant."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask_smorest import Blueprint

from bus import events
from domain.events import EVENTS
from web.auth import READABLE, can
from web.context import tenancy, tenant_id
from web.pagination import Envelope, read_page
from web.schemas.base import page_schema
from web.schemas.events import EventQuerySchema, EventSchema, EventTypeListSchema

blueprint = Blueprint("events", __name__, url_prefix="/events", description="What happened")


@blueprint.route("", methods=["GET"])
@can("event:read", states=READABLE)
@blueprint.arguments(EventQuerySchema, location="query")
@blueprint.response(200, page_schema(EventSchema))
def list_events(query: dict[str, Any]) -> tuple[Envelope[events.Event], dict[str, str]]:
    """List events. They can be read for 30 days."""
    page = read_page(query)
    return page.answer(
        events.page(
            tenancy(), tenant_id(), name=query["type"], after=page.after, limit=page.fetch_limit,
            newest_first=page.newest_first,
        )
    )  # fmt: skip


@blueprint.route("/types", methods=["GET"])
@can("event:read", states=READABLE)
@blueprint.response(200, EventTypeListSchema)
def list_event_types() -> dict[str, Any]:
    """List the types of events."""
    return {"items": [{"name": name, "description": text} for name, text in EVENTS.items()]}


@blueprint.route("/<uuid:event_id>", methods=["GET"])
@can("event:read", states=READABLE)
@blueprint.response(200, EventSchema)
def get_event(event_id: UUID) -> events.Event:
    """Read an event."""
    return events.get(tenancy(), tenant_id(), event_id)
