"""Links by which a recipient unsubscribes: they name a message and its tenant, and hold nothing about the person.

A link never expires, because the law wants old mails to work. Source of the one-click form: RFC 8058.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from uuid import UUID

_MAC_BYTES = 16


def unsubscribe_key(oldest_master_key: bytes) -> bytes:
    """The key that signs, made of the platform's oldest master key."""
    return hmac.digest(oldest_master_key, b"notifications.unsubscribe", hashlib.sha256)


def write_token(key: bytes, tenant_id: UUID, message_id: UUID) -> str:
    """A token of 64 characters that fits a URL."""
    names = tenant_id.bytes + message_id.bytes
    return base64.urlsafe_b64encode(names + _mac(key, names)).decode()


def read_token(key: bytes, token: str) -> tuple[UUID, UUID] | None:
    """Tenant and message; None for a token that we did not write."""
    try:
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    names, mac = raw[:32], raw[32:]
    if len(raw) != 32 + _MAC_BYTES or not hmac.compare_digest(mac, _mac(key, names)):
        return None
    return UUID(bytes=names[:16]), UUID(bytes=names[16:])


def headers(url: str) -> dict[str, str]:
    """The headers of a mail that can be unsubscribed from with one click (RFC 2369, RFC 8058)."""
    return {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}


def _mac(key: bytes, names: bytes) -> bytes:
    return hmac.digest(key, names, hashlib.sha256)[:_MAC_BYTES]
