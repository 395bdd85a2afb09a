"""Rules of sessions: how long they last, and when a refresh token may be exchanged."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from enum import Enum

ACCESS_LIFETIME = timedelta(minutes=15)
REFRESH_LIFETIME = timedelta(days=30)
"""Sliding: each exchange begins it anew."""
SESSION_LIFETIME = timedelta(days=90)
"""Absolute: after it, the password is asked for again. A session bound to a tenant by switching inherits its end."""
REUSE_GRACE = timedelta(seconds=10)
"""How long the immediate predecessor is still answered: a client that lost the reply or asked twice at once."""


class Exchange(Enum):
    """What to do with a refresh token of a live session."""

    ROTATE = "rotate"
    REPEAT = "repeat"
    REJECT = "reject"
    REVOKE = "revoke"


def judge_refresh(
    now: datetime, *, expires_at: datetime, used_at: datetime | None, last_used_at: datetime | None
) -> Exchange:
    """Decide on a refresh token. `last_used_at` is the latest use of any token of the family.

    An unused token rotates. A used one is answered again only if nothing of the family was used after it and the grace
    has not passed; otherwise someone holds a stolen copy, and which of the two is the thief cannot be told.
    """
    if used_at is None:
        return Exchange.ROTATE if now < expires_at else Exchange.REJECT
    immediate = last_used_at is None or used_at >= last_used_at
    return Exchange.REPEAT if immediate and now - used_at <= REUSE_GRACE else Exchange.REVOKE


def new_refresh_token() -> str:
    """An opaque token: 32 random bytes in base64url."""
    return secrets.token_urlsafe(32)


def refresh_token_hash(token: str) -> bytes:
    """What is stored of it. A plain hash is enough for 256 random bits."""
    return hashlib.sha256(token.encode()).digest()
