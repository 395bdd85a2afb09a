"""The chain of hashes: what a change of anything does to it."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.audit.chain import START, Link, Sealed, canonical, check, seal
from domain.audit.entries import Entry
from domain.ids import new_id

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def an_entry(**values: Any) -> Entry:
    return Entry(**{
        "tenant_id": new_id(), "id": new_id(), "occurred_at": datetime(2026, 11, 21, 6, 20, tzinfo=UTC), "actor": "user:1",
        "user_id": new_id(), "action": "role.updated", "resource": "role:1", "before": {"a": 1}, "after": {"a": 2},
        "request_id": "r", "address": "192.0.2.7", **values,
    })  # fmt: skip


def a_chain(count: int = 5) -> list[Sealed]:
    entries = [an_entry(resource=f"role:{number}") for number in range(count)]
    return [Sealed(link, entry.id, entry) for entry, link in seal(START, entries)]


def codes(chain: list[Sealed], start: Link = START) -> list[tuple[str, int | None]]:
    return [(fault.code, fault.sequence) for fault in check(start, chain)]


def test_an_untouched_chain_has_no_faults_from_anywhere() -> None:
    chain = a_chain()
    assert codes(chain) == []
    for place in range(1, 5):
        assert codes(chain[place:], chain[place - 1].link) == []


@pytest.mark.parametrize("name", [field.name for field in fields(Entry)])
def test_a_change_of_any_field_is_found_in_its_place_only(name: str) -> None:
    other = {"tenant_id": new_id(), "id": new_id(), "user_id": None, "before": None, "after": {"a": "2"},
             "occurred_at": datetime(2026, 11, 21, 6, 20, 0, 1, tzinfo=UTC)}  # fmt: skip
    chain = a_chain()
    entry = chain[2].entry
    assert entry is not None
    chain[2] = replace(chain[2], entry=replace(entry, **{name: other.get(name, "other")}))
    assert codes(chain) == [("altered", 3)]


@given(st.integers(0, 6), st.integers(1, 3))
def test_whatever_is_removed_is_missed(place: int, count: int) -> None:
    chain = a_chain(10)
    del chain[place : place + count]
    assert codes(chain) == [("missing_seal", place + 1)]


@given(st.permutations(range(5)))
def test_any_other_order_of_entries_is_found(order: list[int]) -> None:
    chain = a_chain()
    mixed = [
        Sealed(chain[place].link, chain[number].entry_id, chain[number].entry) for place, number in enumerate(order)
    ]
    assert (codes(mixed) == []) == (list(order) == [0, 1, 2, 3, 4])


def test_an_entry_that_is_gone_is_named() -> None:
    chain = a_chain()
    chain[1] = replace(chain[1], entry=None)
    assert codes(chain) == [("missing_entry", 2)]


@given(JSON, JSON)
def test_two_values_have_one_form_only_if_they_are_one(first: Any, second: Any) -> None:
    entry = an_entry(before={"v": first})
    same = canonical(entry, 1) == canonical(replace(entry, before={"v": second}), 1)
    assert same == (repr(_ordered(first)) == repr(_ordered(second)))


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _ordered(value[name]) for name in sorted(value)}
    return [_ordered(each) for each in value] if isinstance(value, list) else value


def test_a_moment_has_one_form_in_every_zone() -> None:
    entry = an_entry()
    elsewhere = entry.occurred_at.astimezone(timezone(timedelta(hours=9)))
    assert canonical(replace(entry, occurred_at=elsewhere), 1) == canonical(entry, 1)
    assert canonical(entry, 1) != canonical(entry, 2)
