"""The tenant's searchable documents: put, read and delete one, put many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response, make_response, request
from flask_smorest import Blueprint
from marshmallow import ValidationError
from sqlalchemy import ColumnElement, and_, delete, select
from sqlalchemy.orm import Session

from domain.errors import FieldError, InvalidPayload, NotFound, PreconditionFailed
from jobs.payloads.documents import DocumentPutSchema
from jobs.submit import field_errors
from models.tenant import SearchIndexing
from web.auth import can
from web.context import tenancy, tenant_id
from web.document_store import SHOWN, TABLE, TooLarge, embed_later, indexing, mark, put
from web.etags import check_if_match, with_etag
from web.pagination import Envelope, read_page
from web.schemas.base import PageQuerySchema, page_schema
from web.schemas.documents import (
    DocumentBodySchema,
    DocumentBulkResultSchema,
    DocumentBulkSchema,
    DocumentSchema,
    DocumentSummarySchema,
)

blueprint = Blueprint("documents", __name__, description="Documents that searches find")

CONDITIONS = [
    {
        "name": "If-Match", "in": "header", "schema": {"type": "string"}, "example": '"1"',
        "description": "Replace only the version of this `ETag`; without it, whatever is there.",
    },
    {
        "name": "If-None-Match", "in": "header", "schema": {"type": "string"}, "example": "*",
        "description": "`*` only makes a new document, and replaces none.",
    },
]  # fmt: skip


@blueprint.route("/search/documents", methods=["GET"])
@can("document:read")
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, page_schema(DocumentSummarySchema))
def list_documents(arguments: dict[str, Any]) -> tuple[Envelope[Mapping[str, Any]], dict[str, str]]:
    """List documents without their bodies, newest first unless asked otherwise."""
    page = read_page(arguments)
    id = TABLE.c.id
    statement = select(*SHOWN).where(TABLE.c.tenant_id == tenant_id())
    if page.after is not None:
        statement = statement.where(id < page.after if page.newest_first else id > page.after)
    statement = statement.order_by(id.desc() if page.newest_first else id.asc()).limit(page.fetch_limit)
    with tenancy().session(tenant_id()) as session:
        return page.answer([dict(row) for row in session.execute(statement).mappings()])


@blueprint.route("/search/documents/<path:external_id>", methods=["PUT"], parameters=CONDITIONS)
@can("document:create")
@blueprint.arguments(DocumentBodySchema)
@blueprint.response(200, DocumentSchema, description="The document was replaced.")
@blueprint.alt_response(201, schema=DocumentSchema, description="The document is new.")
@blueprint.alt_response(412, "PRECONDITION_FAILED")
def put_document(document: dict[str, Any], external_id: str) -> Response:
    """Create or replace a document.

    `external_id` is your own name for it, of up to 200 characters, and makes repeating the request harmless. Searches find it
    by its words as soon as this has answered, and by its meaning when it has been embedded.
    """
    if not (0 < len(external_id) <= 200 and "\0" not in external_id):
        fault = FieldError("", "invalid", "The document's name has 1 to 200 characters.")
        raise InvalidPayload("The document's name is invalid.", errors=(fault,))
    try:
        with tenancy().session(tenant_id()) as session:
            _check_if_match(session, external_id)
            chosen = indexing(session)
            rows = put(session, [{**document, "external_id": external_id}], chosen)
            if request.if_none_match.star_tag and not rows[external_id]["created"]:
                raise PreconditionFailed("There is a document of this name already.")
            due = mark(session, rows, chosen)
    except TooLarge:
        raise InvalidPayload("The document is too large.", errors=(_too_large("/body"),)) from None
    if due:
        embed_later()
    stored = rows[external_id]
    return _shown(stored, 201 if stored["created"] else 200)


@blueprint.route("/search/documents/<path:external_id>", methods=["GET"])
@can("document:read")
@blueprint.response(200, DocumentSchema)
def get_document(external_id: str) -> Response:
    """Read a document."""
    with tenancy().session(tenant_id()) as session:
        found = session.execute(select(*SHOWN, TABLE.c.body).where(_named(external_id))).mappings().first()
    if found is None:
        raise _no_document(external_id)
    return _shown({str(name): value for name, value in found.items()})


@blueprint.route("/search/documents/<path:external_id>", methods=["DELETE"])
@can("document:delete")
@blueprint.response(204, description="The document is gone.")
def delete_document(external_id: str) -> Response:
    """Delete a document. No search finds it any more."""
    with tenancy().session(tenant_id()) as session:
        gone = session.scalar(delete(TABLE).where(_named(external_id)).returning(TABLE.c.id))
    if gone is None:
        raise _no_document(external_id)
    return Response(status=204)


@blueprint.route("/search/documents/bulk", methods=["POST"])
@can("document:create")
@blueprint.arguments(DocumentBulkSchema)
@blueprint.response(200, DocumentBulkResultSchema)
def put_documents(bulk: dict[str, Any]) -> dict[str, Any]:
    """Create or replace up to 1000 documents.

    Answers with a result for every item, in order. Those that fit are stored together, in one transaction; an item
    that is refused changes nothing. An `external_id` that stands in the request twice is taken the first time.
    """
    items = [_checked(index, item) for index, item in enumerate(bulk["items"])]
    _refuse_repeated(items)
    with tenancy().session(tenant_id()) as session:
        chosen = indexing(session)
        stored = _put_all(session, [item for item in items if not item["errors"]], chosen)
        due = mark(session, stored, chosen)
    if due:
        embed_later()
    counts = {status: sum(item["status"] == status for item in items) for status in ("created", "replaced", "refused")}
    return {**counts, "items": items}


def _named(external_id: str) -> ColumnElement[bool]:
    if "\0" in external_id:
        raise _no_document(external_id)
    return and_(TABLE.c.tenant_id == tenant_id(), TABLE.c.external_id == external_id)


def _no_document(external_id: str) -> NotFound:
    return NotFound(f"There is no document {external_id[:200]!r}.")


def _too_large(pointer: str) -> FieldError:
    return FieldError(pointer, "too_large", "Has more distinct words than the index can hold.")


def _checked(index: int, item: Mapping[str, Any]) -> dict[str, Any]:
    """The item's result as far as validation tells, with the loaded document beside it."""
    name = item.get("external_id")
    result: dict[str, Any] = {"index": index, "external_id": name if isinstance(name, str) else None, "errors": ()}
    try:
        return {**result, "status": "created", "document": DocumentPutSchema().load(item)}
    except ValidationError as error:
        return {**result, **_refused(field_errors(error.messages, f"/items/{index}"))}


