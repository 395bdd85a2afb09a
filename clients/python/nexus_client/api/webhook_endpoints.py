"""The API's `webhook_endpoints`. Made from the API's description by `make reference`; edits here are lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from nexus_client.api import models
from nexus_client.pages import items
from nexus_client.transport import Transport, segment


class WebhookEndpoints:
    """The operations whose path begins with `webhook_endpoints`."""

    def __init__(self, transport: Transport):
        self._transport = transport

    def create_webhook_endpoint(self, body: models.WebhookEndpointCreate, /, *, idempotency_key: str | None = None) -> models.WebhookEndpointSecret:
        """Make an endpoint. The answer is the only place that shows its secret, which signs what is sent to it.

        Needs the permission `webhook_endpoint:create`.
        """
        answer: models.WebhookEndpointSecret = self._transport.send("POST", "/api/v1/webhook-endpoints", body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def list_webhook_endpoints(self, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> models.WebhookEndpointPage:
        """List endpoints.

        Needs the permission `webhook_endpoint:read`.
        """
        answer: models.WebhookEndpointPage = self._transport.send("GET", "/api/v1/webhook-endpoints", query={"limit": limit, "cursor": cursor, "sort": sort})
        return answer

    def iterate_webhook_endpoints(self, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> Iterator[models.WebhookEndpoint]:
        """Every item of `list_webhook_endpoints`, page after page."""
        return items(lambda cursor: self.list_webhook_endpoints(limit=limit, sort=sort, cursor=cursor))

    def get_webhook_endpoint(self, endpoint_id: str, /) -> models.WebhookEndpoint:
        """Read an endpoint.

        Needs the permission `webhook_endpoint:read`.
        """
        answer: models.WebhookEndpoint = self._transport.send("GET", f"/api/v1/webhook-endpoints/{segment(endpoint_id)}")
        return answer

    def replace_webhook_endpoint(self, endpoint_id: str, body: models.WebhookEndpointCreate, /, *, if_match: Mapping[str, Any] | str) -> models.WebhookEndpoint:
        """Change an endpoint. `If-Match` must carry the `ETag` that was read.

        To enable one that the platform disabled forgets its failures; what failed meanwhile can be delivered again.

        Needs the permission `webhook_endpoint:update`.
        """
        answer: models.WebhookEndpoint = self._transport.send("PUT", f"/api/v1/webhook-endpoints/{segment(endpoint_id)}", body=body, if_match=if_match)
        return answer

    def delete_webhook_endpoint(self, endpoint_id: str, /) -> None:
        """Delete an endpoint and the record of its deliveries. What is on its way is not sent any more.

        Needs the permission `webhook_endpoint:delete`.
        """
        self._transport.send("DELETE", f"/api/v1/webhook-endpoints/{segment(endpoint_id)}")

    def rotate_webhook_secret(self, endpoint_id: str, /) -> models.WebhookEndpointSecret:
        """Give the endpoint a new secret, shown this once. The one before signs beside it for 24 hours.

        Needs the permission `webhook_endpoint:update`.
        """
        answer: models.WebhookEndpointSecret = self._transport.send("POST", f"/api/v1/webhook-endpoints/{segment(endpoint_id)}/rotate-secret")
        return answer

    def test_webhook_endpoint(self, endpoint_id: str, /, *, idempotency_key: str | None = None) -> models.WebhookDelivery:
        """Send a test event to the endpoint, whatever it subscribes to, and to no other.

        Needs the permission `webhook_endpoint:update`.
        """
        answer: models.WebhookDelivery = self._transport.send("POST", f"/api/v1/webhook-endpoints/{segment(endpoint_id)}/test", keyed=True, idempotency_key=idempotency_key)
        return answer

    def list_webhook_deliveries(self, endpoint_id: str, /, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None, event_id: str | None = None) -> models.WebhookDeliveryPage:
        """List what was, or is to be, delivered to an endpoint.

        Needs the permission `webhook_endpoint:read`.
        """
        answer: models.WebhookDeliveryPage = self._transport.send("GET", f"/api/v1/webhook-endpoints/{segment(endpoint_id)}/deliveries", query={"limit": limit, "cursor": cursor, "sort": sort, "event_id": event_id})
        return answer

    def iterate_webhook_deliveries(self, endpoint_id: str, /, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None, event_id: str | None = None) -> Iterator[models.WebhookDelivery]:
        """Every item of `list_webhook_deliveries`, page after page."""
        return items(lambda cursor: self.list_webhook_deliveries(endpoint_id, limit=limit, sort=sort, event_id=event_id, cursor=cursor))

    def get_webhook_delivery(self, endpoint_id: str, delivery_id: str, /) -> models.WebhookDeliveryDetail:
        """Read a delivery with each of its attempts and what the receiver answered.

        Needs the permission `webhook_endpoint:read`.
        """
        answer: models.WebhookDeliveryDetail = self._transport.send("GET", f"/api/v1/webhook-endpoints/{segment(endpoint_id)}/deliveries/{segment(delivery_id)}")
        return answer

    def redeliver_webhook(self, endpoint_id: str, delivery_id: str, /, *, idempotency_key: str | None = None) -> models.WebhookDelivery:
        """Deliver the same event again, whatever came of the first delivery.

        The event's id, and so the `webhook-id`, stays: a receiver that has processed it will know it.

        Needs the permission `webhook_endpoint:update`.
        """
        answer: models.WebhookDelivery = self._transport.send("POST", f"/api/v1/webhook-endpoints/{segment(endpoint_id)}/deliveries/{segment(delivery_id)}/redeliver", keyed=True, idempotency_key=idempotency_key)
        return answer
