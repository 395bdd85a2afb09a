"""The API's `events`. Made from the API's description by `make reference`; edits here are lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from nexus_client.api import models
from nexus_client.pages import items
from nexus_client.streams import Event
from nexus_client.transport import Transport, segment


class Events:
    """The operations whose path begins with `events`."""

    def __init__(self, transport: Transport):
        self._transport = transport

    def list_events(self, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None, type: Literal["tenant.provisioned", "job.succeeded", "job.failed", "job.cancelled", "notification.sent", "completion.created", "search.requested", "invoice.finalised", "invoice.paid", "invoice.payment_failed", "quota.reached", "webhook_endpoint.disabled", "webhook.test"] | None = None) -> models.EventPage:
        """List events. They can be read for 30 days.

        Needs the permission `event:read`.
        """
        answer: models.EventPage = self._transport.send("GET", "/api/v1/events", query={"limit": limit, "cursor": cursor, "sort": sort, "type": type})
        return answer

    def iterate_events(self, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None, type: Literal["tenant.provisioned", "job.succeeded", "job.failed", "job.cancelled", "notification.sent", "completion.created", "search.requested", "invoice.finalised", "invoice.paid", "invoice.payment_failed", "quota.reached", "webhook_endpoint.disabled", "webhook.test"] | None = None) -> Iterator[models.Event]:
        """Every item of `list_events`, page after page."""
        return items(lambda cursor: self.list_events(limit=limit, sort=sort, type=type, cursor=cursor))

    def list_event_types(self) -> models.EventTypeList:
        """List the types of events.

        Needs the permission `event:read`.
        """
        answer: models.EventTypeList = self._transport.send("GET", "/api/v1/events/types")
        return answer

    def get_event(self, event_id: str, /) -> models.Event:
        """Read an event.

        Needs the permission `event:read`.
        """
        answer: models.Event = self._transport.send("GET", f"/api/v1/events/{segment(event_id)}")
        return answer
