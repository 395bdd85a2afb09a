"""Bringing a whole platform back from a backup, onto servers that have nothing of it.

The backup is read whole before anything is touched. The platform's rows, its schema and the mark (`tenancy.recovery.mark`) come in one
transaction, then each tenant's rows in one, committed only if what is read again is what the backup holds. The mark goes
last: until then no program starts here, and the same command goes on where it was stopped.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal, LiteralString
from uuid import UUID

import psycopg

from config.settings import Settings, SettingsError
from domain.errors import Permanent
from tenancy.access import Tenancy
from tenancy.bootstrap import alone, ensure_pool, ensure_template, make_accounts
from tenancy.database import Database, tenant_scope
from tenancy.directory import TenantRecord
from tenancy.life.tier import raw
from tenancy.masters import open_ring
from tenancy.migrations import History, head, revisions, upgrade, upgrade_within
from tenancy.places import Place
from tenancy.provisioning import place_of
from tenancy.recovery import contents, mark, objects, tables
from tenancy.recovery.manifest import EXTERNAL, FileEntry, Manifest
from tenancy.recovery.reading import BACKUP, let_backups_read
from tenancy.recovery.store import Store
from tenancy.recovery.verify import Files, Progress
from tenancy.servers import create_database, pool_database, with_database

Existing = Literal["refuse", "keep", "replace"]
"""What to do about tenants' databases that are there: nothing at all, leave them as they are, or take the backup's rows."""

_SECONDS = 86_400.0
"""A transaction of a restore may rest while a file is fetched."""

_THERE: LiteralString = "SELECT datname::text FROM pg_database WHERE datname = ANY(%(names)s) ORDER BY 1 LIMIT 1"
_MIGRATED: LiteralString = "SELECT to_regclass('public.alembic_version') IS NOT NULL AS migrated"
_PLACED: LiteralString = """
UPDATE tenants SET dsn_sealed = %(dsn)s, database_name = %(database)s, schema_version = %(schema)s WHERE id = %(id)s
"""
_WITHOUT_DATA: LiteralString = """
UPDATE tenants SET state = 'suspended', settings = settings ||
       '{"half_restored": true, "failure": "not_in_backup: restore one of the tenant''s archives"}'::jsonb
 WHERE id = %(id)s AND state IN ('active', 'suspended')
