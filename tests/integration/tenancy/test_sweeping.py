"""What has had its time is removed, and the account that removes it can do nothing else to those tables."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import LiteralString
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import delete, func, select

from domain.ids import new_id
from models.platform import IdempotentRequest, RefreshToken, Session, User
from tenancy.access import Tenancy
from tenancy.database import NO_SCOPE, Scope, tenant_scope
from tenancy.scopes import user_scope
from tenancy.sweeping import sweep

DAY = timedelta(days=1)


def ago(duration: timedelta) -> datetime:
    """That long before now."""
    return datetime.now(UTC) - duration


def keep(web_tenancy: Tenancy, scope: Scope, name: str, ages: dict[str, timedelta]) -> None:
    """Keep an answer of each age under that scope."""
    with web_tenancy.platform.session(scope) as session:
        session.add_all(
            IdempotentRequest(scope=name, key=key, fingerprint=b"f", status=201, body_sealed=b"s", created_at=ago(age))
            for key, age in ages.items()
        )


def kept(web_tenancy: Tenancy, scope: Scope, name: str) -> set[str]:
    """The keys whose answers are still there."""
    with web_tenancy.platform.session(scope) as session:
        return set(session.scalars(select(IdempotentRequest.key).where(IdempotentRequest.scope == name)))


def test_answers_older_than_a_day_are_removed_whoever_they_were_for(
    web_tenancy: Tenancy, engine_tenancy: Tenancy, pooled_tenant: UUID, tenant: UUID, user: UUID
) -> None:
    scopes: dict[str, Scope] = {
        f"tenant:{pooled_tenant}": tenant_scope(pooled_tenant),
        f"tenant:{tenant}": tenant_scope(tenant),
        f"user:{user}": user_scope(user),
    }
    for name, scope in scopes.items():
        keep(web_tenancy, scope, name, {"old": DAY + timedelta(minutes=1), "young": DAY - timedelta(minutes=1)})

    removed = sweep(engine_tenancy.platform)

    assert removed["idempotent_requests"] >= len(scopes)
    assert [kept(web_tenancy, scope, name) for name, scope in scopes.items()] == [{"young"}] * len(scopes)


def test_a_sweep_takes_the_oldest_first_and_not_more_than_it_is_told(
    web_tenancy: Tenancy, engine_tenancy: Tenancy, user: UUID
) -> None:
    scope, name = user_scope(user), f"user:{user}"
    keep(web_tenancy, scope, name, {str(days): days * DAY * 1000 for days in (2, 3, 4)})

    assert sweep(engine_tenancy.platform, batch=2)["idempotent_requests"] == 2

    assert kept(web_tenancy, scope, name) == {"2"}


@pytest.fixture
def log_in(web_tenancy: Tenancy, user: UUID) -> Callable[..., UUID]:
    """Makes a session with one refresh token of the same end."""

    def make(ends: timedelta, revoked: timedelta | None = None, token_ends: timedelta | None = None) -> UUID:
        session_id = new_id()
        with web_tenancy.platform.session(NO_SCOPE) as session:
            session.add(
                Session(id=session_id, user_id=user, expires_at=ago(-ends), revoked_at=None if revoked is None else ago(revoked))
            )  # fmt: skip
            session.flush()
            expires_at = ago(-(ends if token_ends is None else token_ends))
            session.add(RefreshToken(session_id=session_id, token_hash=session_id.bytes, expires_at=expires_at))
        return session_id

    return make


def live(web_tenancy: Tenancy, user: UUID) -> tuple[set[UUID], set[UUID]]:
    """The user's sessions, and those of them that have a refresh token."""
    with web_tenancy.platform.session(NO_SCOPE) as session:
        sessions = set(session.scalars(select(Session.id).where(Session.user_id == user)))
        return sessions, set(
            session.scalars(select(RefreshToken.session_id).where(RefreshToken.session_id.in_(sessions)))
        )