def _refused(faults: Sequence[FieldError]) -> dict[str, Any]:
    return {"status": "refused", "errors": tuple(faults)}


def _refuse_repeated(items: Sequence[dict[str, Any]]) -> None:
    seen: set[str] = set()
    for item in items:
        if item["errors"]:
            continue
        if item["external_id"] in seen:
            pointer = f"/items/{item['index']}/external_id"
            item.update(_refused([FieldError(pointer, "repeated", "Stands in the request before.")]))
        seen.add(item["external_id"])


def _put_all(session: Session, items: Sequence[dict[str, Any]], chosen: SearchIndexing) -> dict[str, Mapping[str, Any]]:
    """Store the items in one statement, or in halves if the index cannot hold one of them; returns what was stored."""
    if not items:
        return {}
    try:
        with session.begin_nested():
            stored = put(session, [item["document"] for item in items], chosen)
    except TooLarge:
        if len(items) == 1:
            items[0].update(_refused([_too_large(f"/items/{items[0]['index']}/body")]))
            return {}
        middle = len(items) // 2
        return _put_all(session, items[:middle], chosen) | _put_all(session, items[middle:], chosen)
    for item in items:
        item["status"] = "created" if stored[item["external_id"]]["created"] else "replaced"
    return stored


def _check_if_match(session: Session, external_id: str) -> None:
    """Raise `PreconditionFailed` unless the document is of the version in `If-Match`, and lock it."""
    if "If-Match" not in request.headers:
        return
    version = session.scalar(select(TABLE.c.version).where(_named(external_id)).with_for_update())
    if version is None:
        raise PreconditionFailed("There is no document of this name.")
    check_if_match(version)


def _shown(document: Mapping[str, Any], status: int = 200) -> Response:
    return with_etag(make_response(DocumentSchema().dump(document), status), document["version"])
