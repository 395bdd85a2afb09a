"""A chain of hashes over the entries of a tenant, so that whoever alters, removes or reorders one is found out.

The hash of an entry is SHA-256 over the hash before it (32 bytes) and the entry's canonical form with its place in the
chain. The first entry follows 32 zero bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC
from typing import Any
from uuid import UUID

from domain.audit.entries import Entry

GENESIS = bytes(32)
UNKNOWN = b""
"""In the place of a hash that is not there to be compared."""


@dataclass(frozen=True, slots=True)
class Link:
    """A place in a chain: the entry of this number, with its hash, was sealed there."""

    sequence: int
    hash: bytes


START = Link(0, GENESIS)
"""Where a chain begins of which nothing was pruned."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A link as it is stored, with the entry that it seals; None if that is gone."""

    link: Link
    entry_id: UUID
    entry: Entry | None


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that proves tampering, at a place in the chain, or outside of it (None)."""

    code: str
    sequence: int | None
    entry_id: UUID | None
    detail: str


def canonical(entry: Entry, sequence: int) -> bytes:
    """The entry in the one form that is hashed: a JSON array in UTF-8, names sorted, no spaces, times in UTC."""
    form: list[Any] = [
        str(entry.tenant_id), sequence, str(entry.id), entry.occurred_at.astimezone(UTC).isoformat(timespec="microseconds"),
        entry.actor, None if entry.user_id is None else str(entry.user_id), entry.action, entry.resource,
        entry.before, entry.after, entry.request_id, entry.address,
    ]  # fmt: skip
    return json.dumps(form, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(previous: bytes, entry: Entry, sequence: int) -> bytes:
    """The hash of the entry at this place."""
    return hashlib.sha256(previous + canonical(entry, sequence)).digest()


def seal(head: Link, entries: Iterable[Entry]) -> Iterator[tuple[Entry, Link]]:
    """The links that follow `head`, one for each entry in the order given."""
    for entry in entries:
        sequence = head.sequence + 1
        head = Link(sequence, digest(head.hash, entry, sequence))
        yield entry, head


def check(start: Link, chain: Iterable[Sealed]) -> Iterator[Fault]:
    """What is wrong with the links after `start`, in their order. One fault does not hide the next."""
    previous: Link = start
    for sealed in chain:
        link, follows = sealed.link, sealed.link.sequence == previous.sequence + 1
        if not follows:
            first, last = previous.sequence + 1, link.sequence - 1
            yield Fault("missing_seal", first, None, f"The chain has no entries {first} to {last}.")
        elif previous.hash == UNKNOWN:
            yield Fault("missing_seal", previous.sequence, None, f"The chain has no entry {previous.sequence}.")
        if sealed.entry is None:
            yield Fault("missing_entry", link.sequence, sealed.entry_id, "The sealed entry is gone.")
        elif follows and previous.hash != UNKNOWN and digest(previous.hash, sealed.entry, link.sequence) != link.hash:
            yield Fault("altered", link.sequence, sealed.entry_id, "The entry is not what was sealed in this place.")
        previous = link
