"""Bringing a tenant's rows and objects back from an archive, into the tenant it was made of or another.

Everything of the archive is read and held against its checksums before anything is touched. Then the tenant is shut
(`tenancy.life.quiet`); its rows go and come in one transaction in each database, committed only if counts and digests are
those of the manifest; then the objects. A tenant is let in again at the very end, so that nobody sees a half. A restore that is
given up in the middle leaves the tenant `suspended` with a reason, and can be begun anew with this archive or another.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, LiteralString
from uuid import UUID

import psycopg

from domain.errors import Permanent, Transient
from domain.tenants.copies import copied_id
from domain.tenants.preferences import preferences_of
from domain.tenants.states import begins
from tenancy.access import Tenancy
from tenancy.database import tenant_scope
from tenancy.holding import Hold
from tenancy.life import archives, merging, quiet
from tenancy.life.archive import ArchiveReader
from tenancy.life.contents import PLATFORM, Contents, Return, tenant_tables
from tenancy.life.export import measured
from tenancy.life.manifest import TableEntry
from tenancy.life.rows import Extra, Table, as_extra, describe, digest, load, remove
from tenancy.life.tier import raw
from tenancy.migrations import head
from tenancy.scopes import restoring_scope

Progress = Callable[[int, int | None, str], None]

_BEGUN: LiteralString = """
UPDATE tenants SET transition = transition || '{"destructive": true}'::jsonb, version = version + 1,
       settings = settings || jsonb_build_object('restored_from', %(source)s::text)
 WHERE id = %(id)s AND version = %(version)s RETURNING version
"""
_ACTIVATE: LiteralString = """
UPDATE tenants SET state = CASE WHEN settings -> 'half_restored' IS NULL THEN transition ->> 'from' ELSE 'active' END,
       settings = settings - 'half_restored' - 'failure' || jsonb_build_object('done', transition ->> 'job'),
       transition = NULL, version = version + 1,
       preferences = %(preferences)s::jsonb, preferences_version = preferences_version + 1
 WHERE id = %(id)s AND version = %(version)s RETURNING version
"""
_OTHERS: LiteralString = """
SELECT 1 FROM tenants
 WHERE id <> %(target)s AND (id = %(source)s AND state <> 'deleted' OR settings ->> 'restored_from' = %(source)s::text) LIMIT 1
"""
_PLATFORM_IDS = frozenset({
    "id", "job_id", "parent_id", "replay_of", "webhook_endpoint_id", "endpoint_id", "event_id", "delivery_id", "redelivery_of",
    "depends_on", "last_job_id",
})  # fmt: skip
_IDS_OF_JOBS = frozenset({"job_id"})
"""Columns of a tenant database that name rows of the platform's."""


