"""Users of the selected tenant."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask_smorest import Blueprint

from tenancy.database import Row
from tenancy.identity import memberships
from web.auth import can
from web.context import tenancy, tenant_id
from web.pagination import Envelope, read_page
from web.schemas.base import PageQuerySchema, page_schema
from web.schemas.users import MemberSchema

blueprint = Blueprint("users", __name__, url_prefix="/users", description="Members of the tenant")


@blueprint.route("", methods=["GET"])
@can("user:read")
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, page_schema(MemberSchema))
def list_users(query: dict[str, Any]) -> tuple[Envelope[Row], dict[str, str]]:
    """List the tenant's users, in the order of their accounts."""
    page = read_page(query)
    return page.answer(
        memberships.members(
            tenancy().platform, tenant_id(), after=page.after, limit=page.fetch_limit, newest_first=page.newest_first
        )
    )


@blueprint.route("/<uuid:user_id>", methods=["GET"])
@can("user:read")
@blueprint.response(200, MemberSchema)
def get_user(user_id: UUID) -> Row:
    """Read one of the tenant's users."""
    return memberships.member(tenancy().platform, tenant_id(), user_id)
