"""Writing a tenant into one archive: its rows as of one moment in each database, then its objects.

Two snapshots are opened one right after the other; between them the platform's may be younger by a few milliseconds. Nothing is
held in memory but a few rows: the archive grows in a nameless file, and goes to the bucket whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import IO, Any, LiteralString
from uuid import UUID

from domain.errors import TenantUnavailable
from tenancy.access import Tenancy
from tenancy.database import Row, tenant_scope
from tenancy.directory import TenantRecord
from tenancy.life import archives
from tenancy.life.archive import ArchiveWriter
from tenancy.life.contents import platform_tables, tenant_tables
from tenancy.life.manifest import Manifest
from tenancy.life.rows import read

Progress = Callable[[int, int | None, str], None]

_CHUNK = 1024 * 1024
_OWNERS: LiteralString = """
SELECT m.user_id::text AS id FROM membership_roles m JOIN roles r ON r.tenant_id = m.tenant_id AND r.id = m.role_id
 WHERE m.tenant_id = %(tenant_id)s AND r.name = 'owner' AND r.is_system ORDER BY 1
"""


def export(tenancy: Tenancy, tenant_id: UUID, archive_id: UUID, kind: str, by: str, progress: Progress) -> Row:
    """Make the archive and put it into the tenant's bucket; returns its row. Safe to run again from the beginning.

    Raises `TenantUnavailable` for a tenant without data or whose data is being moved, and `Permanent` (`quota_exceeded`).
    """
    record = tenancy.record(tenant_id)
    if record.is_closed or record.bucket is None:
        raise TenantUnavailable(f"The tenant is {record.state}: there is nothing to export at present.")
    archives.begin(tenancy.platform, tenant_id, archive_id, kind, by)
    with archives.scratch(tenancy.settings) as file:
        manifest = write(tenancy, record, archive_id, file, progress)
        size, sha256 = measured(file)
        bucket, key = tenancy.bucket(tenant_id), archives.key_of(archive_id)
        archives.check_storage(tenancy.platform, tenant_id, bucket, key, size)
        progress(manifest.rows, manifest.rows, "store the archive")
        archives.put(tenancy.platform, tenant_id, bucket, key, file, size, "application/zip")
    return archives.ready(tenancy.platform, tenant_id, archive_id, manifest, size, sha256)


def write(tenancy: Tenancy, record: TenantRecord, archive_id: UUID, file: IO[bytes], progress: Progress) -> Manifest:
    """Write the tenant into `file`."""
    scope, vault, bucket = tenant_scope(record.id), record.vault, tenancy.bucket(record.id)
    writer = ArchiveWriter(file, archive_id, tenancy.ring)
    owners = tenancy.platform.fetch(_OWNERS, {"tenant_id": record.id}, scope)
    done = 0
    with ExitStack() as stack:
        data = stack.enter_context(stack.enter_context(tenancy.database(record)).snapshot(scope))
        platform = stack.enter_context(tenancy.platform.snapshot(scope))
        taken_at = datetime.now(UTC)
        parts = [("platform", platform, table) for _, table in platform_tables(platform)]
        parts += [("tenant", data, table) for table in tenant_tables(data)]
        for part, connection, table in parts:
            progress(done, None, f"rows of {table.name}")
            writer.table(part, table, read(connection, table, record.id), vault)
            done += writer.tables[-1].rows
    for info in bucket.list():
        if archives.is_content(info.key):
            progress(done, None, "objects")
            with bucket.open(info.key) as stream:
                writer.object(info.key, stream)
    told: dict[str, Any] = {
        "tenant_id": str(record.id),
        "tenant_name": record.name,
        "tier": record.tier,
        "taken_at": taken_at.isoformat().replace("+00:00", "Z"),
        "tenant_schema": record.schema_version or "",
        "preferences": record.preferences.as_json(),
        "owners": tuple(owner["id"] for owner in owners),
    }
    return writer.finish(**told)


def measured(file: IO[bytes]) -> tuple[int, str]:
    """Size in bytes and SHA-256 of the whole file."""
    file.seek(0)
    hashed, size = hashlib.sha256(), 0
    while chunk := file.read(_CHUNK):
        hashed.update(chunk)
        size += len(chunk)
    return size, hashed.hexdigest()
