"""Accounts: making one, and the guarded way to a login."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import LiteralString
from uuid import UUID

from sqlalchemy import func, update
from sqlalchemy.orm import Session as Transaction

from domain.errors import EmailTaken, InvalidCredentials, LoginThrottled, NotFound
from domain.ids import new_id
from models.platform import User
from tenancy.audit import record
from tenancy.database import Database, Row
from tenancy.identity import second_factors, throttles
from tenancy.identity.sessions import Device, Login, open_session
from tenancy.identity.throttles import COUNT, Attempt
from tenancy.scopes import user_scope
from tenancy.vault import MasterRing

_SHOWN: LiteralString = "id, email, name, is_operator, email_verified_at IS NOT NULL AS email_verified, created_at"
_INSERT: LiteralString = f"""
INSERT INTO users (id, email, name, password_hash, email_verified_at)
VALUES (%(id)s, %(email)s, %(name)s, %(password_hash)s, CASE WHEN %(verified)s THEN now() END)
ON CONFLICT (email) DO NOTHING
RETURNING {_SHOWN}
"""
_GET: LiteralString = f"SELECT {_SHOWN} FROM users WHERE id = %(id)s"
_CANDIDATE: LiteralString = "SELECT id, password_hash FROM users WHERE email = %(email)s AND disabled_at IS NULL"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An account that may log in if the password is right."""

    user_id: UUID
    password_hash: str = field(repr=False)


def insert(
    transaction: Transaction,
    *,
    email: str,
    name: str,
    password_hash: str,
    verified: bool = False,
    user_id: UUID | None = None,
) -> Row:
    """Make an account for a normalised email within the caller's transaction. Raises `EmailTaken`."""
    parameters = {
        "id": user_id or new_id(), "email": email, "name": name, "password_hash": password_hash, "verified": verified,
    }  # fmt: skip
    rows = transaction.connection().exec_driver_sql(_INSERT, parameters).mappings().all()
    if not rows:
        raise EmailTaken(f"An account with the email {email} exists; sign in instead.")
    record(transaction, "user.registered", f"user:{parameters['id']}", after={"email": email, "name": name})
    return dict(rows[0])


def get(platform: Database, user_id: UUID) -> Row:
    """One account. Raises `NotFound`."""
    rows = platform.fetch(_GET, {"id": user_id})
    if not rows:
        raise NotFound(f"There is no user {user_id}.")
    return rows[0]


def begin_login(platform: Database, email: str, tried: Attempt) -> Candidate | None:
    """Count an attempt and return the account it is for; None if it is unknown or disabled.

    Raises `LoginThrottled` if too many have failed, for this email or from this address.
    """
    (counted,), found = platform.fetch_many([(COUNT, tried.parameters), (_CANDIDATE, {"email": email})])
    wait = throttles.wait_seconds(counted)
    if wait is not None:
        raise LoginThrottled("Too many logins have failed for this account or from this address.", retry_after=wait)
    return Candidate(found[0]["id"], found[0]["password_hash"]) if found else None


def finish_login(
    platform: Database,
    ring: MasterRing,
    candidate: Candidate,
    tried: Attempt,
    device: Device,
    *,
    code: str | None,
    rehashed: str | None,
) -> Login:
    """Open a session after the right password; forget the failures and keep a newer hash of the password.

    Raises `MfaRequired` without a code if the account has a second factor, `InvalidCode` if the code is not right, and
    `InvalidCredentials` if the password was changed since it was looked at.
    """
    secret = None if code is None else second_factors.opened(platform, ring, candidate.user_id)
    with platform.session(user_scope(candidate.user_id)) as transaction:
        user = transaction.get_one(User, candidate.user_id, with_for_update=True)
        if user.password_hash != candidate.password_hash or user.disabled_at is not None:
            raise InvalidCredentials("The password was just changed.")
        second_factors.check(transaction, user.id, secret, code)
        if rehashed is not None:
            user.password_hash = rehashed
        throttles.forget(transaction, tried)
        login = open_session(transaction, candidate.user_id, device)
        session = {"session_id": login.session_id, "user_agent": device.user_agent[:256]}
        record(transaction, "login.succeeded", f"user:{candidate.user_id}", after=session)
        return login


def set_password(transaction: Transaction, user_id: UUID, password_hash: str) -> None:
    """Set the password of an account whose owner has just shown to hold its mailbox.

    It is not locked any more; its sessions are the caller's to end. If the address was never verified before, whoever made
    the account may have been somebody else: the second factor that they set goes too.
    """
    user = transaction.get_one(User, user_id, with_for_update=True)
    user.password_hash = password_hash
    throttles.unlock(transaction, user.email)
    if user.email_verified_at is None:
        second_factors.remove(transaction, user_id)
        transaction.execute(update(User).where(User.id == user_id).values(email_verified_at=func.now()))
