"""What a role permits: read, replaced, or one permission given or taken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from flask import Response, make_response
from flask_smorest import Blueprint
from sqlalchemy.orm import Session

from domain.errors import NotFound
from domain.identity.permissions import parse
from models.platform import Role
from tenancy.identity import roles
from tenancy.identity.authorization import changing, own_permissions, permissions_of_role
from web.auth import can
from web.context import principal, tenancy, tenant_id
from web.etags import check_if_match, with_etag
from web.schemas.roles import RolePermissionsSchema

blueprint = Blueprint(
    "role_permissions", __name__, url_prefix="/roles/<uuid:role_id>/permissions", description="What roles permit"
)


@blueprint.route("", methods=["GET"])
@can("role:read")
@blueprint.response(200, RolePermissionsSchema)
def list_role_permissions(role_id: UUID) -> Response:
    """List what a role permits."""
    return _shown(role_id)


@blueprint.route("", methods=["PUT"])
@can("role:update")
@blueprint.arguments(RolePermissionsSchema)
@blueprint.response(200, RolePermissionsSchema)
@blueprint.alt_response(412, "PRECONDITION_FAILED")
@blueprint.alt_response(428, "PRECONDITION_REQUIRED")
def put_role_permissions(wanted: dict[str, Any], role_id: UUID) -> Response:
    """Replace what a role permits. `If-Match` must carry the role's `ETag`."""
    with _changing(role_id) as (session, role):
        check_if_match(role.version)
        roles.redefine(session, role, wanted["items"], principal().permissions)
    return _shown(role_id)


@blueprint.route("/<permission>", methods=["PUT"])
@can("role:update")
@blueprint.response(200, RolePermissionsSchema)
def add_role_permission(permission: str, role_id: UUID) -> Response:
    """Let a role permit one thing more. The caller must hold it; once is the same as twice."""
    with _changing(role_id) as (session, role):
        before = permissions_of_role(session, tenant_id(), role_id)
        name = parse(permission, own_permissions(session, tenant_id()))
        if name not in before:
            roles.redefine(session, role, before | {name}, principal().permissions)
    return _shown(role_id)


@blueprint.route("/<permission>", methods=["DELETE"])
@can("role:update")
@blueprint.response(204)
def remove_role_permission(permission: str, role_id: UUID) -> None:
    """Let a role permit one thing less. The caller must hold it."""
    with _changing(role_id) as (session, role):
        before = permissions_of_role(session, tenant_id(), role_id)
        name = parse(permission, own_permissions(session, tenant_id()))
        if name not in before:
            raise NotFound(f"The role does not permit {name}.")
        roles.redefine(session, role, before - {name}, principal().permissions)


@contextmanager
def _changing(role_id: UUID) -> Iterator[tuple[Session, Role]]:
    with changing(tenancy().platform, tenant_id()) as session:
        yield session, roles.find(session, tenant_id(), role_id, to_change=True)


def _shown(role_id: UUID) -> Response:
    role = roles.get(tenancy().platform, tenant_id(), role_id)
    return with_etag(make_response({"items": role["permissions"]}), role["version"])
