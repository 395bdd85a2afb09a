"""Putting every data and signing key under the active master key, so that an older one can leave the ring.

Each key is replaced only if it is still the one that was read; a run that was killed is run again and finds what is left.
A master key is *removable* when it is not active, wraps nothing, and has sealed nothing new for a day: kept answers to
users without a tenant are sealed by the master key itself and live that long.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

import structlog

from tenancy.access import Tenancy
from tenancy.database import Database
from tenancy.scopes import operator_scope
from tenancy.vault import MasterRing, SealBroken, data_key_place

BATCH = 200

_COUNT: LiteralString = "SELECT count(*) AS keys FROM tenant_keys WHERE master_key_id <> %(active)s"
_READ: LiteralString = """
SELECT tenant_id, version, master_key_id, wrapped FROM tenant_keys
 WHERE master_key_id <> %(active)s AND (tenant_id, version) > (%(tenant_id)s, %(version)s)
 ORDER BY tenant_id, version LIMIT %(limit)s
"""
_WRITE: LiteralString = """
UPDATE tenant_keys SET master_key_id = %(master_key_id)s, wrapped = %(wrapped)s
 WHERE tenant_id = %(tenant_id)s AND version = %(version)s AND wrapped = %(old)s RETURNING version
"""
_NOTE: LiteralString = """
INSERT INTO master_keys AS m (id, retired_at)
SELECT id, CASE WHEN id <> %(active)s THEN now() END FROM unnest(%(ids)s::text[]) AS ids (id)
ON CONFLICT (id) DO UPDATE SET retired_at = CASE WHEN m.id <> %(active)s THEN coalesce(m.retired_at, now()) END
"""
_IN_USE: LiteralString = """
SELECT ids.id, m.retired_at, coalesce(d.keys, 0) AS data_keys, coalesce(s.keys, 0) AS signing_keys,
       coalesce(f.secrets, 0) AS second_factors,
       (SELECT count(*) FROM tenant_archives a
         WHERE a.state = 'ready' AND coalesce(a.master_key_id, ids.id) = ids.id) AS archives,
       coalesce(m.retired_at < now() - interval '25 hours', false) AS rested
  FROM (SELECT id FROM master_keys UNION SELECT unnest(%(ids)s::text[])
        UNION SELECT master_key_id FROM tenant_keys
        UNION SELECT master_key_id FROM tenant_archives WHERE master_key_id IS NOT NULL) AS ids (id)
  LEFT JOIN master_keys m ON m.id = ids.id
  LEFT JOIN (SELECT master_key_id, count(*) AS keys FROM tenant_keys GROUP BY 1) d ON d.master_key_id = ids.id
  LEFT JOIN (SELECT split_part(encode(private_sealed, 'escape'), '\\000', 1) AS id, count(*) AS keys
               FROM signing_keys GROUP BY 1) s ON s.id = ids.id
  LEFT JOIN (SELECT split_part(encode(secret_sealed, 'escape'), '\\000', 1) AS id, count(*) AS secrets
               FROM second_factors GROUP BY 1) f ON f.id = ids.id
"""

_COUNTED = ("data_keys", "signing_keys", "second_factors", "archives")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """What a pass came to. `unreadable` keys are wrapped by a master key that is not in the ring."""

    keys: int
    unreadable: int


@dataclass(frozen=True, slots=True)
class MasterKeyUse:
    """What stands under a master key. `in_ring` is about the process that answers.

    From the `origin` the accounts of the platform and the signatures of archives are derived: the ring's oldest local key, unless
    another one was set apart for that. It is not removable. An archive of which no key is known yet counts for all.
    """

    id: str
    active: bool
    in_ring: bool
    origin: bool
    data_keys: int
    signing_keys: int
    second_factors: int
    archives: int
    retired_at: datetime | None
    removable: bool


def note_ring(platform: Database, ring: MasterRing) -> None:
    """Remember which master keys there are, and since when those that are not active are not."""
    platform.fetch(_NOTE, {"active": ring.active_id, "ids": list(ring.ids)}, operator_scope())


def rewrap(tenancy: Tenancy, tick: Callable[[int, int], None]) -> Rewrapped:
    """Go once through all data keys; `tick` is told how many of how many are done, and may raise to stop.

    Raises `Transient` while a key service is away.
    """
    platform, ring = tenancy.platform, tenancy.ring
    total = platform.fetch(_COUNT, {"active": ring.active_id})[0]["keys"]
    done = written = unreadable = 0
    at: dict[str, Any] = {"active": ring.active_id, "tenant_id": UUID(int=0), "version": 0, "limit": BATCH}
    tick(0, total)
    while rows := platform.fetch(_READ, at):
        for row in rows:
            place = data_key_place(row["tenant_id"], row["version"])
            try:
                key = ring.unwrap(row["master_key_id"], bytes(row["wrapped"]), place)
            except SealBroken:
                log.warning("key.unreadable", tenant_id=str(row["tenant_id"]), master_key_id=row["master_key_id"])
                unreadable += 1
                continue
            master_key_id, wrapped = ring.wrap(key, place)
            new = {**row, "master_key_id": master_key_id, "wrapped": wrapped, "old": row["wrapped"]}
            written += len(platform.fetch(_WRITE, new))
        done += len(rows)
        at |= {"tenant_id": rows[-1]["tenant_id"], "version": rows[-1]["version"]}
        tick(done, max(done, total))
    return Rewrapped(written, unreadable)


def uses(platform: Database, ring: MasterRing) -> list[MasterKeyUse]:
    """Every master key that is known, with what still stands under it: those of the ring first, in its order."""
    origin = None if ring.kept_origin else next(key_id for key_id, key in ring.keys if key == ring.origin)
    found = {row["id"]: row for row in platform.fetch(_IN_USE, {"ids": list(ring.ids)}, operator_scope())}
    return [
        MasterKeyUse(
            id=key_id,
            active=key_id == ring.active_id,
            in_ring=key_id in ring.ids,
            origin=key_id == origin,
            data_keys=row["data_keys"],
            signing_keys=row["signing_keys"],
            second_factors=row["second_factors"],
            archives=row["archives"],
            retired_at=row["retired_at"],
            removable=key_id not in {ring.active_id, origin} and row["rested"] and not any(map(row.get, _COUNTED)),
        )
        for key_id in (*ring.ids, *sorted(found.keys() - set(ring.ids)))
        for row in [found[key_id]]
    ]