def test_sessions_and_their_tokens_are_removed_thirty_days_after_their_end(
    web_tenancy: Tenancy, engine_tenancy: Tenancy, user: UUID, log_in: Callable[..., UUID]
) -> None:
    gone = [log_in(-31 * DAY), log_in(60 * DAY, revoked=31 * DAY), log_in(-31 * DAY, revoked=40 * DAY)]
    stay = {log_in(-29 * DAY), log_in(60 * DAY, revoked=29 * DAY), log_in(60 * DAY)}
    silent = log_in(60 * DAY, token_ends=-31 * DAY)

    removed = sweep(engine_tenancy.platform)

    assert removed["sessions"] >= len(gone)
    assert live(web_tenancy, user) == (stay | {silent}, stay)
    with web_tenancy.platform.session(NO_SCOPE) as session:
        left = select(func.count()).where(RefreshToken.session_id.in_(gone))
        assert session.scalar(left) == 0


def test_removing_a_user_still_removes_their_sessions(
    web_tenancy: Tenancy, user: UUID, log_in: Callable[..., UUID]
) -> None:
    """Foreign keys act for the tables' owner, who is bound by policies as well."""
    log_in(60 * DAY)
    with web_tenancy.platform.session(NO_SCOPE) as session:
        session.execute(delete(User).where(User.id == user))
    assert live(web_tenancy, user) == (set(), set())


FORBIDDEN: tuple[LiteralString, ...] = (
    "SELECT * FROM idempotent_requests",
    "SELECT body_sealed FROM idempotent_requests",
    "SELECT scope, key FROM idempotent_requests",
    "DELETE FROM idempotent_requests RETURNING body_sealed",
    "UPDATE idempotent_requests SET created_at = now()",
    "INSERT INTO idempotent_requests (scope, key, fingerprint) VALUES ('user:x', 'x', '')",
    "TRUNCATE idempotent_requests",
    "SELECT user_id FROM sessions",
    "SELECT address FROM sessions",
    "DELETE FROM sessions RETURNING user_id",
    "UPDATE sessions SET expires_at = now() - interval '1 year'",
    "UPDATE sessions SET revoked_at = NULL",
    "INSERT INTO sessions (id, user_id, expires_at) SELECT gen_random_uuid(), id, now() FROM users",
    "TRUNCATE sessions CASCADE",
    "SELECT token_hash FROM refresh_tokens",
    "SELECT session_id FROM refresh_tokens",
    "DELETE FROM refresh_tokens RETURNING token_hash",
    "UPDATE refresh_tokens SET used_at = NULL",
    "TRUNCATE refresh_tokens",
)


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_the_engine_may_not(engine_tenancy: Tenancy, statement: LiteralString) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        engine_tenancy.platform.fetch(statement, {})


def test_the_engine_neither_sees_nor_removes_what_has_still_time(
    web_tenancy: Tenancy, engine_tenancy: Tenancy, user: UUID, log_in: Callable[..., UUID]
) -> None:
    sweep(engine_tenancy.platform)
    scope, name = user_scope(user), f"user:{user}"
    keep(web_tenancy, scope, name, {"young": DAY - timedelta(minutes=1)})
    session_id = log_in(60 * DAY, revoked=29 * DAY)
    tables: tuple[tuple[LiteralString, LiteralString], ...] = (
        ("SELECT created_at FROM idempotent_requests", "DELETE FROM idempotent_requests"),
        ("SELECT expires_at FROM refresh_tokens", "DELETE FROM refresh_tokens"),
        ("SELECT expires_at FROM sessions", "DELETE FROM sessions"),
    )
    for look, remove in tables:
        assert engine_tenancy.platform.fetch(look, {}, scope) == []
        engine_tenancy.platform.fetch(remove, {}, scope)
    assert kept(web_tenancy, scope, name) == {"young"}
    assert live(web_tenancy, user) == ({session_id}, {session_id})
