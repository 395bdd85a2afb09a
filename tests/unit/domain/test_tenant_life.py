"""Which backups are kept, what a copy's ids are, what settings fall back to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from domain.ids import new_id
from domain.tenants.copies import copied_id
from domain.tenants.preferences import Preferences, preferences_of
from domain.tenants.retention import Keep, kept

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_daily_backups_of_ten_years_leave_thirty_days_twelve_months_and_seven_years() -> None:
    made = {day: NOON - timedelta(days=day) for day in range(3650)}
    left = {made[day] for day in kept(made)}
    assert len([moment for moment in left if moment > NOON - timedelta(days=30)]) == 30
    assert {(moment.year, moment.month) for moment in left} >= {(2026, month) for month in range(1, 12)}
    assert sorted({moment.year for moment in left}) == list(range(2020, 2027))
    assert len(left) == 30 + 10 + 5


def test_a_tenant_that_rested_keeps_what_it_has() -> None:
    made = {number: NOON - timedelta(days=400 + number) for number in range(3)}
    assert kept(made) == {0, 1, 2}


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # machines may be busy
@given(some.lists(some.integers(0, 5000), unique=True, max_size=60))
def test_the_newest_backup_is_always_kept_and_keeping_twice_changes_nothing(days: list[int]) -> None:
    made = {day: NOON - timedelta(days=day) for day in days}
    left = kept(made, Keep(3, 2, 1))
    assert not days or min(days) in left
    assert kept({day: made[day] for day in left}, Keep(3, 2, 1)) == left


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # machines may be busy
@given(some.lists(some.integers(0, 40_000), unique=True, max_size=80))
def test_pruning_after_every_backup_leaves_what_pruning_once_would(hours: list[int]) -> None:
    made = {hour: NOON - timedelta(hours=hour) for hour in hours}
    rule, left = Keep(4, 3, 2), dict[int, datetime]()
    for hour in sorted(made, reverse=True):
        left[hour] = made[hour]
        left = {each: left[each] for each in kept(left, rule)}
    assert set(left) == kept(made, rule)
    assert len(left) <= 4 + 3 + 2


def test_a_copy_has_ids_of_its_own_that_keep_their_time() -> None:
    original, one, other = new_id(), new_id(), new_id()
    made = copied_id(original, one)
    assert made == copied_id(original, one)
    assert len({original, made, copied_id(original, other)}) == 3
    assert (made.version, made.variant, made.int >> 80) == (7, UUID(int=original.int).variant, original.int >> 80)


def test_settings_that_are_missing_or_unknown_do_no_harm() -> None:
    assert preferences_of({"locale": "de", "of_the_future": 1}) == Preferences(locale="de")
