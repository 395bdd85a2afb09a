"""Invitations: made and revoked within a tenant, accepted by whoever got the mail."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import LiteralString
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session as Transaction

from domain.errors import AlreadyInvited, AlreadyMember, EmailTaken, InvalidLink, NotFound, PermissionDenied
from domain.identity.links import LIFETIMES, Purpose, read_link, sign_link
from models.platform import Invitation, Membership, User
from tenancy.database import Database, Row, tenant_scope
from tenancy.identity import members, sessions, users
from tenancy.identity.keyset import keyset
from tenancy.scopes import user_scope
from tenancy.vault import MasterRing

_STATE: LiteralString = """
CASE WHEN i.accepted_at IS NOT NULL THEN 'accepted' WHEN i.revoked_at IS NOT NULL THEN 'revoked'
     WHEN i.expires_at <= now() THEN 'expired' ELSE 'pending' END
"""
_SHOWN: LiteralString = f"""
SELECT i.id, i.email, i.invited_by, i.created_at, i.expires_at, i.accepted_at, i.accepted_by, i.revoked_at,
       {_STATE} AS state,
       ARRAY(SELECT r.name FROM roles r WHERE r.tenant_id = i.tenant_id AND r.id = ANY(i.role_ids) ORDER BY r.name) AS roles
  FROM invitations i WHERE i.tenant_id = %(tenant_id)s
"""
_PAGE: LiteralString = f"{_SHOWN} AND (%(state)s::text IS NULL OR {_STATE} = %(state)s)"
_ONE: LiteralString = f"{_SHOWN} AND i.id = %(id)s"
_REVOKE: LiteralString = """
UPDATE invitations SET revoked_at = now()
 WHERE tenant_id = %(tenant_id)s AND id = %(id)s AND accepted_at IS NULL AND revoked_at IS NULL RETURNING id
"""
_TO_MAIL: LiteralString = """
SELECT i.email, t.name FROM invitations i JOIN tenants t ON t.id = i.tenant_id
 WHERE i.tenant_id = %(tenant_id)s AND i.id = %(id)s
   AND i.accepted_at IS NULL AND i.revoked_at IS NULL AND i.expires_at > now()
"""
_ACCOUNT: LiteralString = (
    "SELECT id, email_verified_at IS NOT NULL AS verified, disabled_at FROM users WHERE email = %(email)s"
)


class Needs(Enum):
    """What accepting takes: a password for a new account or one that nobody verified yet, nothing for a verified one."""

    PASSWORD = "password"  # noqa: S105 - the name of a need
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Presented:
    """An invitation's link that we signed, as it came back."""

    tenant_id: UUID
    id: UUID


def invite(
    transaction: Transaction,
    *,
    tenant_id: UUID,
    invitation_id: UUID,
    email: str,
    role_ids: Iterable[UUID],
    invited_by: UUID | None,
) -> None:
    """Insert an invitation; one to the same address that has expired ends for it.

    Raises `AlreadyMember`, and `AlreadyInvited` while another one is pending.
    """
    member = select(User.id).join(Membership, Membership.user_id == User.id)
    if transaction.scalar(member.where(Membership.tenant_id == tenant_id, User.email == email)) is not None:
        raise AlreadyMember(f"{email} belongs to a member of the tenant.")
    open_one = (
        Invitation.tenant_id == tenant_id,
        Invitation.email == email,
        Invitation.accepted_at.is_(None),
        Invitation.revoked_at.is_(None),
    )
    expired = update(Invitation).where(*open_one, Invitation.expires_at <= func.now())
    transaction.execute(expired.values(revoked_at=func.now()))
    values = {
        "tenant_id": tenant_id, "id": invitation_id, "email": email, "role_ids": list(role_ids), "invited_by": invited_by,
        "lifetime": LIFETIMES[Purpose.INVITATION],
    }  # fmt: skip
    if not transaction.connection().exec_driver_sql(_INSERT, values).all():
        raise AlreadyInvited(f"An invitation to {email} is pending; revoke it to send another one.")


_INSERT: LiteralString = """
INSERT INTO invitations (tenant_id, id, email, role_ids, invited_by, expires_at)
VALUES (%(tenant_id)s, %(id)s, %(email)s, %(role_ids)s, %(invited_by)s, now() + %(lifetime)s)
ON CONFLICT (tenant_id, email) WHERE accepted_at IS NULL AND revoked_at IS NULL DO NOTHING
RETURNING id
"""


def page(
    platform: Database, tenant_id: UUID, *, state: str | None, after: UUID | None, limit: int, newest_first: bool = True
) -> list[Row]:
    """Up to `limit` of the tenant's invitations, in one state or in any, beyond the id `after`."""
    parameters = {"tenant_id": tenant_id, "state": state, "after": after, "limit": limit}
    return platform.fetch(keyset(_PAGE, "i.id", newest_first=newest_first), parameters, tenant_scope(tenant_id))


