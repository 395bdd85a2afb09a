"""API keys: `nxk_` and base64url of tenant id (16 bytes), key id (16) and secret (32), without padding.

The tenant stands in the key, so that row-level security can be pointed at it before the secret is checked.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from uuid import UUID

PREFIX = "nxk_"
"""Known to secret scanners by its form; also what tells a key from an access token."""

_ID_BYTES, _SECRET_BYTES = 16, 32
_TEXT_LENGTH = len(PREFIX) + 86


@dataclass(frozen=True, slots=True)
class PresentedKey:
    """A key as a caller sent it: well-formed, not yet known to be true."""

    tenant_id: UUID
    key_id: UUID
    secret_hash: bytes = field(repr=False)

    def matches(self, stored_hash: bytes) -> bool:
        """Whether the secret is the one, compared in constant time."""
        return hmac.compare_digest(self.secret_hash, stored_hash)


@dataclass(frozen=True, slots=True)
class MintedKey:
    """A new key. `text` is shown once and kept nowhere."""

    text: str = field(repr=False)
    secret_hash: bytes = field(repr=False)
    last_four: str


def mint_api_key(tenant_id: UUID, key_id: UUID) -> MintedKey:
    """Make a key with a fresh secret."""
    secret = secrets.token_bytes(_SECRET_BYTES)
    text = PREFIX + _encoded(tenant_id.bytes + key_id.bytes + secret)
    return MintedKey(text, _hash(secret), text[-4:])


def parse_api_key(text: str) -> PresentedKey | None:
    """The parts of a key, or None if it has not the exact form; a key has one spelling only."""
    if not text.startswith(PREFIX) or len(text) != _TEXT_LENGTH or not text.isascii():
        return None
    encoded = text.removeprefix(PREFIX)
    try:
        raw = base64.urlsafe_b64decode(encoded + "==")
    except binascii.Error:
        return None
    if len(raw) != 2 * _ID_BYTES + _SECRET_BYTES or _encoded(raw) != encoded:
        return None
    tenant, key, secret = raw[:_ID_BYTES], raw[_ID_BYTES : 2 * _ID_BYTES], raw[2 * _ID_BYTES :]
    return PresentedKey(UUID(bytes=tenant), UUID(bytes=key), _hash(secret))


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _hash(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()
