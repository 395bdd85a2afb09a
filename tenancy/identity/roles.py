"""Roles of a tenant with what they permit: read, made, changed, deleted."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from domain.audit.entries import changed
from domain.errors import Conflict, NotFound, RoleInUse, SystemRole
from domain.identity.grants import check_within
from domain.identity.permissions import parse_all
from models.platform import Role
from tenancy.audit import record
from tenancy.database import Database, Row, tenant_scope
from tenancy.identity.authorization import is_held, name_taken, own_permissions, permissions_of_role, set_permissions
from tenancy.identity.keyset import keyset

MOST = 500
"""Roles of one tenant."""

_ROLE: LiteralString = """
SELECT r.id, r.name, r.description, r.is_system, r.version, r.created_at,
       ARRAY(SELECT p.permission FROM role_permissions p
              WHERE p.tenant_id = r.tenant_id AND p.role_id = r.id ORDER BY p.permission) AS permissions
  FROM roles r WHERE r.tenant_id = %(tenant_id)s
"""
_ONE: LiteralString = f"{_ROLE} AND r.id = %(role_id)s"


@dataclass(frozen=True, slots=True)
class RoleDefinition:
    """A role as its maker wants it. A permission may be written `resource:action` or `action:resource`."""

    name: str
    description: str
    permissions: Iterable[str]


def page(
    platform: Database, tenant_id: UUID, *, after: UUID | None, limit: int, newest_first: bool = True
) -> list[Row]:
    """Up to `limit` of the tenant's roles, beyond the id `after`."""
    parameters = {"tenant_id": tenant_id, "after": after, "limit": limit}
    return platform.fetch(keyset(_ROLE, "r.id", newest_first=newest_first), parameters, tenant_scope(tenant_id))


def get(platform: Database, tenant_id: UUID, role_id: UUID) -> Row:
    """One role. Raises `NotFound`."""
    rows = platform.fetch(_ONE, {"tenant_id": tenant_id, "role_id": role_id}, tenant_scope(tenant_id))
    if not rows:
        raise _missing(role_id)
    return rows[0]


def find(session: Session, tenant_id: UUID, role_id: UUID, *, to_change: bool = False) -> Role:
    """One role within a transaction. Raises `NotFound`, and `SystemRole` for one that nobody changes."""
    role = session.get(Role, (tenant_id, role_id))
    if role is None:
        raise _missing(role_id)
    if to_change and role.is_system:
        raise SystemRole(f"{role.name} is a system role; make a role of your own instead.")
    return role


def create(session: Session, tenant_id: UUID, role_id: UUID, wanted: RoleDefinition, held: Collection[str]) -> None:
    """Insert the role, unless an earlier run of the same request did.

    Raises `PermissionDenied` for permissions that the caller lacks, `InvalidPayload` for unknown ones, and `Conflict` if
    the name is taken or the tenant has `MOST`.
    """
    if session.get(Role, (tenant_id, role_id)) is not None:
        return
    permissions = parse_all(wanted.permissions, own_permissions(session, tenant_id))
    check_within(held, permissions, "This role")
    if (session.scalar(select(func.count()).where(Role.tenant_id == tenant_id)) or 0) >= MOST:
        raise Conflict(f"A tenant has at most {MOST} roles; delete one first.")
    values = {"tenant_id": tenant_id, "id": role_id, "name": wanted.name, "description": wanted.description}
    session.execute(insert(Role).values(values).on_conflict_do_nothing())
    if session.get(Role, (tenant_id, role_id)) is None:
        raise name_taken("role")
    set_permissions(session, tenant_id, role_id, (), permissions)
    record(session, "role.created", f"role:{role_id}", after=_noted(wanted.name, wanted.description, permissions))


def replace(session: Session, role: Role, wanted: RoleDefinition, held: Collection[str]) -> None:
    """Give the role a new definition. What is added to it and what is taken from it the caller must hold.

    Raises as `create`.
    """
    before = permissions_of_role(session, role.tenant_id, role.id)
    after = parse_all(wanted.permissions, own_permissions(session, role.tenant_id))
    check_within(held, before ^ after, "Changing this role so")
    was, is_now = changed(_noted(role.name, role.description, before), _noted(wanted.name, wanted.description, after))
    role.name, role.description = wanted.name, wanted.description
    role.version += 1
    try:
        session.flush()
    except IntegrityError:
        raise name_taken("role") from None
    set_permissions(session, role.tenant_id, role.id, before, after)
    record(session, "role.updated", f"role:{role.id}", before=was, after=is_now)


def redefine(session: Session, role: Role, permissions: Iterable[str], held: Collection[str]) -> None:
    """Give the role other permissions and leave the rest. Raises as `replace`."""
    replace(session, role, RoleDefinition(role.name, role.description, permissions), held)


def delete(session: Session, role: Role) -> None:
    """Delete a role that nobody holds. Raises `RoleInUse`."""
    if is_held(session, role.tenant_id, role.id):
        raise RoleInUse(f"The role {role.name} is held; take it from its members and groups first.")
    permissions = permissions_of_role(session, role.tenant_id, role.id)
    record(session, "role.deleted", f"role:{role.id}", before=_noted(role.name, role.description, permissions))
    session.delete(role)


def _noted(name: str, description: str, permissions: Iterable[str]) -> dict[str, object]:
    return {"name": name, "description": description, "permissions": sorted(permissions)}


def _missing(role_id: UUID) -> NotFound:
    return NotFound(f"There is no role {role_id}.")
