"""The API's `search`. Made from the API's description by `make reference`; edits here are lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from nexus_client.api import models
from nexus_client.pages import items
from nexus_client.transport import Transport, segment


class Search:
    """The operations whose path begins with `search`."""

    def __init__(self, transport: Transport):
        self._transport = transport

    def put_document(self, external_id: str, body: models.DocumentBody, /) -> models.Document:
        """Create or replace a document.

        `external_id` is your own name for it, of up to 200 characters. Searches find it as soon as this has answered.

        Needs the permission `document:create`.
        """
        answer: models.Document = self._transport.send("PUT", f"/api/v1/search/documents/{segment(external_id)}", body=body)
        return answer

    def get_document(self, external_id: str, /) -> models.Document:
        """Read a document.

        Needs the permission `document:read`.
        """
        answer: models.Document = self._transport.send("GET", f"/api/v1/search/documents/{segment(external_id)}")
        return answer

    def delete_document(self, external_id: str, /) -> None:
        """Delete a document. No search finds it any more.

        Needs the permission `document:delete`.
        """
        self._transport.send("DELETE", f"/api/v1/search/documents/{segment(external_id)}")

    def put_documents(self, body: models.DocumentBulk, /) -> models.DocumentBulkResult:
        """Create or replace up to 1000 documents.

        Answers with a result for every item, in order. Those that fit are stored together, in one transaction; an item
        that is refused changes nothing. An `external_id` that stands in the request twice is taken the first time.

        Needs the permission `document:create`.
        """
        answer: models.DocumentBulkResult = self._transport.send("POST", "/api/v1/search/documents/bulk", body=body)
        return answer

    def create_search(self, body: models.SearchQuery, /, *, idempotency_key: str | None = None) -> models.SearchAnswer:
        """Search the tenant's sources.

        Waits until every source has answered, at most `timeout_ms`: `partial` tells that a source is missing. With
        `Prefer: respond-async` it answers 202 at once, and `Location` is where the answer can be read. 502 means that every
        source failed.

        Needs the permission `search:create`.
        """
        answer: models.SearchAnswer = self._transport.send("POST", "/api/v1/search", body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def list_queries(self, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> models.SearchLogPage:
        """List the searches that were asked, newest first unless asked otherwise.

        Needs the permission `search:read`.
        """
        answer: models.SearchLogPage = self._transport.send("GET", "/api/v1/search/queries", query={"limit": limit, "cursor": cursor, "sort": sort})
        return answer

    def iterate_queries(self, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> Iterator[models.SearchLog]:
        """Every item of `list_queries`, page after page."""
        return items(lambda cursor: self.list_queries(limit=limit, sort=sort, cursor=cursor))

    def get_search(self, search_id: str, /) -> models.SearchAnswer:
        """Read a search's answer as it is now.

        A source that has not answered is `pending` until the deadline and `timeout` from then on.

        Needs the permission `search:read`.
        """
        answer: models.SearchAnswer = self._transport.send("GET", f"/api/v1/search/{segment(search_id)}")
        return answer
