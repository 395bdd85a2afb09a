"""Mailed links of accounts: made by the job that mails them, used up by who sends them back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

from sqlalchemy.orm import Session as Transaction

from domain.errors import InvalidLink
from domain.identity.links import LIFETIMES, Purpose, read_link, sign_link
from domain.ids import new_id
from tenancy.audit import record
from tenancy.database import NO_SCOPE, Database
from tenancy.identity import sessions, users
from tenancy.scopes import user_scope
from tenancy.vault import MasterRing

# A link with more than half its life left is mailed again as it is. So asking in another's name, again and again, cannot
# keep ending the link that they are about to use.
_RENEW: LiteralString = """
INSERT INTO identity_links AS l (user_id, purpose, id, expires_at)
SELECT u.id, %(purpose)s, %(id)s, now() + %(lifetime)s FROM users u
 WHERE u.email = %(email)s AND u.disabled_at IS NULL AND (%(purpose)s <> 'verify_email' OR u.email_verified_at IS NULL)
ON CONFLICT (user_id, purpose) DO UPDATE
   SET id = CASE WHEN l.expires_at > now() + %(lifetime)s / 2 THEN l.id ELSE excluded.id END,
       expires_at = CASE WHEN l.expires_at > now() + %(lifetime)s / 2 THEN l.expires_at ELSE excluded.expires_at END
RETURNING user_id, id
"""
_FIND: LiteralString = """
SELECT u.email FROM identity_links l JOIN users u ON u.id = l.user_id AND u.disabled_at IS NULL
 WHERE l.user_id = %(user_id)s AND l.purpose = %(purpose)s AND l.id = %(id)s AND l.expires_at > now()
"""
_USE: LiteralString = """
DELETE FROM identity_links l USING users u
 WHERE l.user_id = %(user_id)s AND l.purpose = %(purpose)s AND l.id = %(id)s AND l.expires_at > now()
   AND u.id = l.user_id AND u.disabled_at IS NULL
RETURNING l.user_id
"""
_VERIFY: LiteralString = f"""
WITH used AS ({_USE})
UPDATE users SET email_verified_at = coalesce(email_verified_at, now()) FROM used WHERE users.id = used.user_id
RETURNING users.id
"""
_DROP: LiteralString = "DELETE FROM identity_links WHERE user_id = %(user_id)s"


@dataclass(frozen=True, slots=True)
class Presented:
    """A link that we signed, as it came back: not yet known to be unused and in time."""

    purpose: Purpose
    user_id: UUID
    id: UUID

    @property
    def parameters(self) -> dict[str, object]:
        """For statements."""
        return {"user_id": self.user_id, "purpose": self.purpose.value, "id": self.id}


def renew(platform: Database, ring: MasterRing, purpose: Purpose, email: str) -> str | None:
    """The text of the account's link for that purpose; None if no account needs one. Running it again gives the same."""
    parameters = {"purpose": purpose.value, "id": new_id(), "lifetime": LIFETIMES[purpose], "email": email}
    rows = platform.fetch(_RENEW, parameters)
    return sign_link(ring.own[0], purpose, rows[0]["user_id"], rows[0]["id"]) if rows else None


def present(ring: MasterRing, purpose: Purpose, text: str) -> Presented:
    """Read a link's text. Raises `InvalidLink` for one that we did not sign for this purpose."""
    read = read_link(ring.own, purpose, text)
    if read is None:
        raise InvalidLink
    return Presented(purpose, *read)


def email_of(platform: Database, link: Presented) -> str:
    """The address that the link was mailed to. Raises `InvalidLink`."""
    rows = platform.fetch(_FIND, link.parameters)
    if not rows:
        raise InvalidLink
    email: str = rows[0]["email"]
    return email


def verify_email(platform: Database, link: Presented) -> None:
    """Use the link up and mark the account's address as verified. Raises `InvalidLink`."""
    with platform.session(NO_SCOPE) as transaction:
        if not transaction.connection().exec_driver_sql(_VERIFY, link.parameters).all():
            raise InvalidLink
        record(transaction, "user.email_verified", f"user:{link.user_id}", of_platform=True)


def reset_password(platform: Database, link: Presented, password_hash: str) -> None:
    """Use the link up, set the password, end all sessions and drop the account's other links. Raises `InvalidLink`."""
    with platform.session(user_scope(link.user_id)) as transaction:
        if not _use(transaction, link):
            raise InvalidLink
        users.set_password(transaction, link.user_id, password_hash)
        sessions.end_all(transaction, link.user_id, "password_reset")
        transaction.connection().exec_driver_sql(_DROP, {"user_id": link.user_id})


def _use(transaction: Transaction, link: Presented) -> bool:
    return bool(transaction.connection().exec_driver_sql(_USE, link.parameters).all())
