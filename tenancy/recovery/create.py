"""Making a backup: the platform's database first, then every tenant's, each as of one moment.

The order matters. A tenant's rows are younger than the platform's, so after a restore a job may be found undone whose effects are
there, which `applied_jobs` forgives; never the other way round. A tenant that moved to another database in between would be missed:
then all of it is begun anew. A run that is killed goes on with the tenant that it was at.

Each run stores its files in a folder of its own: one that was frozen and taken for dead may wake when another has ended its work, and
must not put its files in the place of those that a manifest vouches for.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, LiteralString, TypeVar
from uuid import UUID

import psycopg
import structlog
from psycopg.rows import dict_row

from config.settings import Settings
from domain.errors import NotFound, Permanent, Transient
from tenancy.access import Tenancy
from tenancy.database import Database, tenant_scope
from tenancy.recovery import contents, objects
from tenancy.recovery.manifest import AWAY, ERASED, EXTERNAL, FileEntry, LeftOut, Manifest, new_key, opened_key
from tenancy.recovery.reading import BACKUP, unreadable
from tenancy.recovery.sealed import SealedWriter
from tenancy.recovery.store import Store
from tenancy.servers import with_database

T = TypeVar("T")
Progress = Callable[[int, int | None, str], None]
Keep = Callable[[Mapping[str, Any]], None]
"""Keeps, for the run after a crash, what has been done."""

KEEP_SECONDS = 5.0
PLATFORM = "platform.backup"

_REVISION: LiteralString = "SELECT version_num FROM alembic_version"
_TENANTS: LiteralString = """
SELECT id::text, tier, database_name AS database, settings ->> 'done' AS done FROM tenants
 WHERE state IN ('active', 'suspended', 'deleting', 'migrating') AND dsn_sealed IS NOT NULL ORDER BY id
"""
"""`done` is another after a restore or a move of the tenant."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Begun:
    """What a run knows, and the next one after a crash: the key, the tenants to do, the files that are stored."""

    master_key_id: str
    wrapped_key: str
    taken_at: str
    tenants: list[dict[str, Any]]
    files: list[dict[str, Any]]


