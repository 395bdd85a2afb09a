"""Giving entries their places in the chains, and letting go of what is past its time. The leader does both.

Two leaders at once do no harm: a place in a chain is taken once, by a primary key, and the other's transaction fails
whole. What a crash left unsealed waits, and the next round seals it.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import Any, LiteralString
from uuid import UUID

import psycopg
import structlog

from domain.audit.chain import START, Link, seal
from domain.audit.entries import Entry
from tenancy.audit.rows import COLUMNS, entry_of
from tenancy.database import Database, Row

BATCH = 500
"""Entries that one round seals at most."""

_WAITING: LiteralString = f"""
SELECT {COLUMNS}, coalesce(head.sequence, anchor.sequence) AS head_sequence, coalesce(head.hash, anchor.hash) AS head_hash
  FROM (SELECT tenant_id, entry_id FROM audit_unsealed ORDER BY entry_id LIMIT %(batch)s) u
  JOIN audit_entries e ON e.tenant_id = u.tenant_id AND e.id = u.entry_id
  LEFT JOIN LATERAL (SELECT s.sequence, s.hash FROM audit_seals s WHERE s.tenant_id = u.tenant_id
                      ORDER BY s.sequence DESC LIMIT 1) head ON true
  LEFT JOIN audit_anchors anchor ON anchor.tenant_id = u.tenant_id
 ORDER BY u.entry_id
"""

_SEAL: LiteralString = """
WITH sealed AS (
    SELECT * FROM unnest(%(tenants)s::uuid[], %(sequences)s::bigint[], %(entries)s::uuid[], %(hashes)s::bytea[])
        AS s (tenant_id, sequence, entry_id, hash)
), done AS (
    DELETE FROM audit_unsealed u USING sealed s WHERE u.tenant_id = s.tenant_id AND u.entry_id = s.entry_id
)
INSERT INTO audit_seals (tenant_id, sequence, entry_id, hash) SELECT * FROM sealed
"""

_PRUNE: LiteralString = "SELECT chain, pruned FROM prune_audit(%(keep)s, %(most)s)"

log = structlog.get_logger(__name__)


def seal_waiting(platform: Database, batch: int = BATCH) -> int:
    """Seal the oldest entries that wait; returns how many. Says the new heads in the log, which is their witness."""
    rows = platform.fetch(_WAITING, {"batch": batch})
    if not rows:
        return 0
    sealed = [pair for chain in _by_chain(rows) for pair in chain]
    parameters: dict[str, Any] = {
        "tenants": [entry.tenant_id for entry, _ in sealed],
        "sequences": [link.sequence for _, link in sealed],
        "entries": [entry.id for entry, _ in sealed],
        "hashes": [link.hash for _, link in sealed],
    }
    try:
        platform.fetch(_SEAL, parameters)
    except psycopg.errors.UniqueViolation:
        log.info("audit.sealed_by_another")
        return 0
    heads = {str(entry.tenant_id): f"{link.sequence}:{link.hash.hex()}" for entry, link in sealed}
    log.info("audit.sealed", entries=len(sealed), heads=heads)
    return len(sealed)


def prune(platform: Database, keep: timedelta, most: int = 10_000) -> int:
    """Remove entries that were sealed longer ago than `keep`, the oldest first, `most` of a chain; returns how many."""
    pruned = {str(row["chain"]): row["pruned"] for row in platform.fetch(_PRUNE, {"keep": keep, "most": most})}
    if pruned:
        log.info("audit.pruned", entries=pruned)
    return sum(pruned.values())


def _by_chain(rows: list[Row]) -> list[list[tuple[Entry, Link]]]:
    waiting: dict[UUID, list[Entry]] = defaultdict(list)
    heads: dict[UUID, Link] = {}
    for row in rows:
        entry = entry_of(row)
        waiting[entry.tenant_id].append(entry)
        head = row["head_sequence"]
        heads[entry.tenant_id] = START if head is None else Link(head, bytes(row["head_hash"]))
    return [list(seal(heads[tenant_id], entries)) for tenant_id, entries in waiting.items()]
