"""Reading a backup whole, and holding every byte of it against what was written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from uuid import UUID

from domain.errors import Permanent
from tenancy.recovery import contents
from tenancy.recovery.manifest import FileEntry, Manifest, opened_key
from tenancy.recovery.sealed import lines, opened
from tenancy.recovery.store import Store
from tenancy.vault import MasterRing

Progress = Callable[[int, int | None, str], None]


class Files:
    """The files of one backup, opened with the master keys. Raises `NotFound` or `Permanent` as `Store.manifest`."""

    def __init__(self, store: Store, ring: MasterRing, backup_id: UUID):
        self.manifest: Manifest = store.manifest(backup_id)
        self._store, self._backup_id = store, backup_id
        self._key = opened_key(ring, backup_id, asdict(self.manifest))

    @contextmanager
    def pieces(self, entry: FileEntry) -> Iterator[Iterator[bytes]]:
        """What a file holds, in pieces."""
        with self._store.fetched(self._backup_id, entry) as file:
            yield opened(file, self._key, entry.name)

    @contextmanager
    def lines(self, entry: FileEntry) -> Iterator[Iterator[bytes]]:
        """A database's file, line by line."""
        with self.pieces(entry) as pieces:
            yield lines(pieces)

    def check(self, progress: Progress) -> Manifest:
        """Read everything. Raises `Permanent` (`backup_damaged`, `object_not_found`)."""
        for number, entry in enumerate(self.manifest.files):
            progress(number, len(self.manifest.files), f"check {entry.name}")
            if entry.objects is None:
                with self.lines(entry) as found:
                    rows = contents.check(found).rows
                if rows != entry.rows:
                    raise Permanent(f"The backup is damaged: {entry.name} has {rows} rows.", code="backup_damaged")
            else:
                with self.pieces(entry) as pieces:
                    for _ in pieces:
                        continue
        return self.manifest
