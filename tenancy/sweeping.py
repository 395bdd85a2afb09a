"""Removing what has had its time: kept answers of keyed requests, ended sessions and their refresh tokens, failed logins.

The engine's account may delete these rows only once they have had their time, and can read nothing of them but the
times: row-level security says so, whatever a statement here asks for.
"""

from __future__ import annotations

from typing import LiteralString

import structlog

from tenancy.database import Database

BATCH = 5000
"""Rows of a table that one sweep removes at most, so that it never holds up its caller for long."""

_REQUESTS: LiteralString = """
DELETE FROM idempotent_requests
 WHERE created_at < now() - interval '24 hours'
   AND created_at <= (SELECT max(created_at) FROM (SELECT created_at FROM idempotent_requests
                       WHERE created_at < now() - interval '24 hours' ORDER BY created_at LIMIT %(batch)s) AS oldest)
RETURNING 1 AS removed
"""
"""The answers are sealed and may hold secrets that were shown once."""

_SESSIONS: LiteralString = """
DELETE FROM sessions
 WHERE least(expires_at, revoked_at) < now() - interval '30 days'
   AND least(expires_at, revoked_at) <= (SELECT max(ended_at) FROM (
           SELECT least(expires_at, revoked_at) AS ended_at FROM sessions
            WHERE least(expires_at, revoked_at) < now() - interval '30 days'
            ORDER BY least(expires_at, revoked_at) LIMIT %(batch)s) AS oldest)
RETURNING 1 AS removed
"""

_TOKENS: LiteralString = """
DELETE FROM refresh_tokens
 WHERE expires_at < now() - interval '30 days'
   AND expires_at <= (SELECT max(expires_at) FROM (SELECT expires_at FROM refresh_tokens
                       WHERE expires_at < now() - interval '30 days' ORDER BY expires_at LIMIT %(batch)s) AS oldest)
RETURNING 1 AS removed
"""
"""Those of sessions that are still live; an ended session takes its own along."""

_THROTTLES: LiteralString = """
DELETE FROM login_throttles
 WHERE failed_at < now() - interval '1 day'
   AND failed_at <= (SELECT max(failed_at) FROM (SELECT failed_at FROM login_throttles
                      WHERE failed_at < now() - interval '1 day' ORDER BY failed_at LIMIT %(batch)s) AS oldest)
RETURNING 1 AS removed
"""

_SWEEPS: tuple[tuple[str, LiteralString], ...] = (
    ("idempotent_requests", _REQUESTS),
    ("sessions", _SESSIONS),
    ("refresh_tokens", _TOKENS),
    ("login_throttles", _THROTTLES),
)

log = structlog.get_logger(__name__)


def sweep(platform: Database, batch: int = BATCH) -> dict[str, int]:
    """Remove answers and counts of failed logins older than 24 hours, and sessions and refresh tokens 30 days after their end.

    Oldest first and at most `batch` of each (and those of the same moment). Returns how many of each table.
    """
    removed = {table: len(platform.fetch(statement, {"batch": batch})) for table, statement in _SWEEPS}
    if any(removed.values()):
        log.info("platform.swept", **removed)
    return removed
