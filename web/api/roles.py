"""Roles of the selected tenant."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask_smorest import Blueprint

from tenancy.database import Row
from tenancy.identity import roles
from web.auth import can
from web.context import tenancy, tenant_id
from web.pagination import Envelope, read_page
from web.schemas.base import PageQuerySchema, page_schema
from web.schemas.roles import RoleSchema

blueprint = Blueprint("roles", __name__, url_prefix="/roles", description="Named sets of permissions")


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
def get_role(role_id: UUID) -> Row:
    """Read a role."""
    return roles.get(tenancy().platform, tenant_id(), role_id)
