"""Ed25519 keys that sign access tokens: sealed under the master key, cached by each process, rotated while all goes on.

A new key is shown before it signs, so that whoever keeps our public keys knows it by then; the one before verifies until the
last token that it signed has expired. A key that got into the wrong hands is retired instead, and its tokens with it.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, LiteralString
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from domain.errors import NotFound, ServiceUnavailable
from domain.identity.sessions import ACCESS_LIFETIME
from domain.ids import new_id
from tenancy.audit import audited
from tenancy.database import NO_SCOPE, Database, Row
from tenancy.identity.sealing import open_sealed, seal
from tenancy.vault import MasterRing

FRESH_SECONDS = 60.0
"""How long signing and JWKS go on with what was read, so that a rotation reaches every process within it."""
PATIENCE_SECONDS = 5.0
"""At most one read per this time because of a token that names an unknown key, or forgers could make us ask at will."""

SHOWN_AHEAD = timedelta(seconds=3 * FRESH_SECONDS)
"""How long a new key is shown before it signs: each process and each client's copy of JWKS is younger than this."""
KEPT_BEHIND = timedelta(seconds=3 * FRESH_SECONDS) + ACCESS_LIFETIME
"""How long the key before goes on to verify after that: a process may sign with it for `FRESH_SECONDS` yet."""

_LOCK: LiteralString = "SELECT pg_advisory_xact_lock(hashtext('nexus signing keys'))"
_INSERT_FIRST: LiteralString = """
INSERT INTO signing_keys (id, public, private_sealed)
SELECT %(id)s, %(public)s, %(sealed)s WHERE NOT EXISTS (
    SELECT 1 FROM signing_keys WHERE retired_at IS NULL AND verifies_until IS NULL)
"""
_INSERT_NEXT: LiteralString = """
INSERT INTO signing_keys (id, public, private_sealed, signs_from)
SELECT %(id)s, %(public)s, %(sealed)s, now() + %(ahead)s
 WHERE NOT EXISTS (SELECT 1 FROM signing_keys WHERE retired_at IS NULL AND signs_from > now())
RETURNING id
"""
_RELIEVE: LiteralString = """
UPDATE signing_keys SET verifies_until = now() + %(ahead)s + %(behind)s
 WHERE retired_at IS NULL AND verifies_until IS NULL AND signs_from <= now()
   AND EXISTS (SELECT 1 FROM signing_keys WHERE retired_at IS NULL AND signs_from > now())
"""
_RETIRE: LiteralString = (
    "UPDATE signing_keys SET retired_at = now() WHERE id = %(retired)s AND retired_at IS NULL RETURNING id"
)
_HASTEN: LiteralString = """
UPDATE signing_keys SET signs_from = now() WHERE retired_at IS NULL AND signs_from > now()
   AND NOT EXISTS (SELECT 1 FROM signing_keys WHERE retired_at IS NULL AND verifies_until IS NULL AND signs_from <= now())
"""
_VERIFYING: LiteralString = "retired_at IS NULL AND (verifies_until IS NULL OR verifies_until > now())"
_READ: LiteralString = f"""
SELECT id, public, private_sealed, signs_from <= now() AS may_sign FROM signing_keys WHERE {_VERIFYING}
 ORDER BY signs_from DESC, id DESC
"""
_LIST: LiteralString = f"""
SELECT id, created_at, signs_from, verifies_until, CASE WHEN signs_from > now() THEN 'shown'
       WHEN verifies_until IS NULL THEN 'signing' ELSE 'verifying' END AS state
  FROM signing_keys WHERE {_VERIFYING} ORDER BY signs_from DESC, id DESC
"""
_READ_ALL: LiteralString = "SELECT id, private_sealed FROM signing_keys"
_REPLACE: LiteralString = """
UPDATE signing_keys SET private_sealed = %(new)s WHERE id = %(id)s AND private_sealed = %(old)s RETURNING id
"""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key pair, opened. `may_sign` is false as long as it is only shown."""

    id: UUID
    private: Ed25519PrivateKey = field(repr=False)
    public: Ed25519PublicKey
    may_sign: bool


def ensure_signing_key(platform: Database, ring: MasterRing) -> None:
    """Make the first signing key, unless there is one. Safe to run at once from many processes."""
    platform.fetch_many([(_LOCK, {}), (_INSERT_FIRST, _new_key(ring))])


def rotate(platform: Database, ring: MasterRing) -> list[Row]:
    """Show a new key, which signs in three minutes; returns all keys. While one is shown already, no other is made."""
    parameters = {**_new_key(ring), "ahead": SHOWN_AHEAD, "behind": KEPT_BEHIND}
    insert = audited(_INSERT_NEXT, parameters, NO_SCOPE, "signing_key.made", f"signing_key:{parameters['id']}")
    platform.fetch_many([(_LOCK, {}), insert, (_RELIEVE, parameters)])
    return listed(platform)


def retire(platform: Database, ring: MasterRing, key_id: UUID) -> list[Row]:
    """End a key that got into the wrong hands; every process refuses its tokens within a minute. Returns the keys left.

    If it was the one that signs, another takes over at once. Raises `NotFound` for a key that is retired or unknown.
    """
    parameters = {**_new_key(ring), "retired": key_id}
    retire_it = audited(_RETIRE, parameters, NO_SCOPE, "signing_key.retired", f"signing_key:{key_id}")
    _, retired, _, _ = platform.fetch_many([(_LOCK, {}), retire_it, (_HASTEN, parameters), (_INSERT_FIRST, parameters)])
    if not retired:
        raise NotFound(f"There is no signing key {key_id}.")
    return listed(platform)


def listed(platform: Database) -> list[Row]:
    """The keys that verify, newest first: `shown` before it signs, `signing`, or `verifying` until a moment."""
    return platform.fetch(_LIST, {})


def _new_key(ring: MasterRing) -> dict[str, Any]:
    private, key_id = Ed25519PrivateKey.generate(), new_id()
    return {
        "id": key_id,
        "public": private.public_key().public_bytes_raw(),
        "sealed": seal(ring, private.private_bytes_raw(), _place(key_id)),
    }


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
    """The keys in use, newest first. The newest that may sign does; all verify."""

    def __init__(self, platform: Database, ring: MasterRing):
        self._platform = platform
        self._ring = ring
        self._lock = threading.Lock()
        self._keys: dict[UUID, SigningKey] = {}
        self._read_at = float("-inf")

    def active(self) -> SigningKey:
        """The key that signs. Raises `ServiceUnavailable` on a platform that was never prepared."""
        for key in self._fresh(FRESH_SECONDS).values():
            if key.may_sign:
                return key
        raise ServiceUnavailable("There is no signing key; prepare the platform first.")

    def public(self, key_id: UUID) -> Ed25519PublicKey | None:
        """The public key of that id. An unknown id makes us look again, at most once per `PATIENCE_SECONDS`."""
        key = self._fresh(FRESH_SECONDS).get(key_id) or self._fresh(PATIENCE_SECONDS).get(key_id)
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
        raw = open_sealed(self._ring, bytes(row["private_sealed"]), _place(row["id"]))
        private = Ed25519PrivateKey.from_private_bytes(raw)
        return SigningKey(row["id"], private, private.public_key(), row["may_sign"])


def _place(key_id: UUID) -> str:
    return f"signing_keys|{key_id}"
