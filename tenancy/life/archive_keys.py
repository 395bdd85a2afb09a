"""The keys of archives, put under the active master key where the platform keeps them: beside the archive, not in its file.

An archive is signed and stays what it is; its file names the master key of its time for ever. What a restore here opens it with
is noted in its row, and rewrapped there. A file that was taken elsewhere still needs the key that it names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, LiteralString
from uuid import UUID

import structlog

from domain.errors import NexusError
from tenancy.access import Tenancy
from tenancy.life import archives
from tenancy.life.archive import ArchiveReader
from tenancy.life.manifest import decoded
from tenancy.life.restore import fetch
from tenancy.vault import SealBroken, archive_key_place

BATCH = 200

_LEFT: LiteralString = """
 FROM tenant_archives WHERE state = 'ready' AND master_key_id IS DISTINCT FROM %(active)s
"""
_COUNT: LiteralString = f"SELECT count(*) AS keys {_LEFT}"
_READ: LiteralString = f"""
SELECT tenant_id, id, master_key_id, wrapped {_LEFT} AND (tenant_id, id) > (%(tenant_id)s, %(id)s)
 ORDER BY tenant_id, id LIMIT %(limit)s
"""
_WRITE: LiteralString = """
UPDATE tenant_archives SET master_key_id = %(master_key_id)s, wrapped = %(new)s
 WHERE tenant_id = %(tenant_id)s AND id = %(id)s AND wrapped IS NOT DISTINCT FROM %(old)s RETURNING id
"""

log = structlog.get_logger(__name__)


def rewrap(tenancy: Tenancy, tick: Callable[[int, int], None]) -> tuple[int, int]:
    """Go once through all archives; returns how many keys were put under the active master key, and how many do not open.

    `tick` is told how many of how many are done, and may raise to stop. An archive of the time before rows held keys is read
    once from its bucket. Raises `Transient` while a key service is away.
    """
    platform, ring = tenancy.platform, tenancy.ring
    total = platform.fetch(_COUNT, {"active": ring.active_id})[0]["keys"]
    done = written = unreadable = 0
    at: dict[str, Any] = {"active": ring.active_id, "tenant_id": UUID(int=0), "id": UUID(int=0), "limit": BATCH}
    while rows := platform.fetch(_READ, at):
        for row in rows:
            try:
                key = _key(tenancy, row["tenant_id"], row["id"], row["master_key_id"], row["wrapped"])
            except (SealBroken, NexusError) as error:
                log.warning("archive.key_unreadable", archive_id=str(row["id"]), reason=str(error))
                unreadable += 1
                continue
            master_key_id, new = ring.wrap(key, archive_key_place(row["id"]))
            wanted = {**row, "old": row["wrapped"], "master_key_id": master_key_id, "new": new}
            written += len(platform.fetch(_WRITE, wanted))
            done += 1
            tick(done, max(done, total))
        at |= {"tenant_id": rows[-1]["tenant_id"], "id": rows[-1]["id"]}
    return written, unreadable


def _key(
    tenancy: Tenancy, tenant_id: UUID, archive_id: UUID, master_key_id: str | None, wrapped: bytes | None
) -> bytes:
    if master_key_id is None or wrapped is None:
        with archives.scratch(tenancy.settings) as file:
            fetch(tenancy, tenant_id, archive_id, file)
            file.seek(0)
            manifest = ArchiveReader(file, tenancy.ring).manifest
        master_key_id, wrapped = manifest.master_key_id, decoded(manifest.wrapped_key)
        archive_id = UUID(manifest.archive_id)
    return tenancy.ring.unwrap(master_key_id, bytes(wrapped), archive_key_place(archive_id))
