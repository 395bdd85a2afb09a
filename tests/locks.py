"""Who waits for a lock: how a test knows that two have met."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

_WAITING = text(
    "SELECT count(*) FROM pg_locks l LEFT JOIN pg_database d ON d.oid = l.database"
    " WHERE NOT l.granted AND coalesce(d.datname = current_database(), true)"
)


def waiting(session: Session) -> int:
    """Statements that wait for a lock in the session's database. Who waits for a row's writer is in none, and counts."""
    return int(session.scalar(_WAITING) or 0)