"""


@dataclass(frozen=True, slots=True)
class Restored:
    """What came back, and the tenants that have no data yet."""

    backup_id: UUID
    tenants: int
    rows: int
    without_data: tuple[str, ...]


class Restoration:
    """One restore of the backup. Raises `SettingsError` or `Permanent` before anything is touched, if it cannot be."""

    def __init__(self, settings: Settings, backup_id: UUID, progress: Progress, existing: Existing = "refuse"):
        self._settings, self._backup_id = settings, backup_id
        self._progress, self._existing = progress, existing
        ring = open_ring(settings)
        self._files = Files(Store(settings, ring), ring, backup_id)

    def run(self) -> Restored:
        """All of it; running it again after a crash goes on."""
        manifest = self._files.check(self._progress)
        _refuse_newer(manifest)
        owner = Database(self._settings.owner_dsn, pool_size=1, application_name="nexus restore", idle_limit=_SECONDS)
        try:
            with alone(owner) as connection:
                goes_on = mark.is_to_go_on(connection, self._backup_id)
                if not goes_on and self._existing == "refuse":
                    self._refuse_existing(connection, manifest)
                make_accounts(connection, self._settings)
                if not goes_on:
                    self._platform(owner, manifest.platform)
                ensure_template(connection, self._settings)
                restored = self._tenants(connection, manifest)
                mark.clear(connection)
        finally:
            owner.dispose()
        return restored

    def _refuse_existing(self, connection: psycopg.Connection[Any], manifest: Manifest) -> None:
        names = [f"nexus_t_{UUID(entry.tenant_id).hex}" for entry in manifest.files if entry.tenant_id is not None]
        row = connection.execute(_THERE, {"names": [*names, pool_database(self._settings)]}).fetchone()
        if row is not None:
            raise SettingsError(
                f"DATABASE_URL: the server has tenants' data already ({row[0]}): say --existing keep to leave such databases as"
                " they are, or --existing replace to put the backup's rows in place of theirs"
            )

    def _platform(self, owner: Database, entry: FileEntry) -> None:
        with owner.session(BACKUP) as session:
            connection = raw(session)
            upgrade_within("platform", session.connection(), entry.schema)
            let_backups_read(connection)
            found = tables.tables(connection)
            with tables.as_they_were(connection, found):
                tables.clear(connection, found)  # what migrations put there
            with self._files.lines(entry) as lines:
                contents.restore(connection, lines, lambda name: self._progress(0, None, f"platform: {name}"))
            mark.begin(connection, self._backup_id)

    def _tenants(self, connection: psycopg.Connection[Any], manifest: Manifest) -> Restored:
        tenancy = Tenancy(self._settings, "engine")
        without = [each.tenant_id for each in manifest.left_out if each.code != EXTERNAL]
        try:
            for number, entry in enumerate(manifest.files):
                self._progress(number, len(manifest.files), entry.name)
                if entry.tenant_id is None:
                    continue
                record = tenancy.record(UUID(entry.tenant_id))
                if entry.objects is None:
                    self._tenant(connection, tenancy, record, entry)
                else:
                    with self._files.pieces(entry) as pieces:
                        objects.restore(tenancy.bucket(record.id), pieces)
            for tenant_id in without:
                record = tenancy.record(UUID(tenant_id))
                self._place(connection, tenancy, record, head("tenant"))
                tenancy.platform.fetch(_WITHOUT_DATA, {"id": record.id}, tenant_scope(record.id))
        finally:
            tenancy.dispose()
        return Restored(self._backup_id, manifest.tenants, manifest.rows, tuple(without))

    def _tenant(
        self, connection: psycopg.Connection[Any], tenancy: Tenancy, record: TenantRecord, entry: FileEntry
    ) -> None:
        place = self._place(connection, tenancy, record, entry.schema or head("tenant"))
        database = _database(with_database(self._settings, place.database))
        try:
            with self._files.lines(entry) as lines, database.session(tenant_scope(record.id)) as session:
                there = raw(session)
                if self._existing == "keep" and tables.has_rows(there, tables.tables(there)):
                    return
                contents.restore(there, lines, lambda name: self._progress(0, None, f"{entry.name}: {name}"))
        finally:
            database.dispose()

    def _place(self, connection: psycopg.Connection[Any], tenancy: Tenancy, record: TenantRecord, schema: str) -> Place:
        """The tenant's database and account, and the platform's note of where they are now."""
        place = place_of(self._settings, record)
        if schema != head("tenant"):  # the template is of the newest only
            create_database(connection, place.database)
            database = _database(with_database(self._settings, place.database))
            if not database.fetch(_MIGRATED, {})[0]["migrated"]:
                upgrade("tenant", database, to=schema)
            database.dispose()
        for _, step in place.steps(lambda: nullcontext(connection)):
            step()
        if record.tier == "pooled":
            ensure_pool(connection, self._settings)
        if (record.dsn, record.schema_version) != (place.dsn, schema):
            sealed = record.vault.seal(place.dsn.encode(), "tenants", "dsn_sealed", record.id)
            told = {"dsn": sealed, "database": place.database, "schema": schema, "id": record.id}
            tenancy.platform.fetch(_PLACED, told, tenant_scope(record.id))
        return place


def _refuse_newer(manifest: Manifest) -> None:
    for entry in manifest.files:
        history: History = "platform" if entry.tenant_id is None else "tenant"
        if entry.schema is not None and entry.schema not in revisions(history):
            raise Permanent(
                f"The backup was made by a newer version ({history} schema {entry.schema}): install that version.",
                code="backup_too_new",
            )


def _database(dsn: str) -> Database:
    return Database(dsn, pool_size=1, application_name="nexus restore", idle_limit=_SECONDS)