def get(platform: Database, tenant_id: UUID, invitation_id: UUID) -> Row:
    """One invitation. Raises `NotFound`."""
    rows = platform.fetch(_ONE, {"tenant_id": tenant_id, "id": invitation_id}, tenant_scope(tenant_id))
    if not rows:
        raise NotFound(f"There is no invitation {invitation_id}.")
    return rows[0]


def revoke(platform: Database, tenant_id: UUID, invitation_id: UUID) -> None:
    """End an invitation; its link stops working. Raises `NotFound` for one that was accepted or revoked."""
    if not platform.fetch(_REVOKE, {"tenant_id": tenant_id, "id": invitation_id}, tenant_scope(tenant_id)):
        raise NotFound(f"There is no pending invitation {invitation_id}.")


def to_mail(platform: Database, ring: MasterRing, tenant_id: UUID, invitation_id: UUID) -> tuple[str, str, str] | None:
    """Address, the tenant's name and the link's text; None for an invitation that is no longer pending."""
    rows = platform.fetch(_TO_MAIL, {"tenant_id": tenant_id, "id": invitation_id}, tenant_scope(tenant_id))
    if not rows:
        return None
    return rows[0]["email"], rows[0]["name"], sign_link(ring.own[0], Purpose.INVITATION, tenant_id, invitation_id)


def present(ring: MasterRing, text: str) -> Presented:
    """Read a link's text. Raises `InvalidLink` for one that we did not sign."""
    read = read_link(ring.own, Purpose.INVITATION, text)
    if read is None:
        raise InvalidLink
    return Presented(*read)


def look(platform: Database, link: Presented) -> tuple[str, Needs]:
    """The invited address and what accepting takes. Raises `InvalidLink`."""
    with platform.session(tenant_scope(link.tenant_id)) as transaction:
        email = _pending(transaction, link).email
        account = _account(transaction, email)
    return email, Needs.NOTHING if account is not None and account["verified"] else Needs.PASSWORD


def accept(platform: Database, link: Presented, user_id: UUID, *, name: str, password_hash: str | None) -> UUID:
    """Make the invited person a member, in one transaction; returns their account, which is `user_id` if it is new.

    An account that nobody verified yet may have been made by somebody else in the invited person's name: it gets the new
    password, and loses its sessions and its second factor. Raises `InvalidLink`, `PermissionDenied` for a disabled account,
    and `EmailTaken` if a password came for an account that has one, or none for one that needs it.
    """
    account_id = _account_id(platform, link, user_id)
    with platform.session(user_scope(account_id, link.tenant_id)) as transaction:
        invitation = _pending(transaction, link)
        account = _account(transaction, invitation.email)
        if account is None and password_hash is not None:
            users.insert(
                transaction, email=invitation.email, name=name, password_hash=password_hash, verified=True,
                user_id=account_id,
            )  # fmt: skip
        elif account is None or account["id"] != account_id or account["verified"] == (password_hash is not None):
            raise EmailTaken("The account has changed meanwhile; open the link again.")
        elif account["disabled_at"] is not None:
            raise PermissionDenied("The account is disabled.")
        elif password_hash is not None:
            users.set_password(transaction, account_id, password_hash)
            sessions.end_all(transaction, account_id, "claimed_by_invitation")
        members.add(transaction, link.tenant_id, account_id, invitation.role_ids)
        invitation.accepted_at, invitation.accepted_by = func.now(), account_id
    return account_id


def _account_id(platform: Database, link: Presented, new_user_id: UUID) -> UUID:
    """Whose rows the transaction must be able to see: the invited account's, or the one to be made."""
    with platform.session(tenant_scope(link.tenant_id)) as transaction:
        account = _account(transaction, _pending(transaction, link).email)
    found: UUID = new_user_id if account is None else account["id"]
    return found


def _pending(transaction: Transaction, link: Presented) -> Invitation:
    invitation = transaction.scalar(
        select(Invitation)
        .where(
            Invitation.tenant_id == link.tenant_id,
            Invitation.id == link.id,
            Invitation.accepted_at.is_(None),
            Invitation.revoked_at.is_(None),
            Invitation.expires_at > func.now(),
        )
        .with_for_update()
    )
    if invitation is None:
        raise InvalidLink
    return invitation


def _account(transaction: Transaction, email: str) -> Row | None:
    rows = transaction.connection().exec_driver_sql(_ACCOUNT, {"email": email}).mappings().all()
    return dict(rows[0]) if rows else None
