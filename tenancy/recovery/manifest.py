"""What a backup says of itself, signed by the platform and stored last: a backup without it is none."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from domain.errors import Permanent
from tenancy.life.manifest import canonical, decoded, encoded, is_genuine, signer
from tenancy.vault import MasterRing, SealBroken, new_data_key

FORMAT, VERSION = "nexus-platform-backup", 1


EXTERNAL, ERASED, AWAY = "external", "erased", "tenant_database_down"
"""Why a tenant is left out: its server has backups of its own; it went meanwhile; its database could not be read."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file of a backup. `tenant_id` is None for the platform database, `schema` the revision that its rows have;
    `objects` is how many objects it holds, for a file of those."""

    name: str
    bytes: int
    sha256: str
    rows: int = 0
    schema: str | None = None
    tenant_id: str | None = None
    objects: int | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A tenant whose data is not in the backup, and why, as a code."""

    tenant_id: str
    code: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that a restore needs to know before it touches anything. `taken_at` is RFC 3339; `wrapped_key` opens the files."""

    backup_id: str
    taken_at: str
    master_key_id: str
    wrapped_key: str
    files: tuple[FileEntry, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def platform(self) -> FileEntry:
        """The platform database's file."""
        return self.files[0]

    @property
    def bytes(self) -> int:
        """Of all files together."""
        return sum(file.bytes for file in self.files)

    @property
    def rows(self) -> int:
        """Of all databases together."""
        return sum(file.rows for file in self.files)

    @property
    def is_complete(self) -> bool:
        """Whether it misses nobody whom it was to hold."""
        return all(each.code != AWAY for each in self.left_out)

    @property
    def tenants(self) -> int:
        """Tenants whose data is in it."""
        return sum(1 for file in self.files if file.tenant_id is not None and file.objects is None)


def written(manifest: Manifest, ring: MasterRing) -> bytes:
    """The manifest as it is stored, with its signature (Ed25519, by the key that signs archives)."""
    told = {"format": FORMAT, "version": VERSION, **asdict(manifest)}
    return canonical({"manifest": told, "signature": encoded(signer(ring.origin).sign(canonical(told)))})


def read(stored_as: bytes, ring: MasterRing) -> Manifest:
    """The manifest. Raises `Permanent`: `backup_not_genuine`, `backup_unknown_format`."""
    try:
        stored = json.loads(stored_as)
        told = stored["manifest"]
        signature, raw = decoded(stored["signature"]), canonical(told)
        genuine = any(is_genuine(raw, signature, signer(origin).public_key()) for origin in ring.verifying)
    except (ValueError, KeyError, TypeError):
        genuine = False
    if not genuine:
        raise Permanent("The backup was not made with these master keys, or was changed.", code="backup_not_genuine")
    if (told.pop("format"), told.pop("version")) != (FORMAT, VERSION):
        raise Permanent("The backup has a form that this version does not know.", code="backup_unknown_format")
    files = tuple(FileEntry(**each) for each in told.pop("files"))
    left_out = tuple(LeftOut(**each) for each in told.pop("left_out"))
    return Manifest(**told, files=files, left_out=left_out)


def new_key(ring: MasterRing, backup_id: UUID) -> tuple[bytes, str, str]:
    """A key for a backup's files; the master key's id and the wrapped key, as a manifest holds them."""
    key = new_data_key()
    master_key_id, wrapped = ring.wrap(key, _place(backup_id))
    return key, master_key_id, encoded(wrapped)


def opened_key(ring: MasterRing, backup_id: UUID, told: dict[str, Any]) -> bytes:
    """The key again. Raises `Permanent` (`backup_key_missing`)."""
    try:
        return ring.unwrap(told["master_key_id"], decoded(told["wrapped_key"]), _place(backup_id))
    except SealBroken:
        raise Permanent(
            f"The master key {told['master_key_id']} of the backup's time is not in NEXUS_MASTER_KEYS.",
            code="backup_key_missing",
        ) from None


def _place(backup_id: UUID) -> str:
    return f"backups|{backup_id}"
