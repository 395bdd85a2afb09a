"""The catalog of permissions, and those that a tenant makes for itself."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from flask_smorest import Blueprint

from domain.identity.permissions import ALL
from tenancy.identity import own_permissions
from tenancy.identity.authorization import changing
from web.auth import can
from web.context import principal, tenancy, tenant_id
from web.idempotency import idempotent
from web.schemas.roles import PermissionCreateSchema, PermissionListSchema, PermissionSchema

blueprint = Blueprint("permissions", __name__, url_prefix="/permissions", description="What can be allowed")


@blueprint.route("", methods=["GET"])
@can("role:read")
@blueprint.response(200, PermissionListSchema)
def list_permissions() -> dict[str, Any]:
    """List every permission, and whether the caller holds it: the platform's, and the tenant's own."""
    held = principal().permissions
    own = own_permissions.listed(tenancy().platform, tenant_id())
    items = [
        *(_view(name, "", held, is_system=True) for name in sorted(ALL)),
        *(_view(row["name"], row["description"], held, is_system=False) for row in own),
    ]
    return {"items": items, "next_cursor": None}


@blueprint.route("", methods=["POST"])
@can("permission:create")
@idempotent
@blueprint.arguments(PermissionCreateSchema)
@blueprint.response(201, PermissionSchema)
def create_permission(new: dict[str, Any]) -> dict[str, Any]:
    """Make a permission for the tenant's own programs, which ask `/authz/explain` or `/auth/me` for it.

    The system roles owner and admin hold it from now on, and give it to others by roles.
    """
    with changing(tenancy().platform, tenant_id()) as session:
        made = own_permissions.create(session, tenant_id(), new["name"], new["description"])
    return _view(made.name, made.description, principal().permissions, is_system=False)


@blueprint.route("/<name>", methods=["DELETE"])
@can("permission:delete")
@blueprint.response(204)
def delete_permission(name: str) -> None:
    """Delete a permission of the tenant's own that no role holds but the system's."""
    with changing(tenancy().platform, tenant_id()) as session:
        own_permissions.delete(session, tenant_id(), name)


def _view(name: str, description: str, held: Collection[str], *, is_system: bool) -> dict[str, Any]:
    resource, _, action = name.partition(":")
    return {
        "name": name,
        "resource": resource,
        "action": action,
        "description": description,
        "is_system": is_system,
        "held": name in held,
    }
