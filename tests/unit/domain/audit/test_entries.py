"""What an entry may keep: plain JSON without secrets, never too much."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.audit.entries import LARGEST, REDACTED, changed, presentable
from domain.ids import new_id


@pytest.mark.parametrize(
    "name",
    ["password", "new_password", "Secret", "client_secret", "api_key", "private_key", "refresh_token", "dsn", "dsn_sealed",
     "secret_hash", "authorization", "credentials", "payload"],
)  # fmt: skip
def test_what_is_named_like_a_secret_is_redacted_wherever_it_stands(name: str) -> None:
    assert presentable({name: "x", "inner": [{name: "x"}]}) == {name: REDACTED, "inner": [{name: REDACTED}]}
    assert presentable({name: None}) == {name: None}


@pytest.mark.parametrize("name", ["name", "scopes", "key_replaced", "unique_key", "permissions", "monkey", "address"])
def test_other_names_are_kept(name: str) -> None:
    assert presentable({name: "x"}) == {name: "x"}


def test_values_become_plain_json() -> None:
    user_id, moment = new_id(), datetime(2026, 11, 21, tzinfo=UTC)
    values: dict[str, Any] = {"id": user_id, "at": moment, "of": {"b", "a"}, "raw": b"\0", "text": "a\0b", "n": 1.5}
    shown = presentable(values)
    assert shown == {
        "id": str(user_id), "at": moment.isoformat(), "of": ["a", "b"], "raw": REDACTED, "text": "a�b", "n": 1.5,
    }  # fmt: skip
    assert json.loads(json.dumps(shown)) == shown


def test_too_much_is_left_out() -> None:
    assert presentable({"text": "x" * LARGEST}) == {"truncated": True, "names": ["text"]}
    assert presentable(None) is None


def test_only_what_changed_is_kept() -> None:
    assert changed({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 4, "d": 5}) == ({"b": 2, "c": 3}, {"b": 4, "d": 5})
    assert changed({"a": 1}, {"a": 1}) == ({}, {})
