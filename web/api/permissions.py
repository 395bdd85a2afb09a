"""The catalog of permissions."""

from __future__ import annotations

from typing import Any

from flask_smorest import Blueprint

from domain.identity.permissions import ALL
from web.auth import can
from web.context import principal
from web.schemas.roles import PermissionListSchema

blueprint = Blueprint("permissions", __name__, url_prefix="/permissions", description="What can be allowed")


@blueprint.route("", methods=["GET"])
@can("role:read")
@blueprint.response(200, PermissionListSchema)
def list_permissions() -> dict[str, Any]:
    """List every permission, and whether the caller holds it."""
    held = principal().permissions
    items = [
        {"name": name, "resource": resource, "action": action, "held": name in held}
        for name in sorted(ALL)
        for resource, _, action in (name.partition(":"),)
    ]
    return {"items": items, "next_cursor": None}
