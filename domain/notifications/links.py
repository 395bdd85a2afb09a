"""Links that people and providers come back by: signed, naming a tenant and one thing of it, and nothing about a person.

A link to unsubscribe names a message and never expires, because the law wants old mails to work. A link for callbacks names a
provider's account. Source of the one-click form: RFC 8058.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Literal
from uuid import UUID

Purpose = Literal["unsubscribe", "callback"]
PLATFORM_ACCOUNT = UUID(int=0)
"""Names the platform's own account in a callback's link."""

_MAC_BYTES = 16


def link_key(origin: bytes, purpose: Purpose) -> bytes:
    """The key that signs links of that purpose, made of the platform's origin."""
    return hmac.digest(origin, f"notifications.{purpose}".encode(), hashlib.sha256)


def write_token(key: bytes, tenant_id: UUID, named: UUID) -> str:
    """A token of 64 characters that fits a URL."""
    names = tenant_id.bytes + named.bytes
    return base64.urlsafe_b64encode(names + _mac(key, names)).decode()


def read_token(key: bytes, token: str) -> tuple[UUID, UUID] | None:
    """The tenant and what is named; None for a token that we did not write."""
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
