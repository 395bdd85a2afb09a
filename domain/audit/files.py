"""A chain in a file, newline-delimited JSON, to be verified where there is no platform.

The first line says whose chain it is and after which link it begins; each further one is an entry with its place and its hash,
in the chain's order. What is hashed is `chain.canonical`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from domain.audit.chain import Fault, Link, Sealed, check
from domain.audit.entries import Entry

FORMAT, VERSION = "nexus-audit", 1


class NoAuditFile(ValueError):
    """The file is none of ours, or is damaged so that it cannot be read; the text says where."""


@dataclass(slots=True)
class Reading:
    """What was read so far: how many entries, and the last link."""

    tenant_id: UUID
    first: Link
    last: Link
    checked: int = 0


def head_line(tenant_id: UUID, start: Link) -> str:
    """The first line."""
    return _line({"format": FORMAT, "version": VERSION, "tenant_id": str(tenant_id), "after": written(start)})


def entry_line(entry: Entry, link: Link) -> str:
    """The line of an entry."""
    return _line({
        "sequence": link.sequence, "hash": link.hash.hex(), "id": str(entry.id),
        "occurred_at": entry.occurred_at.astimezone(UTC).isoformat(timespec="microseconds"), "actor": entry.actor,
        "user_id": None if entry.user_id is None else str(entry.user_id), "action": entry.action,
        "resource": entry.resource, "before": entry.before, "after": entry.after, "request_id": entry.request_id,
        "address": entry.address,
    })  # fmt: skip


def begin(line: str) -> Reading:
    """Read the first line. Raises `NoAuditFile`."""
    told = _read(line, 1)
    if (told.get("format"), told.get("version")) != (FORMAT, VERSION):
        raise NoAuditFile("line 1: the file is no export of an audit that this version knows")
    try:
        start = parse_link(told["after"])
        return Reading(UUID(told["tenant_id"]), start, start)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise NoAuditFile("line 1: the beginning is damaged") from None


def verify(reading: Reading, lines: Iterable[str], known: Link | None = None) -> Iterator[Fault]:
    """What is wrong with the entries of the further lines. `known` is a link that somebody noted elsewhere.

    Raises `NoAuditFile` at a line that is no entry.
    """
    rewritten: list[Fault] = []

    def links() -> Iterator[Sealed]:
        for number, line in enumerate(lines, start=2):
            sealed = _sealed(reading.tenant_id, line, number)
            reading.last, reading.checked = sealed.link, reading.checked + 1
            if known is not None and sealed.link.sequence == known.sequence and sealed.link.hash != known.hash:
                rewritten.append(_rewritten(known.sequence))
            yield sealed

    if known is not None and reading.first.sequence == known.sequence and reading.first.hash != known.hash:
        rewritten.append(_rewritten(known.sequence))
    yield from check(reading.first, links())
    yield from rewritten
    if known is not None and reading.last.sequence < known.sequence:
        yield Fault("cut_off", known.sequence, None, "The file ends before the link that was noted.")


def written(link: Link) -> str:
    """A link as people note it: `sequence:hash`."""
    return f"{link.sequence}:{link.hash.hex()}"


def parse_link(text: str) -> Link:
    """Back from `written`. Raises `ValueError`."""
    sequence, _, digits = text.partition(":")
    link = Link(int(sequence), bytes.fromhex(digits))
    if link.sequence < 0 or len(link.hash) != 32:
        raise ValueError("no link")
    return link


def _rewritten(sequence: int) -> Fault:
    return Fault("rewritten", sequence, None, "The chain has another hash here than the one noted.")


def _sealed(tenant_id: UUID, line: str, number: int) -> Sealed:
    told = _read(line, number)
    try:
        link = parse_link(f"{told['sequence']}:{told['hash']}")
        entry = Entry(
            tenant_id=tenant_id, id=UUID(told["id"]), occurred_at=datetime.fromisoformat(told["occurred_at"]),
            actor=told["actor"], user_id=None if told["user_id"] is None else UUID(told["user_id"]),
            action=told["action"], resource=told["resource"], before=told["before"], after=told["after"],
            request_id=told["request_id"], address=told["address"],
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError):
        raise NoAuditFile(f"line {number}: no entry of an audit") from None
    return Sealed(link, entry.id, entry)


def _read(line: str, number: int) -> dict[str, Any]:
    try:
        told = json.loads(line)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise NoAuditFile(f"line {number}: no JSON object")
    return told


def _line(told: dict[str, Any]) -> str:
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n"
