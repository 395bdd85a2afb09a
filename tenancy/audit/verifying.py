"""Holding a chain to its hashes, a piece at a time: what was altered, removed or put elsewhere is named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

from domain.audit.chain import START, UNKNOWN, Fault, Link, Sealed, check
from tenancy.audit.reading import chain_scope
from tenancy.audit.rows import COLUMNS, entry_of
from tenancy.database import Database, Row

PIECE = 1_000
MOST_FAULTS = 100

_ANCHOR: LiteralString = "SELECT sequence, hash FROM audit_anchors WHERE tenant_id = %(tenant_id)s"

# The anchor comes in the same statement, because pruning may move it between two.
_LINKS: LiteralString = f"""
SELECT {COLUMNS}, s.sequence, s.hash, s.entry_id, a.sequence AS anchor_sequence, a.hash AS anchor_hash
  FROM audit_seals s
  LEFT JOIN audit_entries e ON e.tenant_id = s.tenant_id AND e.id = s.entry_id
  LEFT JOIN audit_anchors a ON a.tenant_id = s.tenant_id
 WHERE s.tenant_id = %(tenant_id)s AND s.sequence >= %(after)s
 ORDER BY s.sequence LIMIT %(limit)s
"""

_WAITING: LiteralString = "SELECT count(*) AS waiting FROM audit_unsealed WHERE tenant_id = %(tenant_id)s"

_LOOSE: LiteralString = """
SELECT e.id AS entry_id, 'never_sealed' AS code FROM audit_entries e
 WHERE e.tenant_id = %(tenant_id)s
   AND NOT EXISTS (SELECT FROM audit_seals s WHERE s.tenant_id = e.tenant_id AND s.entry_id = e.id)
   AND NOT EXISTS (SELECT FROM audit_unsealed u WHERE u.tenant_id = e.tenant_id AND u.entry_id = e.id)
 UNION ALL
SELECT u.entry_id, 'removed_unsealed' FROM audit_unsealed u
 WHERE u.tenant_id = %(tenant_id)s
   AND NOT EXISTS (SELECT FROM audit_entries e WHERE e.tenant_id = u.tenant_id AND e.id = u.entry_id)
 LIMIT 20
"""

_DETAILS = {
    "never_sealed": "The entry has no place in the chain, and does not wait for one.",
    "removed_unsealed": "The entry was removed before it was sealed.",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a piece of a chain was found to be. `next` is the `after` of the next piece, None at the end of the chain."""

    checked: int
    first: Link
    last: Link
    waiting: int
    faults: tuple[Fault, ...]
    next: int | None


def verify(
    platform: Database, tenant_id: UUID, *, after: int = 0, limit: int = PIECE, known: Link | None = None
) -> Verdict:
    """Check up to `limit` links after the number `after`; at the end also that nothing stands outside of the chain.

    `known` is a link that somebody noted elsewhere: a chain that was rewritten whole, or cut off, does not hold it.
    """
    where = {"tenant_id": tenant_id, "after": after, "limit": limit + 1}
    statements = [(_LINKS, where), (_ANCHOR, where), (_WAITING, where)]
    found, anchors, waiting = platform.fetch_many(statements, chain_scope(tenant_id))
    start, links = _start(found, anchors, after)
    links = links[:limit]
    faults = list(check(start, links))
    last = links[-1].link if links else start
    ends = len(found) <= limit
    if known is not None:
        faults += _holds(known, start, links, ends=ends)
    if ends:
        loose = platform.fetch(_LOOSE, where, chain_scope(tenant_id))
        faults += [Fault(row["code"], None, row["entry_id"], _DETAILS[row["code"]]) for row in loose]
    return Verdict(
        checked=len(links),
        first=start,
        last=last,
        waiting=waiting[0]["waiting"],
        faults=tuple(faults[:MOST_FAULTS]),
        next=None if ends else last.sequence,
    )


def _start(found: list[Row], anchors: list[Row], after: int) -> tuple[Link, list[Sealed]]:
    """Where the piece begins, and the links after that."""
    links = [_sealed(row) for row in found]
    if links and links[0].link.sequence == after:
        return links[0].link, links[1:]
    if found and found[0]["anchor_sequence"] is not None:
        anchor = Link(found[0]["anchor_sequence"], bytes(found[0]["anchor_hash"]))
    elif not found and anchors:
        anchor = Link(anchors[0]["sequence"], bytes(anchors[0]["hash"]))
    else:
        anchor = START
    return (anchor if anchor.sequence >= after else Link(after, UNKNOWN)), links


def _sealed(row: Row) -> Sealed:
    entry = None if row["id"] is None else entry_of(row)
    return Sealed(Link(row["sequence"], bytes(row["hash"])), row["entry_id"], entry)


def _holds(known: Link, start: Link, links: list[Sealed], *, ends: bool) -> list[Fault]:
    for link in (start, *(sealed.link for sealed in links)):
        if link.sequence == known.sequence and link.hash not in {known.hash, UNKNOWN}:
            return [Fault("rewritten", known.sequence, None, "The chain has another hash here than the one noted.")]
    last = links[-1].link if links else start
    if ends and last.sequence < known.sequence:
        return [Fault("cut_off", known.sequence, None, "The chain ends before the link that was noted.")]
    return []
