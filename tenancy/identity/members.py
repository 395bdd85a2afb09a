"""Changing who belongs to a tenant and with which roles. All changes of a tenant's members happen one after another."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session as Transaction

from domain.errors import FieldError, InvalidPayload, NotFound
from domain.identity.grants import check_within
from domain.identity.members import OWNER, check_owner_stays
from models.platform import Invitation, Membership, MembershipRole, Role, RolePermission, User
from tenancy.audit import record
from tenancy.identity.authorization import permissions_of_member, queue_up


@dataclass(frozen=True, slots=True)
class KnownRole:
    """A role of the tenant with what it permits."""

    id: UUID
    name: str
    permissions: frozenset[str]


def roles_named(transaction: Transaction, tenant_id: UUID, names: Sequence[str]) -> list[KnownRole]:
    """The tenant's roles of these names. Raises `InvalidPayload` that points at each name which is none."""
    found = {role.name: role for role in _roles(transaction, tenant_id, Role.name.in_(names))}
    faults = tuple(
        FieldError(f"/roles/{index}", "unknown_role", f"There is no role {name!r}.")
        for index, name in enumerate(names)
        if name not in found
    )
    if faults:
        raise InvalidPayload("Some roles do not exist; GET /api/v1/roles lists them.", errors=faults)
    return [found[name] for name in dict.fromkeys(names)]


def check_gives(held: Collection[str], roles: Iterable[KnownRole]) -> None:
    """Raise `PermissionDenied` if a role permits more than the caller holds."""
    for role in roles:
        check_within(held, role.permissions, f"Giving the role {role.name}")


def add(transaction: Transaction, tenant_id: UUID, user_id: UUID, role_ids: Iterable[UUID]) -> bool:
    """Make the user a member with these roles, as far as they are still there; False, and nothing, for who is one already."""
    queue_up(transaction, tenant_id)
    if transaction.get(Membership, (tenant_id, user_id)) is not None:
        return False
    transaction.add(Membership(tenant_id=tenant_id, user_id=user_id))
    transaction.flush()
    given = list(role_ids)
    _give(transaction, tenant_id, user_id, given)
    record(transaction, "user.added", f"user:{user_id}", after={"role_ids": given})
    return True


def set_roles(
    transaction: Transaction, tenant_id: UUID, user_id: UUID, roles: Sequence[KnownRole], held: Collection[str]
) -> None:
    """Give the member these roles in place of the present ones. The caller has locked the member (`lock`).

    What the member holds through groups counts too: whoever is owner by a group is changed by owners only. Raises
    `PermissionDenied` for what takes more than the caller holds, `LastOwner` and `NotFound`.
    """
    present = _held_roles(transaction, tenant_id, user_id)
    check_within(held, permissions_of_member(transaction, tenant_id, user_id), "Changing this member")
    check_gives(held, roles)
    _check_owner_stays(transaction, tenant_id, user_id, present, roles)
    transaction.execute(delete(MembershipRole).where(*_of(MembershipRole, tenant_id, user_id)))
    _give(transaction, tenant_id, user_id, (role.id for role in roles))
    before, after = ({"roles": sorted(role.name for role in each)} for each in (present, roles))
    record(transaction, "user.roles_changed", f"user:{user_id}", before=before, after=after)


def remove(transaction: Transaction, tenant_id: UUID, user_id: UUID, held: Collection[str]) -> None:
    """End a membership; the member's API keys in this tenant and pending invitations end with it.

    Raises `PermissionDenied`, `LastOwner` and `NotFound`.
    """
    lock(transaction, tenant_id, user_id)
    present = _held_roles(transaction, tenant_id, user_id)
    check_within(held, permissions_of_member(transaction, tenant_id, user_id), "Removing this member")
    _check_owner_stays(transaction, tenant_id, user_id, present, ())
    before = {"roles": sorted(role.name for role in present)}
    record(transaction, "user.removed", f"user:{user_id}", before=before)
    transaction.execute(delete(Membership).where(*_of(Membership, tenant_id, user_id)))
    pending = (Invitation.accepted_at.is_(None), Invitation.revoked_at.is_(None))
    sent = update(Invitation).where(Invitation.tenant_id == tenant_id, Invitation.invited_by == user_id, *pending)
    transaction.execute(sent.values(revoked_at=func.now()))


def lock(transaction: Transaction, tenant_id: UUID, user_id: UUID) -> None:
    """Keep the tenant's members as they are until the transaction ends. Raises `NotFound` if the user is none of them."""
    queue_up(transaction, tenant_id)
    if transaction.get(Membership, (tenant_id, user_id)) is None:
        raise NotFound(f"There is no user {user_id} in this tenant.")


def version(roles: Iterable[str], *, disabled: bool) -> str:
    """What a member's entity tag is made of: all that can be changed about a member, whoever changes it."""
    whole = "\0".join(["disabled" if disabled else "enabled", *sorted(roles)])
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def _give(transaction: Transaction, tenant_id: UUID, user_id: UUID, role_ids: Iterable[UUID]) -> None:
    there = transaction.scalars(select(Role.id).where(Role.tenant_id == tenant_id, Role.id.in_(list(role_ids)))).all()
    transaction.add_all(MembershipRole(tenant_id=tenant_id, user_id=user_id, role_id=role_id) for role_id in there)
    transaction.flush()


def _held_roles(transaction: Transaction, tenant_id: UUID, user_id: UUID) -> list[KnownRole]:
    ids = select(MembershipRole.role_id).where(*_of(MembershipRole, tenant_id, user_id))
    return _roles(transaction, tenant_id, Role.id.in_(ids))


def _roles(transaction: Transaction, tenant_id: UUID, *conditions: ColumnElement[bool]) -> list[KnownRole]:
    held = (
        select(func.coalesce(func.array_agg(RolePermission.permission), []))
        .where(RolePermission.tenant_id == Role.tenant_id, RolePermission.role_id == Role.id)
        .scalar_subquery()
    )
    query = select(Role.id, Role.name, held).where(Role.tenant_id == tenant_id, *conditions)
    return [
        KnownRole(role_id, name, frozenset(permissions)) for role_id, name, permissions in transaction.execute(query)
    ]


def _check_owner_stays(
    transaction: Transaction, tenant_id: UUID, user_id: UUID, before: Iterable[KnownRole], after: Iterable[KnownRole]
) -> None:
    others = transaction.scalar(
        select(func.count())
        .select_from(MembershipRole)
        .join(Role, (Role.tenant_id == MembershipRole.tenant_id) & (Role.id == MembershipRole.role_id))
        .join(User, User.id == MembershipRole.user_id)
        .where(
            MembershipRole.tenant_id == tenant_id,
            MembershipRole.user_id != user_id,
            Role.name == OWNER,
            Role.is_system,
            User.disabled_at.is_(None),
        )
    )
    owner = {OWNER}
    check_owner_stays(
        others or 0,
        was_owner=bool(owner & {role.name for role in before}),
        is_owner=bool(owner & {role.name for role in after}),
    )


def _of(
    model: type[Membership] | type[MembershipRole], tenant_id: UUID, user_id: UUID
) -> tuple[ColumnElement[bool], ...]:
    return (model.tenant_id == tenant_id, model.user_id == user_id)
