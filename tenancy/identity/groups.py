"""Groups of a tenant: read, made, moved, deleted. What a group gives, it gives to the groups below it too."""

from __future__ import annotations

from collections.abc import Collection
from typing import LiteralString
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from domain.audit.entries import changed
from domain.errors import Conflict, FieldError, GroupInUse, InvalidPayload, NotFound
from domain.identity.grants import check_nesting, check_within
from models.platform import Group
from tenancy.audit import record
from tenancy.database import Database, Row, tenant_scope
from tenancy.identity.authorization import ancestors, name_taken, permissions_of_group
from tenancy.identity.keyset import keyset

MOST = 1000
"""Groups of one tenant."""

_GROUP: LiteralString = """
SELECT g.id, g.name, g.description, g.parent_id, g.version, g.created_at,
       (SELECT count(*) FROM group_members m WHERE m.tenant_id = g.tenant_id AND m.group_id = g.id) AS members
  FROM groups g WHERE g.tenant_id = %(tenant_id)s
"""
_ONE: LiteralString = f"{_GROUP} AND g.id = %(group_id)s"

_LEVELS_BELOW: LiteralString = """
WITH RECURSIVE below AS (
    SELECT id, 0 AS level FROM groups WHERE tenant_id = %(tenant_id)s AND id = %(group_id)s
    UNION ALL
    SELECT g.id, b.level + 1 FROM below b JOIN groups g ON g.tenant_id = %(tenant_id)s AND g.parent_id = b.id
) CYCLE id SET again USING path
SELECT coalesce(max(level), 0) AS levels FROM below
"""


def page(
    platform: Database, tenant_id: UUID, *, after: UUID | None, limit: int, newest_first: bool = True
) -> list[Row]:
    """Up to `limit` of the tenant's groups, beyond the id `after`."""
    parameters = {"tenant_id": tenant_id, "after": after, "limit": limit}
    return platform.fetch(keyset(_GROUP, "g.id", newest_first=newest_first), parameters, tenant_scope(tenant_id))


def get(platform: Database, tenant_id: UUID, group_id: UUID) -> Row:
    """One group. Raises `NotFound`."""
    rows = platform.fetch(_ONE, {"tenant_id": tenant_id, "group_id": group_id}, tenant_scope(tenant_id))
    if not rows:
        raise _missing(group_id)
    return rows[0]


def find(session: Session, tenant_id: UUID, group_id: UUID) -> Group:
    """One group within a transaction. Raises `NotFound`."""
    group = session.get(Group, (tenant_id, group_id))
    if group is None:
        raise _missing(group_id)
    return group


def create(
    session: Session, tenant_id: UUID, group_id: UUID, *, name: str, description: str, parent_id: UUID | None
) -> None:
    """Insert the group, without members and roles, unless an earlier run of the same request did.

    Raises `InvalidPayload` for a parent that is not there or stands too low, and `Conflict` if the name is taken or the
    tenant has `MOST`.
    """
    if session.get(Group, (tenant_id, group_id)) is not None:
        return
    if (session.scalar(select(func.count()).where(Group.tenant_id == tenant_id)) or 0) >= MOST:
        raise Conflict(f"A tenant has at most {MOST} groups; delete one first.")
    check_nesting(group_id, _above(session, tenant_id, parent_id), 0)
    values = {"name": name, "description": description, "parent_id": parent_id}
    session.execute(insert(Group).values(tenant_id=tenant_id, id=group_id, **values).on_conflict_do_nothing())
    if session.get(Group, (tenant_id, group_id)) is None:
        raise name_taken("group")
    record(session, "group.created", f"group:{group_id}", after=values)


def replace(
    session: Session, group: Group, *, name: str, description: str, parent_id: UUID | None, held: Collection[str]
) -> None:
    """Rename the group or place it below another one. What that gives its members, or takes, the caller must hold.

    Raises `GroupCycle`, `PermissionDenied`, and as `create`.
    """
    if parent_id != group.parent_id:
        levels = session.connection().exec_driver_sql(
            _LEVELS_BELOW, {"tenant_id": group.tenant_id, "group_id": group.id}
        )
        check_nesting(group.id, _above(session, group.tenant_id, parent_id), levels.scalar_one())
        left, entered = (permissions_of_group(session, group.tenant_id, each) for each in (group.parent_id, parent_id))
        check_within(held, left ^ entered, "Moving this group so")
    was, is_now = changed(
        {"name": group.name, "description": group.description, "parent_id": group.parent_id},
        {"name": name, "description": description, "parent_id": parent_id},
    )
    group.name, group.description, group.parent_id = name, description, parent_id
    group.version += 1
    try:
        session.flush()
    except IntegrityError:
        raise name_taken("group") from None
    record(session, "group.updated", f"group:{group.id}", before=was, after=is_now)


def delete(session: Session, group: Group, held: Collection[str]) -> None:
    """Delete the group; its members lose what it gave, which the caller must hold.

    Raises `GroupInUse` while others stand below it, and `PermissionDenied`.
    """
    below = (Group.tenant_id == group.tenant_id, Group.parent_id == group.id)
    if session.scalar(select(Group.id).where(*below).limit(1)) is not None:
        raise GroupInUse("Move or delete the groups below this one first.")
    check_within(held, permissions_of_group(session, group.tenant_id, group.id), "Deleting this group")
    before = {"name": group.name, "description": group.description, "parent_id": group.parent_id}
    record(session, "group.deleted", f"group:{group.id}", before=before)
    session.delete(group)


def _above(session: Session, tenant_id: UUID, parent_id: UUID | None) -> list[UUID]:
    found = ancestors(session, tenant_id, parent_id)
    if parent_id is not None and not found:
        fault = FieldError("/parent_id", "not_found", f"There is no group {parent_id}.")
        raise InvalidPayload("The parent is unknown.", errors=(fault,))
    return found


def _missing(group_id: UUID) -> NotFound:
    return NotFound(f"There is no group {group_id}.")
