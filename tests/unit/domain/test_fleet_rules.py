"""How a wave spreads and when it stops; what counts as drift."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.fleet.drift import differences
from domain.fleet.stages import MOST_UNREACHABLE, Failure, Stage, stage_at, stages, stops

AWAY, BROKEN = Failure("unreachable", "x", away=True), Failure("migration_failed", "x")


def test_a_wave_goes_from_a_canary_over_cohorts_to_the_rest() -> None:
    assert [(each.name, each.until) for each in stages(1000, 0)] == [
        ("canary", 1), ("cohort 1", 100), ("cohort 2", 400), ("rest", 1000),
    ]  # fmt: skip
    assert [each.until for each in stages(1, 0)] == [1, 1, 1, 1]
    assert [each.until for each in stages(3, 5)] == [3, 3, 3, 3]


@given(st.integers(1, 5000), st.integers(0, 30))
def test_every_database_is_in_exactly_one_stage_and_stages_only_go_on(databases: int, canaries: int) -> None:
    found = [stage_at(databases, canaries, done) for done in range(min(databases, 300))]
    assert found[0].name == "canary"
    untils = [stage.until for stage in found]
    assert untils == sorted(untils)
    assert all(done < stage.until for done, stage in enumerate(found))
    assert stages(databases, canaries)[-1].until == databases


@pytest.mark.parametrize("name", ["canary", "cohort 1", "cohort 2", "rest"])
def test_a_migration_that_fails_stops_a_wave_anywhere(name: str) -> None:
    assert stops(Stage(name, 10), BROKEN, 1)


def test_a_database_that_is_away_stops_a_wave_only_as_the_canary_or_as_one_of_many() -> None:
    assert stops(Stage("canary", 1), AWAY, 1)
    assert not stops(Stage("cohort 1", 10), AWAY, 1)
    assert not stops(Stage("rest", 1000), AWAY, MOST_UNREACHABLE)
    assert stops(Stage("rest", 1000), AWAY, MOST_UNREACHABLE + 1)


def test_what_is_missing_extra_or_changed_is_told_and_parts_of_a_whole_table_are_not() -> None:
    expected = {("table", "a"): "r", ("column", "a.x"): "text", ("table", "b"): "r", ("column", "b.y"): "text"}
    actual = {
        ("table", "a"): "r",
        ("column", "a.x"): "integer",
        ("column", "a.z"): "text",
        ("table", "c"): "r",
        ("column", "c.q"): "x",
    }
    told = [(each.part, each.name, each.what) for each in differences(expected, actual)]
    assert told == [
        ("column", "a.x", "changed"), ("column", "a.z", "extra"), ("table", "b", "missing"), ("table", "c", "extra"),
    ]  # fmt: skip
    assert differences(expected, expected) == []
