"""The API's `api_keys`. Made from the API's description by `make reference`; edits here are lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from nexus_client.api import models
from nexus_client.pages import items
from nexus_client.transport import Transport, segment


class ApiKeys:
    """The operations whose path begins with `api_keys`."""

    def __init__(self, transport: Transport):
        self._transport = transport

    def create_api_key(self, body: models.ApiKeyCreate, /, *, idempotency_key: str | None = None) -> models.ApiKeyCreated:
        """Make an API key for this tenant. The answer is the only place that shows it.

        A scope may be written `resource:action` or `action:resource`; the caller must hold each of them.

        Needs the permission `api_key:create`.
        """
        answer: models.ApiKeyCreated = self._transport.send("POST", "/api/v1/api-keys", body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def list_api_keys(self, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> models.ApiKeyPage:
        """List the tenant's keys that are not revoked.

        Needs the permission `api_key:read`.
        """
        answer: models.ApiKeyPage = self._transport.send("GET", "/api/v1/api-keys", query={"limit": limit, "cursor": cursor, "sort": sort})
        return answer

    def iterate_api_keys(self, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> Iterator[models.ApiKey]:
        """Every item of `list_api_keys`, page after page."""
        return items(lambda cursor: self.list_api_keys(limit=limit, sort=sort, cursor=cursor))

    def revoke_api_key(self, key_id: str, /) -> None:
        """Revoke a key. It stops working at its next request.

        Needs the permission `api_key:delete`.
        """
        self._transport.send("DELETE", f"/api/v1/api-keys/{segment(key_id)}")
