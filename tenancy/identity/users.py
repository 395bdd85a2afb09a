"""Accounts: making one, and the guarded way to a login."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import LiteralString
from uuid import UUID

from domain.errors import EmailTaken, NotFound
from domain.identity.sessions import lock_delay
from domain.ids import new_id
from models.platform import User
from tenancy.audit import audited, record
from tenancy.database import NO_SCOPE, Database, Row
from tenancy.identity.sessions import Device, Login, open_session

_INSERT: LiteralString = """
INSERT INTO users (id, email, name, password_hash) VALUES (%(id)s, %(email)s, %(name)s, %(password_hash)s)
ON CONFLICT (email) DO NOTHING
RETURNING id, email, name, is_operator, created_at
"""
_GET: LiteralString = "SELECT id, email, name, is_operator, created_at FROM users WHERE id = %(id)s"

_DELAYS = [lock_delay(failures) for failures in range(1, 21)]
"""By number of failures from the first; the last one stays."""

# Counted before the password is looked at, so that guesses sent all at once count as well; a right one resets it.
_ATTEMPT: LiteralString = """
UPDATE users
   SET failed_logins = failed_logins + 1,
       locked_until = now() + (%(delays)s::interval[])[least(failed_logins + 1, cardinality(%(delays)s::interval[]))]
 WHERE email = %(email)s AND disabled_at IS NULL AND (locked_until IS NULL OR locked_until <= now())
RETURNING id, password_hash
"""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An account that may log in if the password is right."""

    user_id: UUID
    password_hash: str = field(repr=False)


def register(platform: Database, *, email: str, name: str, password_hash: str) -> Row:
    """Make an account for a normalised email. Raises `EmailTaken`."""
    user_id = new_id()
    account = {"id": user_id, "email": email, "name": name, "password_hash": password_hash}
    shown = {"email": email, "name": name}
    rows = platform.fetch(*audited(_INSERT, account, NO_SCOPE, "user.registered", f"user:{user_id}", after=shown))
    if not rows:
        raise EmailTaken(f"An account with the email {email} exists; sign in instead.")
    return rows[0]


def get(platform: Database, user_id: UUID) -> Row:
    """One account. Raises `NotFound`."""
    rows = platform.fetch(_GET, {"id": user_id})
    if not rows:
        raise NotFound(f"There is no user {user_id}.")
    return rows[0]


def begin_login(platform: Database, email: str) -> Candidate | None:
    """Count an attempt and return the account it is for; None if it is unknown, disabled or locked for now."""
    rows = platform.fetch(_ATTEMPT, {"email": email, "delays": _DELAYS})
    return Candidate(rows[0]["id"], rows[0]["password_hash"]) if rows else None


def finish_login(platform: Database, candidate: Candidate, device: Device, *, rehashed: str | None) -> Login:
    """Open a session after the right password; forget the failures and keep a newer hash of the password."""
    with platform.session(NO_SCOPE) as transaction:
        user = transaction.get_one(User, candidate.user_id, with_for_update=True)
        user.failed_logins, user.locked_until = 0, None
        if rehashed is not None:
            user.password_hash = rehashed
        login = open_session(transaction, candidate.user_id, device)
        session = {"session_id": login.session_id, "user_agent": device.user_agent[:256]}
        record(transaction, "login.succeeded", f"user:{candidate.user_id}", after=session)
        return login
