"""The archives of a tenant: their rows on the platform and their place in the tenant's bucket."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, LiteralString
from uuid import UUID

import structlog

from config.settings import Settings
from domain.errors import JobError, NotFound, Permanent, Transient
from providers.storage import Bucket
from tenancy.access import Tenancy
from tenancy.audit import audited
from tenancy.audit.exporting import PREFIX as AUDIT
from tenancy.database import Database, Row, tenant_scope
from tenancy.identity.keyset import keyset
from tenancy.life.manifest import Manifest, decoded
from tenancy.provisioning import MARK

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

HALF_STORED = timedelta(days=2)
"""What has not arrived in a bucket by then never will: its job has ended."""

log = structlog.get_logger(__name__)

PREFIX = ".archives/"
"""Where archives stand in the bucket; no archive holds them."""

_COLUMNS: LiteralString = (
    "id, kind, state, source_tenant_id, bytes, sha256, schema_version, rows, objects, taken_at, created_by, created_at"
)
_ALL: LiteralString = f"SELECT {_COLUMNS} FROM tenant_archives WHERE tenant_id = %(tenant_id)s"
_BEGIN: LiteralString = f"""
INSERT INTO tenant_archives (tenant_id, id, kind, source_tenant_id, created_by)
VALUES (%(tenant_id)s, %(id)s, %(kind)s, %(tenant_id)s, %(by)s)
ON CONFLICT (tenant_id, id) DO UPDATE SET state = 'writing'
RETURNING {_COLUMNS}
"""
_READY: LiteralString = f"""
UPDATE tenant_archives SET state = 'ready', source_tenant_id = %(source)s, bytes = %(bytes)s, sha256 = %(sha256)s,
       schema_version = %(schema)s, rows = %(rows)s, objects = %(objects)s, taken_at = %(taken_at)s,
       master_key_id = %(master_key_id)s, wrapped = %(wrapped)s
 WHERE tenant_id = %(tenant_id)s AND id = %(id)s RETURNING {_COLUMNS}
"""
_WRAPPING: LiteralString = (
    "SELECT master_key_id, wrapped FROM tenant_archives WHERE tenant_id = %(tenant_id)s AND id = %(id)s"
)
_DELETE: LiteralString = "DELETE FROM tenant_archives WHERE tenant_id = %(tenant_id)s AND id = %(id)s RETURNING id"
_QUOTA: LiteralString = "SELECT storage_bytes FROM tenant_quotas WHERE tenant_id = %(tenant_id)s"


def key_of(archive_id: UUID) -> str:
    """The archive's key in the bucket."""
    return f"{PREFIX}{archive_id}.zip"


def is_content(key: str) -> bool:
    """Whether an object is the tenant's own, and no archive, export of the audit or mark of the platform."""
    return not key.startswith((PREFIX, AUDIT)) and key != MARK


def page(platform: Database, tenant_id: UUID, *, after: UUID | None, limit: int, newest_first: bool) -> list[Row]:
    """Up to `limit` archives beyond the id `after`."""
    parameters = {"tenant_id": tenant_id, "after": after, "limit": limit}
    return platform.fetch(keyset(_ALL, "id", newest_first=newest_first), parameters, tenant_scope(tenant_id))


def get(platform: Database, tenant_id: UUID, archive_id: UUID) -> Row:
    """One archive. Raises `NotFound`."""
    parameters = {"tenant_id": tenant_id, "id": archive_id}
    rows = platform.fetch(f"{_ALL} AND id = %(id)s", parameters, tenant_scope(tenant_id))
    if not rows:
        raise NotFound(f"There is no archive {archive_id}.")
    return rows[0]


def begin(platform: Database, tenant_id: UUID, archive_id: UUID, kind: str, by: str) -> Row:
    """Note that the archive is being written; beginning again is the same."""
    parameters = {"tenant_id": tenant_id, "id": archive_id, "kind": kind, "by": by}
    return platform.fetch(_BEGIN, parameters, tenant_scope(tenant_id))[0]


def ready(platform: Database, tenant_id: UUID, archive_id: UUID, manifest: Manifest, size: int, sha256: str) -> Row:
    """Note that the archive is whole and in the bucket. Raises `NotFound` if it was deleted meanwhile."""
    parameters = {
        "tenant_id": tenant_id, "id": archive_id, "source": UUID(manifest.tenant_id), "bytes": size, "sha256": sha256,
        "schema": manifest.tenant_schema, "rows": manifest.rows, "objects": manifest.objects, "taken_at": manifest.taken_at,
        "master_key_id": manifest.master_key_id, "wrapped": decoded(manifest.wrapped_key),
    }  # fmt: skip
    scope, shown = tenant_scope(tenant_id), {"source_tenant_id": parameters["source"], "bytes": size}
    rows = platform.fetch(
        *audited(_READY, parameters, scope, "archive.stored", f"archive:{archive_id}", after=shown), scope
    )
    if not rows:
        raise NotFound(f"There is no archive {archive_id}.")
    return rows[0]


