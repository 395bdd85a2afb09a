"""What a group has: its members, and the roles that it gives them. Each is put in or taken out by itself."""

from __future__ import annotations

from collections.abc import Collection
from typing import LiteralString
from uuid import UUID

from sqlalchemy.orm import Session

from domain.errors import NotFound
from domain.identity.grants import check_within
from models.platform import Group, GroupMember, GroupRole, Membership, Role
from tenancy.audit import record
from tenancy.database import Database, Row, tenant_scope
from tenancy.identity.authorization import permissions_of_group, permissions_of_role
from tenancy.identity.keyset import keyset

_MEMBERS: LiteralString = """
SELECT u.id, u.email, u.name, m.created_at AS joined_at
  FROM group_members m JOIN users u ON u.id = m.user_id
 WHERE m.tenant_id = %(tenant_id)s AND m.group_id = %(group_id)s
"""

_ROLES: LiteralString = """
SELECT r.id, r.name FROM group_roles g JOIN roles r ON r.tenant_id = g.tenant_id AND r.id = g.role_id
 WHERE g.tenant_id = %(tenant_id)s AND g.group_id = %(group_id)s
"""


def members(
    platform: Database, tenant_id: UUID, group_id: UUID, *, after: UUID | None, limit: int, newest_first: bool = True
) -> list[Row]:
    """Up to `limit` of the group's own members, beyond the user's id `after`."""
    parameters = {"tenant_id": tenant_id, "group_id": group_id, "after": after, "limit": limit}
    return platform.fetch(keyset(_MEMBERS, "u.id", newest_first=newest_first), parameters, tenant_scope(tenant_id))


def roles(
    platform: Database, tenant_id: UUID, group_id: UUID, *, after: UUID | None, limit: int, newest_first: bool = True
) -> list[Row]:
    """Up to `limit` of the roles that the group itself gives, beyond the id `after`."""
    parameters = {"tenant_id": tenant_id, "group_id": group_id, "after": after, "limit": limit}
    return platform.fetch(keyset(_ROLES, "r.id", newest_first=newest_first), parameters, tenant_scope(tenant_id))


def add_member(session: Session, group: Group, user_id: UUID, held: Collection[str]) -> None:
    """Put a member of the tenant into the group; once is the same as twice.

    Raises `NotFound` for who is no member, and `PermissionDenied` if the group gives more than the caller holds.
    """
    if session.get(Membership, (group.tenant_id, user_id)) is None:
        raise NotFound(f"There is no user {user_id} in this tenant.")
    check_within(held, permissions_of_group(session, group.tenant_id, group.id), "Membership of this group")
    key = (group.tenant_id, group.id, user_id)
    if session.get(GroupMember, key) is None:
        session.add(GroupMember(tenant_id=group.tenant_id, group_id=group.id, user_id=user_id))
        record(session, "group.member_added", f"group:{group.id}", after={"user_id": user_id})


def remove_member(session: Session, group: Group, user_id: UUID, held: Collection[str]) -> None:
    """Take a member out of the group. Raises `NotFound`, and `PermissionDenied` if the group gives more than is held."""
    found = session.get(GroupMember, (group.tenant_id, group.id, user_id))
    if found is None:
        raise NotFound(f"There is no user {user_id} in this group.")
    check_within(held, permissions_of_group(session, group.tenant_id, group.id), "Membership of this group")
    session.delete(found)
    record(session, "group.member_removed", f"group:{group.id}", before={"user_id": user_id})


def add_role(session: Session, group: Group, role: Role, held: Collection[str]) -> None:
    """Let the group give the role; once is the same as twice. Raises `PermissionDenied` if it permits more than is held."""
    check_within(held, permissions_of_role(session, group.tenant_id, role.id), f"Giving the role {role.name}")
    if session.get(GroupRole, (group.tenant_id, group.id, role.id)) is None:
        session.add(GroupRole(tenant_id=group.tenant_id, group_id=group.id, role_id=role.id))
        shown = {"role_id": role.id, "role": role.name}
        record(session, "group.role_added", f"group:{group.id}", after=shown)


def remove_role(session: Session, group: Group, role: Role, held: Collection[str]) -> None:
    """Let the group give the role no more. Raises `NotFound`, and `PermissionDenied` if it permits more than is held."""
    found = session.get(GroupRole, (group.tenant_id, group.id, role.id))
    if found is None:
        raise NotFound(f"The group does not give the role {role.id}.")
    check_within(held, permissions_of_role(session, group.tenant_id, role.id), f"Taking the role {role.name}")
    session.delete(found)
    shown = {"role_id": role.id, "role": role.name}
    record(session, "group.role_removed", f"group:{group.id}", before=shown)