class Restore:
    """The saga of one tenant and one archive. `wait` sleeps and raises when the job should stop."""

    def __init__(
        self, tenancy: Tenancy, hold: Hold, archive_id: UUID, job_id: UUID, wait: quiet.Wait, progress: Progress
    ):
        self._tenancy, self._hold, self._archive_id, self._job_id = tenancy, hold, archive_id, job_id
        self._wait, self._progress = wait, progress
        self._vault = tenancy.vault(hold.tenant_id)

    def run(self) -> dict[str, Any]:
        """All of it; returns what came back. Raises `Permanent` for an archive that is damaged, foreign or too new."""
        with self._opened() as reader:
            manifest = reader.manifest
            told = {"rows": manifest.rows, "objects": manifest.objects}
            if quiet.is_done(self._tenancy.record(self._hold.tenant_id), self._job_id):
                return told
            for number, name in enumerate(reader.check()):
                self._progress(number, len(manifest.tables) + manifest.objects + 1, f"check {name}")
            if manifest.tenant_schema > head("tenant"):
                raise Permanent("The archive was made by a newer version of the platform.", code="archive_too_new")
            quiet.begin(self._hold, "restore", self._job_id, begins("restore"), archive=str(self._archive_id))
            self._progress(0, None, "wait until nobody works in the tenant")
            quiet.close(self._hold, self._wait)
            is_copy = self._is_copy(UUID(manifest.tenant_id))
            self._hold.version = self._hold.update(_BEGUN, source=manifest.tenant_id)["version"]
            self._tenant_rows(reader, is_copy)
            self._platform_rows(reader, is_copy)
            self._objects(reader)
            self._progress(manifest.rows, manifest.rows, "activate")
            preferences = json.dumps(preferences_of(manifest.preferences).as_json())
            self._hold.version = self._hold.update(_ACTIVATE, noting="tenant.restored", preferences=preferences)[
                "version"
            ]
            return {**told, "is_copy": is_copy}

    @contextmanager
    def _opened(self) -> Iterator[ArchiveReader]:
        """The archive, brought here whole."""
        row = archives.get(self._tenancy.platform, self._hold.tenant_id, self._archive_id)
        if row["state"] != "ready":
            raise Permanent("The archive is not finished.", code="archive_not_ready")
        with archives.scratch(self._tenancy.settings) as file:
            fetch(self._tenancy, self._hold.tenant_id, self._archive_id, file)
            if measured(file) != (row["bytes"], row["sha256"]):
                raise Permanent("The archive in the bucket is not the one that was stored.", code="archive_damaged")
            file.seek(0)
            wrapping = archives.wrapping(self._tenancy.platform, self._hold.tenant_id, self._archive_id)
            yield ArchiveReader(file, self._tenancy.ring, wrapping)

    def _is_copy(self, source: UUID) -> bool:
        """Whether the ids of the platform's rows may be in use: by the living original, or by another copy of it."""
        if source == self._hold.tenant_id:
            return False
        return bool(self._tenancy.platform.fetch(_OTHERS, {"source": source, "target": self._hold.tenant_id}))

    def _tenant_rows(self, reader: ArchiveReader, is_copy: bool) -> None:
        tenant_id = self._hold.tenant_id
        entries = {entry.name: entry for entry in reader.manifest.tables if entry.part == "tenant"}
        with (
            self._tenancy.database(self._tenancy.record(tenant_id)) as database,
            database.session(tenant_scope(tenant_id)) as session,
        ):
            connection = raw(session)
            tables = tenant_tables(connection)
            for table in reversed(tables):
                remove(connection, table, tenant_id)
            for table in tables:
                if table.name in entries:
                    ids = _IDS_OF_JOBS if is_copy else frozenset[str]()
                    self._bring_back(connection, table, entries[table.name], reader, ids)

    def _platform_rows(self, reader: ArchiveReader, is_copy: bool) -> None:
        tenant_id = self._hold.tenant_id
        entries = {entry.name: entry for entry in reader.manifest.tables if entry.part == "platform"}
        with self._tenancy.platform.session(restoring_scope(tenant_id)) as session:
            connection = raw(session)
            replaced = [
                (contents, describe(connection, contents.name, contents.where))
                for contents in PLATFORM
                if contents.back is Return.REPLACE
            ]
            for _, table in reversed(replaced):
                remove(connection, table, tenant_id)
            merging.merge(connection, reader, entries, tenant_id)
            for contents, table in replaced:
                if table.name in entries:
                    ids = _PLATFORM_IDS if is_copy else frozenset[str]()
                    self._bring_back(connection, table, entries[table.name], reader, ids, contents)

    def _bring_back(
        self,
        connection: psycopg.Connection[Any],
        table: Table,
        entry: TableEntry,
        reader: ArchiveReader,
        ids: frozenset[str],
        contents: Contents | None = None,
    ) -> None:
        self._progress(0, None, f"restore {table.name}")
        known = table.with_columns(entry.columns)
        renamed = sorted(ids & set(known.columns))
        loaded = load(connection, known, self._rows(known, entry, reader, renamed))
        if loaded != entry.rows:
            raise Transient(f"{table.name} took {loaded} of {entry.rows} rows.", code="restore_differs")
        if not renamed:
            found = digest(connection, known, self._hold.tenant_id)
            if (found.rows, found.sha256) != (entry.rows, entry.rows_sha256):
                raise Permanent(f"{table.name} is not what the archive holds.", code="restore_differs")
        if contents is not None and contents.settle is not None:
            connection.execute(contents.settle, (self._hold.tenant_id,))

    def _rows(
        self, table: Table, entry: TableEntry, reader: ArchiveReader, renamed: list[str]
    ) -> Iterator[tuple[str, Extra]]:
        for line, sealed in reader.lines(entry):
            extra: dict[str, Any] = {"tenant_id": str(self._hold.tenant_id)}
            told = json.loads(line) if sealed or renamed else {}
            extra.update(
                {name: str(copied_id(UUID(told[name]), self._hold.tenant_id)) for name in renamed if told.get(name)}
            )
            for column, value in sealed.items():
                plain = reader.vault.open(value, table.name, column, UUID(told["id"]))
                row_id = UUID(extra.get("id", told["id"]))
                extra[column] = as_extra(self._vault.seal(plain, table.name, column, row_id))
            yield line, extra

    def _objects(self, reader: ArchiveReader) -> None:
        bucket = self._tenancy.bucket(self._hold.tenant_id)
        wanted: dict[str, int] = {}
        for each in reader.objects():
            self._progress(len(wanted), reader.manifest.objects, "restore objects")
            with reader.open(each["file"]) as stream:
                bucket.put(each["key"], stream)  # type: ignore[arg-type]  # an IO[bytes] is one
            wanted[each["key"]] = each["size"]
        for info in list(bucket.list()):
            if archives.is_content(info.key) and info.key not in wanted:
                bucket.delete(info.key)
        found = {info.key: info.size for info in bucket.list() if archives.is_content(info.key)}
        if found != wanted:
            raise Transient("The bucket does not hold the archive's objects.", code="restore_differs")


def fetch(tenancy: Tenancy, tenant_id: UUID, archive_id: UUID, file: IO[bytes]) -> None:
    """Copy an archive from the bucket into `file`, a piece at a time."""
    with tenancy.bucket(tenant_id).open(archives.key_of(archive_id)) as stream:
        while chunk := stream.read(1024 * 1024):
            file.write(chunk)
