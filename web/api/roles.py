"""Roles of the selected tenant."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response, make_response
from flask_smorest import Blueprint

from tenancy.database import Row
from tenancy.identity import roles
from tenancy.identity.authorization import changing
from tenancy.identity.roles import RoleDefinition
from web.auth import can
from web.context import principal, tenancy, tenant_id
from web.etags import check_if_match, with_etag
from web.idempotency import idempotent, new_resource_id
from web.pagination import Envelope, read_page
from web.schemas.base import PageQuerySchema, page_schema
from web.schemas.roles import RolePutSchema, RoleSchema

blueprint = Blueprint("roles", __name__, url_prefix="/roles", description="Named sets of permissions")


@blueprint.route("", methods=["POST"])
@can("role:create")
@idempotent
@blueprint.arguments(RolePutSchema)
@blueprint.response(201, RoleSchema)
def create_role(new: dict[str, Any]) -> Response:
    """Create a role. The caller must hold each of its permissions."""
    role_id = new_resource_id()
    with changing(tenancy().platform, tenant_id()) as session:
        roles.create(session, tenant_id(), role_id, RoleDefinition(**new), principal().permissions)
    return _shown(role_id, 201)


@blueprint.route("", methods=["GET"])
@can("role:read")
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, page_schema(RoleSchema))
def list_roles(query: dict[str, Any]) -> tuple[Envelope[Row], dict[str, str]]:
    """List the tenant's roles."""
    page = read_page(query)
    return page.answer(
        roles.page(
            tenancy().platform, tenant_id(), after=page.after, limit=page.fetch_limit, newest_first=page.newest_first
        )
    )


@blueprint.route("/<uuid:role_id>", methods=["GET"])
@can("role:read")
@blueprint.response(200, RoleSchema)
def get_role(role_id: UUID) -> Response:
    """Read a role."""
    return _shown(role_id)


@blueprint.route("/<uuid:role_id>", methods=["PUT"])
@can("role:update")
@blueprint.arguments(RolePutSchema)
@blueprint.response(200, RoleSchema)
@blueprint.alt_response(412, "PRECONDITION_FAILED")
@blueprint.alt_response(428, "PRECONDITION_REQUIRED")
def put_role(new: dict[str, Any], role_id: UUID) -> Response:
    """Replace a role's definition. `If-Match` must carry the `ETag` that was read.

    The caller must hold each permission that is added or taken away. It holds for everyone at their next request.
    """
    with changing(tenancy().platform, tenant_id()) as session:
        role = roles.find(session, tenant_id(), role_id, to_change=True)
        check_if_match(role.version)
        roles.replace(session, role, RoleDefinition(**new), principal().permissions)
    return _shown(role_id)


@blueprint.route("/<uuid:role_id>", methods=["DELETE"])
@can("role:delete")
@blueprint.response(204)
def delete_role(role_id: UUID) -> None:
    """Delete a role that no member and no group holds."""
    with changing(tenancy().platform, tenant_id()) as session:
        roles.delete(session, roles.find(session, tenant_id(), role_id, to_change=True))


def _shown(role_id: UUID, status: int = 200) -> Response:
    role = roles.get(tenancy().platform, tenant_id(), role_id)
    response = make_response(RoleSchema().dump(role), status)
    response.headers["Location"] = f"/api/v1/roles/{role_id}"
    return with_etag(response, role["version"])
