"""The API's `search`. Made from the API's description by `make reference`; edits here are lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from nexus_client.api import models
from nexus_client.pages import items
from nexus_client.transport import Transport, segment


class Search:
    """The operations whose path begins with `search`."""

    def __init__(self, transport: Transport):
        self._transport = transport

    def list_documents(self, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> models.DocumentSummaryPage:
        """List documents without their bodies, newest first unless asked otherwise.

        Needs the permission `document:read`.
        """
        answer: models.DocumentSummaryPage = self._transport.send("GET", "/api/v1/search/documents", query={"limit": limit, "cursor": cursor, "sort": sort})
        return answer

    def iterate_documents(self, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> Iterator[models.DocumentSummary]:
        """Every item of `list_documents`, page after page."""
        return items(lambda cursor: self.list_documents(limit=limit, sort=sort, cursor=cursor))

    def put_document(self, external_id: str, body: models.DocumentBody, /, *, if_match: Mapping[str, Any] | str) -> models.Document:
        """Create or replace a document.

        `external_id` is your own name for it, of up to 200 characters, and makes repeating the request harmless. Searches find it
        by its words as soon as this has answered, and by its meaning when it has been embedded.

        Needs the permission `document:create`.
        """
        answer: models.Document = self._transport.send("PUT", f"/api/v1/search/documents/{segment(external_id)}", body=body, if_match=if_match)
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

    def create_search(self, body: models.SearchQuery, /, *, explain: bool | None = None, idempotency_key: str | None = None) -> models.SearchAnswer:
        """Search the tenant's sources.

        Waits until every source has answered, at most `timeout_ms`: `partial` tells that hits may be missing. With
        `Prefer: respond-async` it answers 202 at once, and `Location` is where the answer can be read. 502 means that every
        source failed.

        Needs the permission `search:create`.
        """
        answer: models.SearchAnswer = self._transport.send("POST", "/api/v1/search", query={"explain": explain}, body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def list_queries(self, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> models.SearchLogPage:
        """List the searches that were asked, newest first unless asked otherwise.

        What stands here of a question, and for how long, are settings of the tenant: `search_log` and `search_log_days`.

        Needs the permission `search:read`.
        """
        answer: models.SearchLogPage = self._transport.send("GET", "/api/v1/search/queries", query={"limit": limit, "cursor": cursor, "sort": sort})
        return answer

    def iterate_queries(self, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> Iterator[models.SearchLog]:
        """Every item of `list_queries`, page after page."""
        return items(lambda cursor: self.list_queries(limit=limit, sort=sort, cursor=cursor))

    def get_search(self, search_id: str, /, *, explain: bool | None = None, limit: int | None = None, cursor: str | None = None) -> models.SearchAnswer:
        """Read a search's answer as it is now, a page at a time.

        A source that has not answered is `pending` until the deadline and `timeout` from then on. Pages do not shift: those that
        follow a cursor are made of the sources that the first one was made of. Hits of a source that the reader may not search
        are left out, whoever asked.

        Needs the permission `search:read`.
        """
        answer: models.SearchAnswer = self._transport.send("GET", f"/api/v1/search/{segment(search_id)}", query={"explain": explain, "limit": limit, "cursor": cursor})
        return answer

    def get_indexing(self) -> models.SearchIndexing:
        """Read how documents are indexed, and how many of them have their vector.

        Needs the permission `document:read`.
        """
        answer: models.SearchIndexing = self._transport.send("GET", "/api/v1/search/indexing")
        return answer

    def put_indexing(self, body: models.SearchIndexingUpdate, /, *, if_match: Mapping[str, Any] | str) -> models.SearchIndexing:
        """Choose how documents are indexed. `If-Match` must carry the `ETag` that was read.

        With `embeds`, a job embeds every document that has no vector of this choice; `job_id` names it, and its progress tells how
        far it is. Until then searches find documents by their words. The language holds for documents put from now on.

        Needs the permission `llm_config:update`.
        """
        answer: models.SearchIndexing = self._transport.send("PUT", "/api/v1/search/indexing", body=body, if_match=if_match)
        return answer

    def rebuild_index(self, *, wait: int | None = None, idempotency_key: str | None = None) -> models.Job:
        """Embed every document that has no vector of the present choice, also those that no model took before.

        Needs the permission `llm_config:update`.
        """
        answer: models.Job = self._transport.send("POST", "/api/v1/search/indexing/rebuild", query={"wait": wait}, keyed=True, idempotency_key=idempotency_key)
        return answer

    def create_search_source(self, body: models.SearchSourcePut, /, *, idempotency_key: str | None = None) -> models.SearchSource:
        """Register a source. Searches that name no sources ask it from now on. 409 if the name is taken.

        Needs the permission `search_source:create`.
        """
        answer: models.SearchSource = self._transport.send("POST", "/api/v1/search/sources", body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def list_search_sources(self, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> models.SearchSourcePage:
        """List the tenant's sources. The platform's own are not among them: they are always there.

        Needs the permission `search_source:read`.
        """
        answer: models.SearchSourcePage = self._transport.send("GET", "/api/v1/search/sources", query={"limit": limit, "cursor": cursor, "sort": sort})
        return answer

    def iterate_search_sources(self, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> Iterator[models.SearchSource]:
        """Every item of `list_search_sources`, page after page."""
        return items(lambda cursor: self.list_search_sources(limit=limit, sort=sort, cursor=cursor))

    def get_search_source(self, search_source_id: str, /) -> models.SearchSource:
        """Read a source.

        Needs the permission `search_source:read`.
        """
        answer: models.SearchSource = self._transport.send("GET", f"/api/v1/search/sources/{segment(search_source_id)}")
        return answer

    def put_search_source(self, search_source_id: str, body: models.SearchSourcePut, /, *, if_match: Mapping[str, Any] | str) -> models.SearchSource:
        """Replace a source's definition. A secret that is left out stays, if the address keeps its server.

        Needs the permission `search_source:update`.
        """
        answer: models.SearchSource = self._transport.send("PUT", f"/api/v1/search/sources/{segment(search_source_id)}", body=body, if_match=if_match)
        return answer

    def delete_search_source(self, search_source_id: str, /) -> None:
        """Delete a source.

        Needs the permission `search_source:delete`.
        """
        self._transport.send("DELETE", f"/api/v1/search/sources/{segment(search_source_id)}")