class Creation:
    """One backup. `resumed` is what an earlier run gave to `keep`."""

    def __init__(
        self,
        settings: Settings,
        tenancy: Tenancy,
        backup_id: UUID,
        progress: Progress,
        resumed: Mapping[str, Any],
        keep: Keep,
    ):
        self._settings, self._tenancy, self._backup_id = settings, tenancy, backup_id
        self._progress, self._keep = progress, keep
        self._store = Store(settings, tenancy.ring)
        self._resumed = resumed
        self._folder = secrets.token_hex(4)

    def run(self) -> Manifest:
        """All of it. Raises `Transient` (`backup_raced`) if a tenant moved meanwhile."""
        if self._store.is_whole(self._backup_id):
            return self._store.manifest(self._backup_id)
        self._store.sweep(self._backup_id)
        begun = _Begun(**self._resumed) if self._resumed else self._begin()
        key = opened_key(self._tenancy.ring, self._backup_id, asdict(begun))
        left_out = self._tenants(begun, key)
        self._refuse_a_race(begun)
        manifest = Manifest(
            backup_id=str(self._backup_id),
            taken_at=begun.taken_at,
            master_key_id=begun.master_key_id,
            wrapped_key=begun.wrapped_key,
            files=tuple(FileEntry(**each) for each in begun.files),
            left_out=tuple(left_out),
        )
        self._store.finish(manifest)
        return manifest

    def _begin(self) -> _Begun:
        """The platform's database, and with it the list of the tenants to do."""
        key, master_key_id, wrapped = new_key(self._tenancy.ring, self._backup_id)
        with _owner(self._settings.owner_dsn).snapshot(BACKUP) as connection:
            if missing := unreadable(connection):
                raise Permanent(f"A backup would miss rows of {missing[0]}: run `nexus prepare`.", code="not_prepared")
            tenants = _rows(connection, _TENANTS)
            taken_at = _rows(connection, "SELECT to_jsonb(now()) #>> '{}' AS at")[0]["at"]
            entry = self._database(f"{self._folder}/{PLATFORM}", connection, key, None)
        begun = _Begun(master_key_id, wrapped, taken_at, tenants, [asdict(entry)])
        self._keep(asdict(begun))
        return begun

    def _tenants(self, begun: _Begun, key: bytes) -> list[LeftOut]:
        """Each tenant that is not stored yet. One that is away is tried once more at the end, and then left out by name."""
        stored = {each["tenant_id"] for each in begun.files if each["tenant_id"] is not None}
        left_out: dict[str, str] = {}
        waiting = [each for each in begun.tenants if each["id"] not in stored]
        for _ in range(2):
            kept_at = time.monotonic()
            for tenant in waiting:
                self._progress(len(stored), len(begun.tenants), f"tenant {tenant['id']}")
                entries, code = self._tried(tenant, key)
                begun.files.extend(asdict(entry) for entry in entries)
                if code is None:
                    stored.add(tenant["id"])
                    left_out.pop(tenant["id"], None)
                else:
                    left_out[tenant["id"]] = code
                if time.monotonic() - kept_at > KEEP_SECONDS:
                    self._keep(asdict(begun))
                    kept_at = time.monotonic()
            waiting = [tenant for tenant in waiting if left_out.get(tenant["id"]) == AWAY]
        for tenant_id, code in left_out.items():
            log.info("backup.tenant_left_out", tenant_id=tenant_id, code=code)
        return [LeftOut(tenant_id, code) for tenant_id, code in sorted(left_out.items())]

    def _tried(self, tenant: dict[str, Any], key: bytes) -> tuple[list[FileEntry], str | None]:
        if tenant["tier"] == "external":
            return [], EXTERNAL
        try:
            return self._tenant(tenant, key), None
        except NotFound:
            return [], ERASED
        except psycopg.OperationalError:
            return [], AWAY

    def _tenant(self, tenant: dict[str, Any], key: bytes) -> list[FileEntry]:
        tenant_id, name = UUID(tenant["id"]), f"{self._folder}/tenants/{tenant['id']}"
        record = self._tenancy.record(tenant_id)
        owner = _owner(with_database(self._settings, tenant["database"]))
        with owner.snapshot(tenant_scope(tenant_id)) as connection:
            entries = [self._database(f"{name}.backup", connection, key, tenant["id"])]
        if self._settings.s3_bucket is None and record.bucket is not None and record.bucket.access_key is None:
            bucket = self._tenancy.bucket(tenant_id)
            count, size, sha256 = self._stored(f"{name}.objects", key, lambda out: objects.write(bucket, out.write))
            entries.append(FileEntry(f"{name}.objects", size, sha256, tenant_id=tenant["id"], objects=count))
        return entries

    def _database(self, name: str, connection: psycopg.Connection[Any], key: bytes, tenant_id: str | None) -> FileEntry:
        schema = _rows(connection, _REVISION)[0]["version_num"]
        total, size, sha256 = self._stored(
            name,
            key,
            lambda out: contents.write(
                connection, out.write, lambda table: self._progress(0, None, f"{name}: {table}")
            ),
        )
        return FileEntry(name, size, sha256, total.rows, schema, tenant_id)

    def _stored(self, name: str, key: bytes, fill: Callable[[SealedWriter], T]) -> tuple[T, int, str]:
        """What `fill` came to, and the size and SHA-256 of the file that it filled, which is in the bucket now."""
        with self._store.new_file() as file:
            out = SealedWriter(file, key, name)
            told = fill(out)
            out.finish()
            return told, *self._store.keep(self._backup_id, name, file)

    def _refuse_a_race(self, begun: _Begun) -> None:
        with _owner(self._settings.owner_dsn).snapshot(BACKUP) as connection:
            now = {each["id"]: each for each in _rows(connection, _TENANTS)}
        moved = [each["id"] for each in begun.tenants if each["id"] in now and now[each["id"]] != each]
        if moved:
            self._keep({})
            raise Transient(f"Tenant {moved[0]} moved during the backup; it begins anew.", code="backup_raced")


def _owner(dsn: str) -> Database:
    return Database(dsn, pool_size=1, application_name="nexus backup")


def _rows(connection: psycopg.Connection[Any], query: LiteralString) -> list[dict[str, Any]]:
    return connection.cursor(row_factory=dict_row).execute(query).fetchall()
