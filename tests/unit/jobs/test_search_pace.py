"""Which sources are asked first."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from domain.ids import new_id
from domain.search.answer import SourceAnswer
from jobs import search_pace
from jobs.search_pace import Pace


def answer(source: str, took_ms: int) -> SourceAnswer:
    return SourceAnswer(source, "ok", took_ms, (), None, datetime.now(UTC), ())


def test_who_took_longest_last_time_is_asked_first_and_strangers_last_in_their_order() -> None:
    pace, tenant = Pace(), new_id()
    pace.note(tenant, [answer("quick", 20), answer("slow", 200), answer("middling", 80)])
    asked = ["new", "quick", "slow", "newer", "middling"]
    assert pace.slowest_first(tenant, asked) == ["slow", "middling", "quick", "new", "newer"]
    pace.note(tenant, [answer("slow", 1)])
    assert pace.slowest_first(tenant, asked) == ["middling", "quick", "slow", "new", "newer"]
    assert pace.slowest_first(new_id(), asked) == asked, "another tenant's sources are other sources"


def test_it_does_not_remember_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_pace, "KEPT", 2)
    pace, tenant = Pace(), new_id()
    for name in ("a", "b", "c"):
        pace.note(tenant, [answer(name, 5)])
    assert pace.slowest_first(tenant, ["x", "a", "c"]) == ["c", "x", "a"]
