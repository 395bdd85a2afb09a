"""Logins and their refresh tokens. Revocation is a row here, so it survives whatever happens to a cache."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session as Transaction

from domain.errors import NotFound, TokenReused, Unauthenticated
from domain.identity.sessions import (
    REFRESH_LIFETIME,
    SESSION_LIFETIME,
    Exchange,
    judge_refresh,
    new_refresh_token,
    refresh_token_hash,
)
from domain.ids import new_id
from models.platform import RefreshToken, Session, User
from tenancy.audit import audited, record
from tenancy.database import NO_SCOPE, Database, Row

_LIST: LiteralString = """
SELECT id, tenant_id, address, user_agent, created_at, expires_at
  FROM sessions WHERE user_id = %(user_id)s AND revoked_at IS NULL AND expires_at > now() ORDER BY id DESC
"""
_REVOKE: LiteralString = """
UPDATE sessions SET revoked_at = now(), revoked_reason = %(reason)s
 WHERE user_id = %(user_id)s AND id = %(id)s AND revoked_at IS NULL RETURNING id
"""
_REVOKE_ALL: LiteralString = """
UPDATE sessions SET revoked_at = now(), revoked_reason = %(reason)s
 WHERE user_id = %(user_id)s AND revoked_at IS NULL RETURNING id
"""
_LOCK_USER: LiteralString = "SELECT id FROM users WHERE id = %(user_id)s FOR UPDATE"
"""A session that is being opened is there before all are ended, or sees that they were."""


@dataclass(frozen=True, slots=True)
class Device:
    """Where a login came from, for the person's list of sessions."""

    address: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class Login:
    """A session and the refresh token that continues it; the token is kept nowhere else."""

    user_id: UUID
    session_id: UUID
    tenant_id: UUID | None
    refresh_token: str = field(repr=False)


def open_session(
    transaction: Transaction,
    user_id: UUID,
    device: Device,
    *,
    tenant_id: UUID | None = None,
    ends_at: datetime | None = None,
) -> Login:
    """Begin a session within the caller's transaction. `ends_at` is its absolute end, by default in 90 days."""
    now = _now(transaction)
    session = Session(
        id=new_id(),
        user_id=user_id,
        tenant_id=tenant_id,
        address=device.address[:64],
        user_agent=device.user_agent[:256],
        expires_at=ends_at or now + SESSION_LIFETIME,
    )
    transaction.add(session)
    transaction.flush()
    return Login(user_id, session.id, tenant_id, _add_token(transaction, session, now))


def bind_session(transaction: Transaction, session_id: UUID, device: Device, tenant_id: UUID) -> Login:
    """Begin a session bound to a tenant, which ends when the one it came from would have. Checks no membership.

    Raises `Unauthenticated` if that one was ended meanwhile. The user's row is locked: whoever ends all sessions at the same
    time ends this one too.
    """
    owner = select(Session.user_id).where(Session.id == session_id).scalar_subquery()
    transaction.execute(select(User.id).where(User.id == owner).with_for_update())
    origin = transaction.get_one(Session, session_id)
    if origin.revoked_at is not None:
        raise Unauthenticated("The session has ended; sign in again.")
    record(transaction, "session.bound", f"session:{session_id}", after={"tenant_id": tenant_id})
    return open_session(transaction, origin.user_id, device, tenant_id=tenant_id, ends_at=origin.expires_at)


def exchange(platform: Database, token: str) -> Login:
    """Exchange a refresh token for its successor.

    One exchange of a family at a time: the session's row is locked. Raises `Unauthenticated` for a token that is
    unknown, expired or of an ended session, and `TokenReused`, after revoking the session, for one used before.
    """
    with platform.session(NO_SCOPE) as transaction:
        login = _exchange(transaction, refresh_token_hash(token))
    if login is None:  # raised after the commit, which keeps the revocation
        raise TokenReused("This refresh token was used before. Its session is revoked; sign in again.")
    return login


