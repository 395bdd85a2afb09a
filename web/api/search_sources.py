"""HTTP sources of the tenant's own. Their secrets are sealed, and only the last four characters are ever shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from flask import Response, make_response
from flask_smorest import Blueprint
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from domain.destinations import Network, parse_destination, parse_networks
from domain.errors import Conflict, FieldError, InvalidPayload, NotFound
from domain.identity.permissions import parse
from domain.search.registering import faults, keeps_secret, last_four
from domain.search.sources import MOST_REGISTERED
from models.tenant import SearchSource
from tenancy.identity.own_permissions import listed
from web.auth import can
from web.context import tenancy, tenant_id
from web.etags import check_if_match, with_etag
from web.idempotency import idempotent, new_resource_id
from web.listing import list_rows
from web.pagination import Envelope
from web.schemas.base import PageQuerySchema, page_schema
from web.schemas.search_sources import SearchSourcePutSchema, SearchSourceSchema

blueprint = Blueprint(
    "search_sources",
    __name__,
    url_prefix="/search/sources",
    description="Where searches look beside the platform's own",
)

_EXAMPLE = {
    "name": "wiki",
    "url": "https://wiki.example.com/search",
    "weight": 1.5,
    "secret": "Bearer 5d41402abc4b2a76",
}


@blueprint.route("", methods=["POST"])
@can("search_source:create")
@idempotent
@blueprint.arguments(SearchSourcePutSchema, example=_EXAMPLE)
@blueprint.response(201, SearchSourceSchema)
@blueprint.alt_response(409, "CONFLICT")
def create_search_source(wanted: dict[str, Any]) -> Response:
    """Register a source. Searches that name no sources ask it from now on. 409 if the name is taken."""
    source_id = new_resource_id()
    values = _values(wanted)
    with tenancy().session(tenant_id()) as session:
        # One at a time in each tenant: two that count at once would both find room.
        session.execute(
            select(func.pg_advisory_xact_lock(func.hashtextextended(f"search sources of {tenant_id()}", 0)))
        )
        own = select(func.count()).select_from(SearchSource).where(SearchSource.tenant_id == tenant_id())
        if (session.scalar(own.where(SearchSource.id != source_id)) or 0) >= MOST_REGISTERED:
            raise Conflict(f"A tenant has at most {MOST_REGISTERED} sources of its own; delete one first.")
        row = {**values, **_sealed(wanted.get("secret"), source_id), "tenant_id": tenant_id(), "id": source_id}
        session.execute(insert(SearchSource).values(row).on_conflict_do_nothing())
        made = session.get(SearchSource, (tenant_id(), source_id))
        if made is None:
            raise _taken()
    return _shown(made, 201)


@blueprint.route("", methods=["GET"])
@can("search_source:read")
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, page_schema(SearchSourceSchema))
def list_search_sources(query: dict[str, Any]) -> tuple[Envelope[SearchSource], dict[str, str]]:
    """List the tenant's sources. The platform's own are not among them: they are always there."""
    return list_rows(SearchSource, query)


@blueprint.route("/<uuid:search_source_id>", methods=["GET"])
@can("search_source:read")
@blueprint.response(200, SearchSourceSchema)
def get_search_source(search_source_id: UUID) -> Response:
    """Read a source."""
    with tenancy().session(tenant_id()) as session:
        found = _get(session, search_source_id)
    return _shown(found)


@blueprint.route("/<uuid:search_source_id>", methods=["PUT"])
@can("search_source:update")
@blueprint.arguments(SearchSourcePutSchema, example=_EXAMPLE)
@blueprint.response(200, SearchSourceSchema)
@blueprint.alt_response(409, "CONFLICT")
@blueprint.alt_response(412, "PRECONDITION_FAILED")
@blueprint.alt_response(428, "PRECONDITION_REQUIRED")
def put_search_source(wanted: dict[str, Any], search_source_id: UUID) -> Response:
    """Replace a source's definition. A secret that is left out stays, if the address keeps its server."""
    values = _values(wanted)
    with tenancy().session(tenant_id()) as session:
        source = _get(session, search_source_id, to_change=True)
        check_if_match(source.version)
        if "secret" in wanted:
            values.update(_sealed(wanted["secret"], source.id))
        elif source.secret_sealed is not None:
            _refuse_to_carry(source.url, wanted["url"])
        for name, value in values.items():
            setattr(source, name, value)
        source.version += 1
        source.updated_at = datetime.now(UTC)
        try:
            session.flush()
        except IntegrityError:
            raise _taken() from None
    return _shown(source)


@blueprint.route("/<uuid:search_source_id>", methods=["DELETE"])
@can("search_source:delete")
@blueprint.response(204, description="The source is gone. Answers that it has a part in stay.")
def delete_search_source(search_source_id: UUID) -> None:
    """Delete a source."""
    with tenancy().session(tenant_id()) as session:
        source = _get(session, search_source_id, to_change=True)
        session.delete(source)


def _get(session: Session, source_id: UUID, *, to_change: bool = False) -> SearchSource:
    found = session.get(SearchSource, (tenant_id(), source_id), with_for_update=to_change or None)
    if found is None:
        raise NotFound(f"There is no search source {source_id}.")
    return found


def _values(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The columns, without the secret. Raises `InvalidPayload`."""
    found = faults(wanted["name"], wanted["header_name"], wanted.get("secret"))
    if found:
        raise InvalidPayload("The source cannot be used as it is described.", errors=tuple(found))
    parse_destination(wanted["url"], _allowed())
    values = {name: value for name, value in wanted.items() if name != "secret"}
    if wanted["permission"] is not None:
        own = [row["name"] for row in listed(tenancy().platform, tenant_id())]
        values["permission"] = parse(wanted["permission"], own)
    return values


def _sealed(secret: str | None, source_id: UUID) -> dict[str, Any]:
    if secret is None:
        return {"secret_sealed": None, "secret_last_four": None}
    sealed = tenancy().vault(tenant_id()).seal(secret.encode(), "search_sources", "secret_sealed", source_id)
    return {"secret_sealed": sealed, "secret_last_four": last_four(secret)}


def _refuse_to_carry(before: str, after: str) -> None:
    if not keeps_secret(before, after, _allowed()):
        fault = FieldError("/secret", "required", "Give the secret again, or null: the address is of another server.")
        raise InvalidPayload("The secret is not sent to another server unasked.", errors=(fault,))


def _allowed() -> Sequence[Network]:
    return parse_networks(tenancy().settings.search_private_networks)


def _taken() -> Conflict:
    fault = FieldError("/name", "taken", "Another source has this name.")
    return Conflict("There is a source with this name already.", errors=(fault,))


def _shown(source: SearchSource, status: int = 200) -> Response:
    response = make_response(SearchSourceSchema().dump(source), status)
    response.headers["Location"] = f"/api/v1/search/sources/{source.id}"
    return with_etag(response, source.version)
