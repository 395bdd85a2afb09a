"""Groups of the selected tenant's members."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response, make_response
from flask_smorest import Blueprint

from tenancy.database import Row
from tenancy.identity import groups
from tenancy.identity.authorization import changing
from web.auth import can
from web.context import principal, tenancy, tenant_id
from web.etags import check_if_match, with_etag
from web.idempotency import idempotent, new_resource_id
from web.pagination import Envelope, read_page
from web.schemas.base import PageQuerySchema, page_schema
from web.schemas.groups import GroupPutSchema, GroupSchema

blueprint = Blueprint("groups", __name__, url_prefix="/groups", description="Members who hold the same roles")


@blueprint.route("", methods=["POST"])
@can("group:create")
@idempotent
@blueprint.arguments(GroupPutSchema)
@blueprint.response(201, GroupSchema)
def create_group(new: dict[str, Any]) -> Response:
    """Create a group, without members and roles yet."""
    group_id = new_resource_id()
    with changing(tenancy().platform, tenant_id()) as session:
        groups.create(session, tenant_id(), group_id, **new)
    return _shown(group_id, 201)


@blueprint.route("", methods=["GET"])
@can("group:read")
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, page_schema(GroupSchema))
def list_groups(query: dict[str, Any]) -> tuple[Envelope[Row], dict[str, str]]:
    """List the tenant's groups."""
    page = read_page(query)
    return page.answer(
        groups.page(
            tenancy().platform, tenant_id(), after=page.after, limit=page.fetch_limit, newest_first=page.newest_first
        )
    )


@blueprint.route("/<uuid:group_id>", methods=["GET"])
@can("group:read")
@blueprint.response(200, GroupSchema)
def get_group(group_id: UUID) -> Response:
    """Read a group."""
    return _shown(group_id)


@blueprint.route("/<uuid:group_id>", methods=["PUT"])
@can("group:update")
@blueprint.arguments(GroupPutSchema)
@blueprint.response(200, GroupSchema)
@blueprint.alt_response(412, "PRECONDITION_FAILED")
@blueprint.alt_response(428, "PRECONDITION_REQUIRED")
def put_group(new: dict[str, Any], group_id: UUID) -> Response:
    """Replace a group's definition. `If-Match` must carry the `ETag` that was read.

    Below another group its members hold that group's roles too; the caller must hold what they gain or lose by it. A group
    cannot stand below itself.
    """
    with changing(tenancy().platform, tenant_id()) as session:
        group = groups.find(session, tenant_id(), group_id)
        check_if_match(group.version)
        groups.replace(session, group, **new, held=principal().permissions)
    return _shown(group_id)


@blueprint.route("/<uuid:group_id>", methods=["DELETE"])
@can("group:delete")
@blueprint.response(204)
def delete_group(group_id: UUID) -> None:
    """Delete a group that no other one stands below. The caller must hold what its members lose."""
    with changing(tenancy().platform, tenant_id()) as session:
        groups.delete(session, groups.find(session, tenant_id(), group_id), principal().permissions)


def _shown(group_id: UUID, status: int = 200) -> Response:
    group = groups.get(tenancy().platform, tenant_id(), group_id)
    response = make_response(GroupSchema().dump(group), status)
    response.headers["Location"] = f"/api/v1/groups/{group_id}"
    return with_etag(response, group["version"])
