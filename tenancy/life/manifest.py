"""What an archive says of itself, signed by the platform: a manifest names every file with its SHA-256.

The signature is Ed25519 (RFC 8032) by a key that is derived from the ring's origin, so that every process has it and no row holds
it. Its public half stands in certificates. Master keys come and go without it (`docs/keys.md`).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64decode, b64encode
from dataclasses import asdict, dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from domain.errors import Permanent

FORMAT, VERSION = "nexus-tenant-archive", 1


@dataclass(frozen=True, slots=True)
class TableEntry:
    """A table's file. `part` is `platform` or `tenant`; `rows_sha256` is over the lines as `tenancy.life.rows` makes them."""

    part: str
    name: str
    columns: tuple[str, ...]
    rows: int
    rows_sha256: str
    file: str
    file_sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that a restore needs to know before it touches anything. Times are RFC 3339; `wrapped_key` opens sealed columns."""

    archive_id: str
    tenant_id: str
    tenant_name: str
    tier: str
    taken_at: str
    tenant_schema: str
    preferences: dict[str, Any]
    owners: tuple[str, ...]
    master_key_id: str
    wrapped_key: str
    tables: tuple[TableEntry, ...]
    objects: int
    object_bytes: int
    objects_file: str
    objects_sha256: str

    @property
    def rows(self) -> int:
        """Of all tables together."""
        return sum(table.rows for table in self.tables)

    def to_bytes(self) -> bytes:
        """Canonical JSON: what is signed."""
        return canonical({"format": FORMAT, "version": VERSION, **asdict(self)})


def from_bytes(raw: bytes) -> Manifest:
    """The manifest. Raises `Permanent` (`archive_unknown_format`) for one of another form or version."""
    try:
        told = json.loads(raw)
        known = (told.pop("format"), told.pop("version")) == (FORMAT, VERSION)
        tables = tuple(TableEntry(**{**entry, "columns": tuple(entry["columns"])}) for entry in told.pop("tables"))
        manifest = Manifest(**{**told, "tables": tables, "owners": tuple(told["owners"])})
    except (ValueError, KeyError, TypeError, AttributeError):
        known = False
    if not known:
        raise Permanent("The archive's manifest has an unknown form.", code="archive_unknown_format")
    return manifest


def canonical(value: Any) -> bytes:
    """JSON that is the same whoever writes it: sorted, without blanks, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def signer(origin: bytes) -> Ed25519PrivateKey:
    """The platform's key for archives and certificates, of a ring's origin."""
    return Ed25519PrivateKey.from_private_bytes(hmac.digest(origin, b"nexus archives and certificates", hashlib.sha256))


def is_genuine(raw: bytes, signature: bytes, public_key: Ed25519PublicKey) -> bool:
    """Whether the key's owner signed these bytes."""
    try:
        public_key.verify(signature, raw)
    except InvalidSignature:
        return False
    return True


def encoded(value: bytes) -> str:
    """Bytes in JSON."""
    return b64encode(value).decode()


def decoded(text: str) -> bytes:
    """Back from JSON. Raises `ValueError`."""
    return b64decode(text, validate=True)
