"""Changes of who may do what: in a tenant they happen one after another, so that each is judged by what is there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import LiteralString
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from domain.errors import Conflict, FieldError
from models.platform import GroupRole, MembershipRole, Permission, RolePermission
from tenancy.database import Database, tenant_scope

# The owner's role is there in every tenant and cannot be changed, so its row is where changes queue up.
_QUEUE_UP: LiteralString = """
SELECT id FROM roles WHERE tenant_id = %(tenant_id)s AND name = 'owner' AND is_system FOR NO KEY UPDATE
"""

GROUPS_OF: LiteralString = """
WITH RECURSIVE within AS (
    SELECT x.group_id FROM group_members x WHERE x.tenant_id = m.tenant_id AND x.user_id = m.user_id
    UNION
    SELECT g.parent_id FROM within w JOIN groups g ON g.tenant_id = m.tenant_id AND g.id = w.group_id
     WHERE g.parent_id IS NOT NULL
)
"""
"""For a statement that has a membership `m`: the groups that it is in, and those above them."""

PERMISSIONS: LiteralString = f"""
ARRAY({GROUPS_OF}
      SELECT DISTINCT p.permission FROM role_permissions p
       WHERE p.tenant_id = m.tenant_id AND p.role_id IN (
             SELECT r.role_id FROM membership_roles r WHERE r.tenant_id = m.tenant_id AND r.user_id = m.user_id
              UNION ALL
             SELECT r.role_id FROM within w JOIN group_roles r ON r.tenant_id = m.tenant_id AND r.group_id = w.group_id))
"""
"""Of the membership `m`: by the member's roles, by those of the member's groups, and by those of the groups above them."""

_OF_MEMBER: LiteralString = f"""
SELECT {PERMISSIONS} FROM memberships m WHERE m.tenant_id = %(tenant_id)s AND m.user_id = %(user_id)s
"""

_UPWARDS: LiteralString = """
WITH RECURSIVE upwards AS (
    SELECT id, parent_id, 0 AS level FROM groups WHERE tenant_id = %(tenant_id)s AND id = %(group_id)s
    UNION
    SELECT g.id, g.parent_id, u.level + 1 FROM upwards u JOIN groups g ON g.tenant_id = %(tenant_id)s AND g.id = u.parent_id
) CYCLE id SET again USING path
"""

_ANCESTORS: LiteralString = f"{_UPWARDS} SELECT id FROM upwards WHERE NOT again ORDER BY level"

_GIVEN_BY_GROUP: LiteralString = f"""
{_UPWARDS}
SELECT DISTINCT p.permission FROM upwards u
  JOIN group_roles r ON r.tenant_id = %(tenant_id)s AND r.group_id = u.id
  JOIN role_permissions p ON p.tenant_id = r.tenant_id AND p.role_id = r.role_id
"""


@contextmanager
def changing(platform: Database, tenant_id: UUID) -> Iterator[Session]:
    """A transaction in the tenant, alone among those that change roles, groups, permissions and members."""
    with platform.session(tenant_scope(tenant_id)) as session:
        queue_up(session, tenant_id)
        yield session


def queue_up(session: Session, tenant_id: UUID) -> None:
    """Go on alone among those transactions, until this one ends."""
    session.connection().exec_driver_sql(_QUEUE_UP, {"tenant_id": tenant_id})


def permissions_of_member(session: Session, tenant_id: UUID, user_id: UUID) -> frozenset[str]:
    """All that the member holds: by roles of their own, by those of their groups, and by those of the groups above."""
    where = {"tenant_id": tenant_id, "user_id": user_id}
    return frozenset(session.connection().exec_driver_sql(_OF_MEMBER, where).scalar_one_or_none() or ())


def permissions_of_role(session: Session, tenant_id: UUID, role_id: UUID) -> frozenset[str]:
    """What the role permits."""
    of_role = (RolePermission.tenant_id == tenant_id, RolePermission.role_id == role_id)
    return frozenset(session.scalars(select(RolePermission.permission).where(*of_role)))


def permissions_of_group(session: Session, tenant_id: UUID, group_id: UUID | None) -> frozenset[str]:
    """What belonging to the group permits: by its own roles and by those of the groups above. Nothing for None."""
    where = {"tenant_id": tenant_id, "group_id": group_id}
    return frozenset(row.permission for row in session.connection().exec_driver_sql(_GIVEN_BY_GROUP, where))


def ancestors(session: Session, tenant_id: UUID, group_id: UUID | None) -> list[UUID]:
    """The group and those above it, the lowest first. None for None."""
    where = {"tenant_id": tenant_id, "group_id": group_id}
    return [row.id for row in session.connection().exec_driver_sql(_ANCESTORS, where)]


def own_permissions(session: Session, tenant_id: UUID) -> frozenset[str]:
    """The permissions that the tenant made for itself."""
    return frozenset(session.scalars(select(Permission.name).where(Permission.tenant_id == tenant_id)))


def is_held(session: Session, tenant_id: UUID, role_id: UUID) -> bool:
    """Whether a member or a group holds the role."""
    return any(
        session.scalar(select(model.role_id).where(model.tenant_id == tenant_id, model.role_id == role_id).limit(1))
        for model in (MembershipRole, GroupRole)
    )


def set_permissions(
    session: Session, tenant_id: UUID, role_id: UUID, before: Collection[str], after: Iterable[str]
) -> None:
    """Make the role's permissions, which are `before`, those of `after`."""
    wanted = set(after)
    for permission in sorted(set(before) - wanted):
        session.delete(session.get_one(RolePermission, (tenant_id, role_id, permission)))
    for permission in sorted(wanted - set(before)):
        session.add(RolePermission(tenant_id=tenant_id, role_id=role_id, permission=permission))
    session.flush()


def name_taken(what: str) -> Conflict:
    """The error for a name that another one has."""
    fault = FieldError("/name", "taken", "Another one has this value.")
    return Conflict(f"There is a {what} with this name already.", errors=(fault,))