def sessions_of(platform: Database, user_id: UUID) -> list[Row]:
    """The user's live sessions, newest first."""
    return platform.fetch(_LIST, {"user_id": user_id})


def revoke(platform: Database, user_id: UUID, session_id: UUID) -> None:
    """End one session of the user. Raises `NotFound` if it is not the user's or has ended."""
    asked = {"user_id": user_id, "id": session_id, "reason": "logout"}
    if not platform.fetch(*audited(_REVOKE, asked, NO_SCOPE, "session.revoked", f"session:{session_id}")):
        raise NotFound(f"There is no live session {session_id}.")


def revoke_all(platform: Database, user_id: UUID) -> None:
    """End every session of the user."""
    parameters = {"user_id": user_id, "reason": "logout_all"}
    noted = audited(_REVOKE_ALL, parameters, NO_SCOPE, "session.all_revoked", f"user:{user_id}")
    platform.fetch_many([(_LOCK_USER, parameters), noted])


def end_all(transaction: Transaction, user_id: UUID, reason: str) -> None:
    """End every session of the user within the caller's transaction, which has locked the user's row."""
    transaction.connection().exec_driver_sql(_REVOKE_ALL, {"user_id": user_id, "reason": reason})


def _exchange(transaction: Transaction, token_hash: bytes) -> Login | None:
    session = transaction.scalar(
        select(Session)
        .join(RefreshToken, RefreshToken.session_id == Session.id)
        .join(User, User.id == Session.user_id)
        .where(RefreshToken.token_hash == token_hash, User.disabled_at.is_(None))
        .with_for_update(of=Session)
    )
    if session is None:
        raise Unauthenticated("The refresh token is not valid.")
    now = _now(transaction)  # read once the lock is held: whoever held it may have used this token
    token = transaction.scalars(select(RefreshToken).where(RefreshToken.token_hash == token_hash)).one_or_none()
    if token is None or session.revoked_at is not None or session.expires_at <= now:
        raise Unauthenticated("The session has ended; sign in again.")
    last_used_at = transaction.scalar(
        select(func.max(RefreshToken.used_at)).where(RefreshToken.session_id == session.id)
    )
    verdict = judge_refresh(now, expires_at=token.expires_at, used_at=token.used_at, last_used_at=last_used_at)
    if verdict is Exchange.REJECT:
        raise Unauthenticated("The refresh token has expired; sign in again.")
    if verdict is Exchange.REVOKE:
        session.revoked_at, session.revoked_reason = now, "refresh_token_reused"
        record(transaction, "session.token_reused", f"session:{session.id}", after={"user_id": session.user_id})
        return None
    if verdict is Exchange.ROTATE:
        _retire_tokens(transaction, session.id, now)
    return Login(session.user_id, session.id, session.tenant_id, _add_token(transaction, session, now))


def _retire_tokens(transaction: Transaction, session_id: UUID, now: datetime) -> None:
    """Mark every unused token of the family used: siblings that the grace made count as predecessors too.

    Tokens that expired unused for long are dropped; presenting one is then like presenting an unknown one.
    """
    family = RefreshToken.session_id == session_id
    transaction.execute(delete(RefreshToken).where(family, RefreshToken.expires_at < now))
    transaction.execute(update(RefreshToken).where(family, RefreshToken.used_at.is_(None)).values(used_at=now))


def _add_token(transaction: Transaction, session: Session, now: datetime) -> str:
    token = new_refresh_token()
    transaction.add(
        RefreshToken(
            session_id=session.id,
            token_hash=refresh_token_hash(token),
            expires_at=min(now + REFRESH_LIFETIME, session.expires_at),
        )
    )
    transaction.flush()
    return token


def _now(transaction: Transaction) -> datetime:
    now: Any = transaction.scalar(select(func.clock_timestamp()))
    moment: datetime = now
    return moment
