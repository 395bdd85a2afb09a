"""The tenant's searchable documents: put, read and delete one, put many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response
from flask_smorest import Blueprint
from marshmallow import ValidationError
from psycopg.errors import ProgramLimitExceeded
from sqlalchemy import Boolean, ColumnElement, and_, delete, func, literal_column, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from domain.errors import FieldError, InvalidPayload, NotFound
from domain.ids import new_id
from jobs.payloads.search import DocumentPutSchema
from jobs.submit import field_errors
from models.tenant import Document
from web.auth import can
from web.context import tenancy, tenant_id
from web.schemas.documents import (
    DocumentBodySchema,
    DocumentBulkResultSchema,
    DocumentBulkSchema,
    DocumentSchema,
)

blueprint = Blueprint("documents", __name__, description="Documents that searches find")

_REPLACED = ("title", "body", "url", "language")
_COLUMNS = (
    Document.id, Document.external_id, Document.title, Document.body, Document.url, Document.language,
    Document.created_at, Document.updated_at,
)  # fmt: skip


class _TooLarge(Exception):
    """PostgreSQL's text index cannot hold a document: about a megabyte of distinct words."""


@blueprint.route("/search/documents/<path:external_id>", methods=["PUT"])
@can("document:create")
@blueprint.arguments(DocumentBodySchema)
@blueprint.response(200, DocumentSchema, description="The document was replaced.")
@blueprint.alt_response(201, schema=DocumentSchema, description="The document is new.")
def put_document(document: dict[str, Any], external_id: str) -> tuple[Mapping[str, Any], int]:
    """Create or replace a document.

    `external_id` is your own name for it, of up to 200 characters. Searches find it as soon as this has answered.
    """
    if not (0 < len(external_id) <= 200 and "\0" not in external_id):
        fault = FieldError("", "invalid", "The document's name has 1 to 200 characters.")
        raise InvalidPayload("The document's name is invalid.", errors=(fault,))
    try:
        with tenancy().session(tenant_id()) as session:
            stored = _put(session, [{**document, "external_id": external_id}])[external_id]
    except _TooLarge:
        raise InvalidPayload("The document is too large.", errors=(_too_large("/body"),)) from None
    return stored, 201 if stored["created"] else 200


@blueprint.route("/search/documents/<path:external_id>", methods=["GET"])
@can("document:read")
@blueprint.response(200, DocumentSchema)
def get_document(external_id: str) -> Document:
    """Read a document."""
    with tenancy().session(tenant_id()) as session:
        found = session.scalar(select(Document).where(_named(external_id)))
    if found is None:
        raise _no_document(external_id)
    return found


@blueprint.route("/search/documents/<path:external_id>", methods=["DELETE"])
@can("document:delete")
@blueprint.response(204, description="The document is gone.")
def delete_document(external_id: str) -> Response:
    """Delete a document. No search finds it any more."""
    with tenancy().session(tenant_id()) as session:
        gone = session.scalar(delete(Document).where(_named(external_id)).returning(Document.id))
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
        _put_all(session, [item for item in items if not item["errors"]])
    counts = {status: sum(item["status"] == status for item in items) for status in ("created", "replaced", "refused")}
    return {**counts, "items": items}


def _named(external_id: str) -> ColumnElement[bool]:
    if "\0" in external_id:
        raise _no_document(external_id)
    return and_(Document.tenant_id == tenant_id(), Document.external_id == external_id)


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


def _put_all(session: Session, items: Sequence[dict[str, Any]]) -> None:
    """Store the items in one statement, or one by one if the index cannot hold one of them."""
    if not items:
        return
    try:
        with session.begin_nested():
            created = _put(session, [item["document"] for item in items])
    except _TooLarge:
        if len(items) == 1:
            items[0].update(_refused([_too_large(f"/items/{items[0]['index']}/body")]))
            return
        middle = len(items) // 2
        _put_all(session, items[:middle])
        _put_all(session, items[middle:])
        return
    for item in items:
        item["status"] = "created" if created[item["external_id"]]["created"] else "replaced"


def _put(session: Session, documents: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Insert or replace; the stored rows by external id, each with whether it is new. Raises `_TooLarge`."""
    owner = tenant_id()
    added = insert(Document).values([{**document, "tenant_id": owner, "id": new_id()} for document in documents])
    statement = added.on_conflict_do_update(
        index_elements=[Document.tenant_id, Document.external_id],
        set_={**{name: added.excluded[name] for name in _REPLACED}, "updated_at": func.now()},
    ).returning(*_COLUMNS, literal_column("xmax = 0", Boolean).label("created"))
    try:
        return {row["external_id"]: dict(row) for row in session.execute(statement).mappings()}
    except OperationalError as error:
        if isinstance(error.orig, ProgramLimitExceeded):
            raise _TooLarge from None
        raise
