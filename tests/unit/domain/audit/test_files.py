"""A chain in a file: whatever is altered, removed or put elsewhere is named, and what is no chain is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from domain.audit.chain import START, Link, seal
from domain.audit.entries import Entry
from domain.audit.files import NoAuditFile, begin, entry_line, head_line, verify, written
from domain.ids import new_id

TENANT = new_id()


def entry(number: int) -> Entry:
    return Entry(
        tenant_id=TENANT, id=UUID(int=number + 1), occurred_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=number),
        actor="user:x", user_id=new_id(), action="thing.updated", resource=f"thing:{number}",
        before={"n": number, "ünï": None}, after={"n": number + 0.1, "list": [1, "a"]}, request_id=None, address="192.0.2.1",
    )  # fmt: skip


@pytest.fixture
def lines() -> list[str]:
    """A file of ten entries."""
    links = list(seal(START, [entry(number) for number in range(10)]))
    return [head_line(TENANT, START), *(entry_line(each, link) for each, link in links)]


def faults(lines: list[str], known: Link | None = None) -> list[tuple[str, int | None]]:
    reading = begin(lines[0])
    return [(fault.code, fault.sequence) for fault in verify(reading, lines[1:], known)]


def altered(line: str, **values: object) -> str:
    return json.dumps({**json.loads(line), **values}) + "\n"


def test_what_was_written_holds(lines: list[str]) -> None:
    reading = begin(lines[0])
    assert list(verify(reading, lines[1:])) == []
    assert (reading.checked, reading.last.sequence, reading.tenant_id) == (10, 10, TENANT)


def test_a_file_may_begin_after_what_was_pruned(lines: list[str]) -> None:
    third = json.loads(lines[3])
    start = Link(3, bytes.fromhex(third["hash"]))
    assert faults([head_line(TENANT, start), *lines[4:]]) == []


@pytest.mark.parametrize("change", [{"actor": "user:y"}, {"after": None}, {"occurred_at": "2026-01-01T00:00:00+00:00"},
                                    {"address": None}, {"resource": "thing:other"}])  # fmt: skip
def test_an_altered_entry_is_named(lines: list[str], change: dict[str, object]) -> None:
    lines[5] = altered(lines[5], **change)
    assert faults(lines) == [("altered", 5)]


def test_a_removed_entry_is_named(lines: list[str]) -> None:
    del lines[4]
    assert faults(lines) == [("missing_seal", 4)]


def test_entries_that_changed_places_are_named(lines: list[str]) -> None:
    lines[4], lines[5] = lines[5], lines[4]
    assert faults(lines)


def test_another_tenants_name_on_it_is_found(lines: list[str]) -> None:
    lines[0] = head_line(new_id(), START)
    assert faults(lines) == [("altered", number) for number in range(1, 11)]


def test_who_noted_the_head_finds_a_chain_that_was_rewritten_or_cut_off(lines: list[str]) -> None:
    last = json.loads(lines[-1])
    noted = Link(10, bytes.fromhex(last["hash"]))
    assert faults(lines, noted) == []
    assert faults(lines[:-1], noted) == [("cut_off", 10)]
    assert faults(lines, Link(10, bytes(32))) == [("rewritten", 10)]
    assert written(noted) == f"10:{last['hash']}"


@pytest.mark.parametrize("first", ["", "[]\n", "{}\n", '{"format":"other","version":1}\n', "\x00",
                                   '{"format":"nexus-audit","version":1,"tenant_id":"x","after":"0:00"}\n'])  # fmt: skip
def test_a_file_that_is_no_export_is_refused(first: str) -> None:
    with pytest.raises(NoAuditFile):
        begin(first)


@pytest.mark.parametrize("line", ["{}\n", "no json\n", '{"sequence":1,"hash":"zz"}\n', "\n"])
def test_a_line_that_is_no_entry_is_refused(lines: list[str], line: str) -> None:
    lines[3] = line
    with pytest.raises(NoAuditFile, match="line 4"):
        faults(lines)
