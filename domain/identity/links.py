"""Links that are mailed: what they are for, how long they hold, and their signed text.

The text is base64url of two ids (16 bytes each) and their HMAC-SHA256 under a key derived from a master key, bound to the
purpose. So a forged one costs no query, and no table holds what opens an account; that a link is unused and not expired is
its row's to say. Any key of the ring verifies: a link outlives a rotation.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from datetime import timedelta
from enum import StrEnum
from uuid import UUID


class Purpose(StrEnum):
    """What a link does when its text is sent back."""

    VERIFY_EMAIL = "verify_email"
    RESET_PASSWORD = "reset_password"  # noqa: S105 - the name of a purpose
    INVITATION = "invitation"


LIFETIMES = {
    Purpose.VERIFY_EMAIL: timedelta(days=3),
    Purpose.RESET_PASSWORD: timedelta(hours=1),
    Purpose.INVITATION: timedelta(days=7),
}

LONGEST = 200
"""Characters of a link's text at most; it has 86."""

_ID_BYTES, _MAC_BYTES = 16, 32


def sign_link(master_key: bytes, purpose: Purpose, whose: UUID, link_id: UUID) -> str:
    """The text of a link. `whose` is the account, or an invitation's tenant."""
    ids = whose.bytes + link_id.bytes
    return base64.urlsafe_b64encode(ids + _mac(master_key, purpose, ids)).rstrip(b"=").decode()


def read_link(master_keys: Iterable[bytes], purpose: Purpose, text: str) -> tuple[UUID, UUID] | None:
    """Whose it is and its id, if one of the keys signed the text for this purpose."""
    try:
        raw = base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    ids, mac = raw[: 2 * _ID_BYTES], raw[2 * _ID_BYTES :]
    if len(raw) != 2 * _ID_BYTES + _MAC_BYTES:
        return None
    if not any(hmac.compare_digest(mac, _mac(key, purpose, ids)) for key in master_keys):
        return None
    return UUID(bytes=ids[:_ID_BYTES]), UUID(bytes=ids[_ID_BYTES:])


def _mac(master_key: bytes, purpose: Purpose, ids: bytes) -> bytes:
    key = hmac.digest(master_key, b"mailed links", hashlib.sha256)
    return hmac.digest(key, f"{purpose.value}\0".encode() + ids, hashlib.sha256)