def wrapping(platform: Database, tenant_id: UUID, archive_id: UUID) -> tuple[str, bytes] | None:
    """The archive's key as it is wrapped now: the master key's id and the bytes. None: as the file itself says."""
    rows = platform.fetch(_WRAPPING, {"tenant_id": tenant_id, "id": archive_id}, tenant_scope(tenant_id))
    if not rows or rows[0]["wrapped"] is None:
        return None
    return rows[0]["master_key_id"], bytes(rows[0]["wrapped"])


def delete(tenancy: Tenancy, tenant_id: UUID, archive_id: UUID) -> None:
    """Remove the archive, the object first, so that no row is missed by who looks for what is left. Raises `NotFound`."""
    get(tenancy.platform, tenant_id, archive_id)
    tenancy.bucket(tenant_id).delete(key_of(archive_id))
    scope = tenant_scope(tenant_id)
    statement = audited(
        _DELETE, {"tenant_id": tenant_id, "id": archive_id}, scope, "archive.deleted", f"archive:{archive_id}"
    )
    tenancy.platform.fetch(*statement, scope)


def store(
    tenancy: Tenancy, tenant_id: UUID, manifest: Manifest, file: IO[bytes], size: int, sha256: str, by: str
) -> Row:
    """Put an archive that was brought, and checked, into the tenant's bucket. Bringing it again changes nothing.

    Raises `Permanent` (`quota_exceeded`).
    """
    archive_id, platform, bucket = UUID(manifest.archive_id), tenancy.platform, tenancy.bucket(tenant_id)
    parameters = {"tenant_id": tenant_id, "id": archive_id}
    found = platform.fetch(f"{_ALL} AND id = %(id)s", parameters, tenant_scope(tenant_id))
    if found and found[0]["state"] == "ready":
        return found[0]
    check_storage(platform, tenant_id, bucket, key_of(archive_id), size)
    begin(platform, tenant_id, archive_id, "upload", by)
    put(platform, tenant_id, bucket, key_of(archive_id), file, size, "application/zip")
    return ready(platform, tenant_id, archive_id, manifest, size, sha256)


def ready_moments(platform: Database, tenant_id: UUID, kind: str) -> dict[UUID, Any]:
    """When each whole archive of that kind was made."""
    query: LiteralString = f"{_ALL} AND kind = %(kind)s AND state = 'ready'"
    rows = platform.fetch(query, {"tenant_id": tenant_id, "kind": kind}, tenant_scope(tenant_id))
    return {row["id"]: row["created_at"] for row in rows}


def as_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """An archive's row for a job's result."""
    return {name: str(value) if isinstance(value, UUID) else value for name, value in row.items()}


def check_storage(platform: Database, tenant_id: UUID, bucket: Bucket, key: str, size: int) -> None:
    """Raise `Permanent` (`quota_exceeded`) if the bucket would be beyond the tenant's quota with so many bytes under this key.

    Nothing is under the key then, also not what an attempt put there that died before it could look again.
    """
    rows = platform.fetch(_QUOTA, {"tenant_id": tenant_id}, tenant_scope(tenant_id))
    most = rows[0]["storage_bytes"] if rows else None
    if most is not None and sum(info.size for info in bucket.list() if info.key != key) + size > most:
        bucket.delete(key)
        raise Permanent(f"The quota of {most} bytes of storage does not allow {size} more.", code="quota_exceeded")


def put(
    platform: Database, tenant_id: UUID, bucket: Bucket, key: str, file: IO[bytes], size: int, content_type: str
) -> None:
    """Put the file, from its beginning, into the tenant's bucket, which was checked for room.

    Somebody else may have put something at the same time, so the quota is looked at again: who finds it exceeded then takes the
    own file back and raises `Permanent` (`quota_exceeded`).
    """
    file.seek(0)
    bucket.put(key, file, content_type)  # type: ignore[arg-type]  # an IO[bytes] is one
    check_storage(platform, tenant_id, bucket, key, size)


def sweep(bucket: Bucket, folder: str = "", age: timedelta = HALF_STORED) -> None:
    """Remove what killed processes left half stored, so long ago that nobody is still at it.

    A store whose account may not do that keeps it: what was to be done is done, and does not fail for this.
    """
    try:
        bucket.sweep(datetime.now(UTC) - age, folder)
    except JobError as error:
        log.warning("bucket.not_swept", code=error.job_code)


@contextmanager
def scratch(settings: Settings) -> Iterator[IO[bytes]]:
    """A file without a name under `NEXUS_HOME`: it is gone with the process, however that ends.

    Raises `Transient` (`disk_full`) if there is no room for what is written to it.
    """
    folder: Path = settings.home / "scratch"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as file:
            yield file
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise Transient(f"There is no room under {folder} for a copy: {error.strerror}.", code="disk_full") from error
