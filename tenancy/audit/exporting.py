"""A chain, written into a file that is verified without the platform."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, LiteralString
from uuid import UUID

from domain.audit.chain import START, Link
from domain.audit.files import entry_line, head_line
from tenancy.audit.reading import chain_scope
from tenancy.audit.rows import COLUMNS, entry_of
from tenancy.database import Database

PREFIX = ".audit/"
"""Where exports stand in a bucket; no archive holds them."""

PIECE = 1000

# Pruning takes entries from the front, so the anchor comes in the same statement as what follows it.
_LINKS: LiteralString = f"""
SELECT {COLUMNS}, s.sequence, s.hash, a.sequence AS anchor_sequence, a.hash AS anchor_hash
  FROM audit_seals s
  JOIN audit_entries e ON e.tenant_id = s.tenant_id AND e.id = s.entry_id
  LEFT JOIN audit_anchors a ON a.tenant_id = s.tenant_id
 WHERE s.tenant_id = %(tenant_id)s AND s.sequence > %(after)s
 ORDER BY s.sequence LIMIT %(limit)s
"""
_WAITING: LiteralString = "SELECT count(*) AS waiting FROM audit_unsealed WHERE tenant_id = %(tenant_id)s"


@dataclass(frozen=True, slots=True)
class Written:
    """What a file holds: so many entries after `first`, the last of them at `last`."""

    entries: int
    first: Link
    last: Link


def key_of(export_id: UUID) -> str:
    """The export's key in the bucket."""
    return f"{PREFIX}{export_id}.ndjson"


def waiting(platform: Database, tenant_id: UUID) -> int:
    """How many entries wait to be sealed, which takes a second."""
    found: int = platform.fetch(_WAITING, {"tenant_id": tenant_id}, chain_scope(tenant_id))[0]["waiting"]
    return found


def write(platform: Database, tenant_id: UUID, file: IO[bytes], tick: Callable[[int], None]) -> Written:
    """Write what is sealed of the chain, the oldest first; `tick` is told how many entries are written, and may raise."""
    first = last = START
    entries = 0
    while True:
        at = {"tenant_id": tenant_id, "after": last.sequence, "limit": PIECE}
        rows = platform.fetch(_LINKS, at, chain_scope(tenant_id))
        if entries == 0:
            if rows and rows[0]["anchor_sequence"] is not None:
                first = last = Link(rows[0]["anchor_sequence"], bytes(rows[0]["anchor_hash"]))
            file.write(head_line(tenant_id, first).encode())
        for row in rows:
            last = Link(row["sequence"], bytes(row["hash"]))
            file.write(entry_line(entry_of(row), last).encode())
        entries += len(rows)
        tick(entries)
        if len(rows) < PIECE:
            return Written(entries, first, last)
