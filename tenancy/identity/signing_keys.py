"""Ed25519 keys that sign access tokens: made once, sealed under the master key, cached by each process.

A sealed private key is stored as the master key's id, a zero byte and what that key sealed.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any, LiteralString
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from domain.errors import ServiceUnavailable
from domain.ids import new_id
from tenancy.database import Database
from tenancy.vault import MasterRing

FRESH_SECONDS = 60.0
"""How long signing and JWKS go on with what was read, so that a rotation reaches every process within it."""
PATIENCE_SECONDS = 5.0
"""At most one read per this time because of a token that names an unknown key, or forgers could make us ask at will."""

_LOCK: LiteralString = "SELECT pg_advisory_xact_lock(hashtext('nexus signing keys'))"
_INSERT_FIRST: LiteralString = """
INSERT INTO signing_keys (id, public, private_sealed)
SELECT %(id)s, %(public)s, %(sealed)s WHERE NOT EXISTS (SELECT 1 FROM signing_keys WHERE retired_at IS NULL)
"""
_READ: LiteralString = "SELECT id, public, private_sealed FROM signing_keys WHERE retired_at IS NULL ORDER BY id DESC"
_READ_ALL: LiteralString = "SELECT id, private_sealed FROM signing_keys"
_REPLACE: LiteralString = """
UPDATE signing_keys SET private_sealed = %(new)s WHERE id = %(id)s AND private_sealed = %(old)s RETURNING id
"""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key pair, opened."""

    id: UUID
    private: Ed25519PrivateKey = field(repr=False)
    public: Ed25519PublicKey


def ensure_signing_key(platform: Database, ring: MasterRing) -> None:
    """Make the first signing key, unless there is one. Safe to run at once from many processes."""
    private = Ed25519PrivateKey.generate()
    key_id = new_id()
    master_key_id, sealed = ring.wrap(private.private_bytes_raw(), _place(key_id))
    parameters = {
        "id": key_id,
        "public": private.public_key().public_bytes_raw(),
        "sealed": master_key_id.encode() + b"\0" + sealed,
    }
    platform.fetch_many([(_LOCK, {}), (_INSERT_FIRST, parameters)])


def rewrap_signing_keys(platform: Database, ring: MasterRing) -> int:
    """Seal anew, under the active master key, each private key that another one seals; returns how many.

    Raises `SealBroken` if its master key is not in the ring, and `Transient` while a key service is away.
    """
    written = 0
    for row in platform.fetch(_READ_ALL, {}):
        old = bytes(row["private_sealed"])
        master_key_id, _, sealed = old.partition(b"\0")
        if master_key_id.decode() == ring.active_id:
            continue
        key_id, again = ring.wrap(ring.unwrap(master_key_id.decode(), sealed, _place(row["id"])), _place(row["id"]))
        new = {"id": row["id"], "old": old, "new": key_id.encode() + b"\0" + again}
        written += len(platform.fetch(_REPLACE, new))
    return written


class SigningKeys:
    """The keys in use, newest first. The newest signs; all verify."""

    def __init__(self, platform: Database, ring: MasterRing):
        self._platform = platform
        self._ring = ring
        self._lock = threading.Lock()
        self._keys: dict[UUID, SigningKey] = {}
        self._read_at = float("-inf")

    def active(self) -> SigningKey:
        """The key that signs. Raises `ServiceUnavailable` on a platform that was never prepared."""
        keys = self._fresh(FRESH_SECONDS)
        if not keys:
            raise ServiceUnavailable("There is no signing key; prepare the platform first.")
        return next(iter(keys.values()))

    def public(self, key_id: UUID) -> Ed25519PublicKey | None:
        """The public key of that id. An unknown id makes us look again, at most once per `PATIENCE_SECONDS`."""
        key = self._keys.get(key_id) or self._fresh(PATIENCE_SECONDS).get(key_id)
        return None if key is None else key.public

    def all_public(self) -> dict[UUID, bytes]:
        """Every public key as its 32 raw bytes."""
        return {key.id: key.public.public_bytes_raw() for key in self._fresh(FRESH_SECONDS).values()}

    def _fresh(self, seconds: float) -> dict[UUID, SigningKey]:
        with self._lock:
            if time.monotonic() - self._read_at >= seconds:
                self._keys = {key.id: key for key in map(self._opened, self._platform.fetch(_READ, {}))}
                self._read_at = time.monotonic()
            return self._keys

    def _opened(self, row: dict[str, Any]) -> SigningKey:
        master_key_id, _, sealed = bytes(row["private_sealed"]).partition(b"\0")
        raw = self._ring.unwrap(master_key_id.decode(), sealed, _place(row["id"]))
        private = Ed25519PrivateKey.from_private_bytes(raw)
        return SigningKey(row["id"], private, private.public_key())


def _place(key_id: UUID) -> str:
    return f"signing_keys|{key_id}"
