"""Permissions that a tenant makes for its own programs: given by roles like the platform's, asked for by none of its routes."""

from __future__ import annotations

from typing import LiteralString
from uuid import UUID

from sqlalchemy import delete as delete_rows
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from domain.errors import Conflict, NotFound, PermissionInUse
from domain.identity.permissions import parse_own
from models.platform import Permission, Role, RolePermission
from tenancy.audit import record
from tenancy.database import Database, Row, tenant_scope
from tenancy.identity.authorization import name_taken

MOST = 500
"""Permissions of one tenant."""

HOLDERS = ("owner", "admin")
"""System roles that hold what the tenant makes: else nobody could give it to anyone."""

_ALL: LiteralString = "SELECT name, description FROM permissions WHERE tenant_id = %(tenant_id)s ORDER BY name"


def listed(platform: Database, tenant_id: UUID) -> list[Row]:
    """All of the tenant's own, by name."""
    return platform.fetch(_ALL, {"tenant_id": tenant_id}, tenant_scope(tenant_id))


def create(session: Session, tenant_id: UUID, name: str, description: str) -> Permission:
    """Make a permission, which the tenant's owners and admins hold from now on.

    Raises `InvalidPayload` for a name that cannot be one, and `Conflict` if it is there or the tenant has `MOST`.
    """
    name = parse_own(name)
    if session.get(Permission, (tenant_id, name)) is not None:
        raise name_taken("permission")
    if (session.scalar(select(func.count()).where(Permission.tenant_id == tenant_id)) or 0) >= MOST:
        raise Conflict(f"A tenant has at most {MOST} permissions of its own; delete one first.")
    made = Permission(tenant_id=tenant_id, name=name, description=description)
    session.add(made)
    holders = select(Role.id).where(Role.tenant_id == tenant_id, Role.is_system, Role.name.in_(HOLDERS))
    session.add_all(
        RolePermission(tenant_id=tenant_id, role_id=role_id, permission=name) for role_id in session.scalars(holders)
    )
    record(session, "permission.created", f"permission:{name}", after={"name": name, "description": description})
    session.flush()
    return made


def delete(session: Session, tenant_id: UUID, name: str) -> None:
    """Delete a permission that no role of the tenant's own holds. Raises `NotFound` and `PermissionInUse`."""
    found = session.get(Permission, (tenant_id, name))
    if found is None:
        raise NotFound(f"There is no permission {name} of the tenant's own.")
    holding = (RolePermission.tenant_id == tenant_id, RolePermission.permission == name)
    of_role = (Role.tenant_id == RolePermission.tenant_id) & (Role.id == RolePermission.role_id)
    held_by = session.scalar(select(Role.name).join(RolePermission, of_role).where(*holding, ~Role.is_system).limit(1))
    if held_by is not None:
        raise PermissionInUse(f"The role {held_by} holds {name}; take it from there first.")
    session.execute(delete_rows(RolePermission).where(*holding))
    record(session, "permission.deleted", f"permission:{name}", before={"description": found.description})
    session.delete(found)
