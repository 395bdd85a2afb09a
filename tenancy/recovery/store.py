"""The operator's bucket of backups: one folder for each, named by its id, which a manifest makes whole."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import IO, Any
from uuid import UUID

from config.settings import Settings
from domain.errors import NotFound, Permanent
from domain.tenants.retention import kept
from providers.storage import Bucket, open_backups
from tenancy.life import archives
from tenancy.life.export import measured
from tenancy.recovery.manifest import FileEntry, Manifest, read, written
from tenancy.vault import MasterRing

MANIFEST = "manifest.json"

_CHUNK = 1024 * 1024


class Store:
    """The backups of one platform, readable with the master keys of `ring`."""

    def __init__(self, settings: Settings, ring: MasterRing):
        self._settings, self._ring = settings, ring
        self.bucket: Bucket = open_backups(settings)

    def ids(self) -> list[UUID]:
        """The whole backups, the oldest first."""
        return [each for each in self._folders() if self.is_whole(each)]

    def newest_first(self) -> Iterator[UUID]:
        """The whole backups, each looked for only when it is asked for."""
        return (each for each in reversed(self._folders()) if self.is_whole(each))

    def is_whole(self, backup_id: UUID) -> bool:
        """Whether it has a manifest, which is stored last."""
        return self.bucket.exists(f"{backup_id}/{MANIFEST}")

    def manifest(self, backup_id: UUID) -> Manifest:
        """Raises `NotFound`, or `Permanent` for one that these master keys do not vouch for."""
        try:
            raw = self.bucket.get(f"{backup_id}/{MANIFEST}")
        except Permanent as error:
            if error.job_code == "object_not_found":
                raise NotFound(f"There is no backup {backup_id}.") from None
            raise
        return read(raw, self._ring)

    def is_good(self, backup_id: UUID) -> bool:
        """Whether these master keys vouch for it, as the backup that it is called, and it misses nobody."""
        try:
            manifest = self.manifest(backup_id)
        except (NotFound, Permanent):
            return False
        return manifest.backup_id == str(backup_id) and manifest.is_complete

    def shown(self, backup_id: UUID) -> dict[str, Any]:
        """What lists tell of a whole backup; `problem` is why these master keys do not vouch for it, as a code."""
        told: dict[str, Any] = {"id": backup_id, "taken_at": moment_of(backup_id), "problem": None}
        try:
            manifest = self.manifest(backup_id)
        except Permanent as error:
            return {**told, "bytes": 0, "rows": 0, "tenants": 0, "left_out": [], "problem": error.job_code}
        return {
            **told, "taken_at": datetime.fromisoformat(manifest.taken_at), "bytes": manifest.bytes, "rows": manifest.rows,
            "tenants": manifest.tenants, "left_out": [asdict(each) for each in manifest.left_out],
        }  # fmt: skip

    def finish(self, manifest: Manifest) -> None:
        """Store the manifest, with which the backup is whole."""
        data = io.BytesIO(written(manifest, self._ring))
        self.bucket.put(f"{manifest.backup_id}/{MANIFEST}", data, "application/json")

    @contextmanager
    def new_file(self) -> Iterator[IO[bytes]]:
        """A file on this machine to fill, for `keep`."""
        with archives.scratch(self._settings) as file:
            yield file

    def keep(self, backup_id: UUID, name: str, file: IO[bytes]) -> tuple[int, str]:
        """Store a file of a backup; its size and SHA-256. Storing again replaces it."""
        size, sha256 = measured(file)
        file.seek(0)
        self.bucket.put(f"{backup_id}/{name}", file)  # type: ignore[arg-type]  # an IO[bytes] is one
        return size, sha256

    @contextmanager
    def fetched(self, backup_id: UUID, entry: FileEntry) -> Iterator[IO[bytes]]:
        """A file of a backup on this machine, from its beginning. Raises `Permanent` (`backup_damaged`)."""
        with archives.scratch(self._settings) as file:
            with self.bucket.open(f"{backup_id}/{entry.name}") as stream:
                while chunk := stream.read(_CHUNK):
                    file.write(chunk)
            if measured(file) != (entry.bytes, entry.sha256):
                raise Permanent(f"The backup is damaged: {entry.name} is not what was stored.", code="backup_damaged")
            file.seek(0)
            yield file

    def remove(self, backup_id: UUID) -> None:
        """Remove a backup, the manifest first: what is left of it then is no backup."""
        self.bucket.delete(f"{backup_id}/{MANIFEST}")
        for info in list(self.bucket.list(f"{backup_id}/")):
            self.bucket.delete(info.key)

    def superfluous(self, now: datetime) -> list[UUID]:
        """Backups that no rule keeps, and what is left of those that were never finished.

        The rule is asked of the good ones too: one that misses a tenant, or that somebody brought, must not be the reason why a good
        one of the same day goes.
        """
        folders = self._folders()
        whole = {each: moment_of(each) for each in folders if self.is_whole(each)}
        abandoned = [each for each in folders if each not in whole and now - moment_of(each) > archives.HALF_STORED]
        good = {each: moment for each, moment in whole.items() if self.is_good(each)}
        stays = kept(whole) | kept(good)
        return sorted(whole.keys() - stays) + abandoned

    def sweep(self, backup_id: UUID | None = None) -> None:
        """Remove what killed processes left half stored: of this backup, all of it; of any, what is days old."""
        if backup_id is None:
            archives.sweep(self.bucket)
        else:  # whatever the store's clock says
            archives.sweep(self.bucket, str(backup_id), timedelta(days=-1))

    def _folders(self) -> list[UUID]:
        found = []
        for name in self.bucket.folders():
            with suppress(ValueError):  # not ours
                found.append(UUID(name))
        return sorted(found)


def moment_of(backup_id: UUID) -> datetime:
    """When a backup was asked for: a UUIDv7 begins with milliseconds since 1970 (RFC 9562)."""
    return datetime.fromtimestamp((backup_id.int >> 80) / 1000, UTC)
