"""Where billing periods begin and end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.billing.periods import Cadence, Period, boundary, period, zone_named
from domain.errors import InvalidPayload

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Pacific/Auckland",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
)


@st.composite
def cadences(draw: st.DrawFn) -> Cadence:
    zone = ZoneInfo(draw(st.sampled_from(ZONES)))
    first, last = datetime(2015, 1, 1), datetime(2040, 1, 1)  # noqa: DTZ001 - hypothesis adds the zone itself
    anchor = draw(st.datetimes(first, last, timezones=st.just(zone)))
    return Cadence(
        anchor.astimezone(UTC), draw(st.sampled_from(["day", "week", "month", "year"])), draw(st.integers(1, 24)), zone
    )


def test_the_anchors_day_comes_back_after_a_short_month() -> None:
    monthly = Cadence(datetime(2025, 1, 31, 12, tzinfo=UTC), "month", 1, ZoneInfo("UTC"))

    days = [(boundary(monthly, number).month, boundary(monthly, number).day) for number in range(5)]

    assert days == [(1, 31), (2, 28), (3, 31), (4, 30), (5, 31)]


def test_a_leap_days_anchor_comes_back_in_leap_years() -> None:
    yearly = Cadence(datetime(2024, 2, 29, tzinfo=UTC), "year", 1, ZoneInfo("UTC"))

    assert [boundary(yearly, number).day for number in (1, 2, 3, 4)] == [28, 28, 28, 29]


def test_midnight_stays_midnight_for_the_customer_across_summer_time() -> None:
    monthly = Cadence(datetime(2026, 3, 1, tzinfo=BERLIN), "month", 1, BERLIN)

    march = period(monthly, 0)

    assert march == Period(datetime(2026, 2, 28, 23, tzinfo=UTC), datetime(2026, 3, 31, 22, tzinfo=UTC))


def test_the_day_that_summer_time_shortens_has_23_hours() -> None:
    daily = Cadence(datetime(2026, 3, 28, tzinfo=BERLIN), "day", 1, BERLIN)

    lengths = [period(daily, number).end - period(daily, number).start for number in range(3)]

    assert lengths == [timedelta(hours=24), timedelta(hours=23), timedelta(hours=24)]


def test_a_time_that_summer_time_leaves_out_is_taken_an_hour_later() -> None:
    daily = Cadence(datetime(2026, 3, 7, 2, 30, tzinfo=NEW_YORK), "day", 1, NEW_YORK)

    assert boundary(daily, 1).astimezone(NEW_YORK).time().isoformat() == "03:30:00"
    assert boundary(daily, 2).astimezone(NEW_YORK).time().isoformat() == "02:30:00"


def test_of_a_time_that_happens_twice_the_first_is_taken() -> None:
    daily = Cadence(datetime(2026, 10, 31, 1, 30, tzinfo=NEW_YORK), "day", 1, NEW_YORK)

    assert boundary(daily, 1) == datetime(2026, 11, 1, 5, 30, tzinfo=UTC)


def test_an_anchor_in_the_second_of_two_hours_falls_in_the_first_another_year() -> None:
    weekly = Cadence(datetime(2026, 11, 1, 1, 30, tzinfo=NEW_YORK, fold=1), "week", 1, NEW_YORK)

    assert boundary(weekly, 0) == datetime(2026, 11, 1, 6, 30, tzinfo=UTC)
    assert boundary(weekly, 53) == datetime(2027, 11, 7, 5, 30, tzinfo=UTC)


def test_a_day_that_a_zone_left_out_has_no_length() -> None:
    apia = ZoneInfo("Pacific/Apia")
    daily = Cadence(datetime(2011, 12, 29, 12, tzinfo=apia), "day", 1, apia)

    skipped = period(daily, 1)

    assert skipped.start == skipped.end


@given(cadences(), st.integers(0, 60))
def test_each_period_begins_where_the_one_before_it_ends(cadence: Cadence, number: int) -> None:
    assert period(cadence, number).end == period(cadence, number + 1).start


@given(cadences(), st.integers(0, 60))
def test_every_period_has_a_length(cadence: Cadence, number: int) -> None:
    assert period(cadence, number).start < period(cadence, number).end


@given(cadences())
def test_the_first_period_begins_at_the_anchor(cadence: Cadence) -> None:
    assert period(cadence, 0).start == cadence.anchor_at


@given(cadences(), st.integers(0, 60))
def test_boundaries_are_in_utc(cadence: Cadence, number: int) -> None:
    assert boundary(cadence, number).tzinfo is UTC


@given(cadences(), st.integers(1, 60))
def test_a_boundary_falls_on_the_anchors_day_or_the_months_last(cadence: Cadence, number: int) -> None:
    if cadence.interval not in ("month", "year"):
        return
    anchor, local = (moment.astimezone(cadence.zone) for moment in (cadence.anchor_at, boundary(cadence, number)))

    assert local.day == anchor.day or (local.day < anchor.day and (local + timedelta(days=1)).day == 1)


@pytest.mark.parametrize(
    "name", ["", "Nope/Zone", "../etc/passwd", "America", "x\0y", "/etc/localtime", "Europe/Berlin "]
)
def test_a_name_that_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(InvalidPayload) as raised:
        zone_named(name)

    assert raised.value.errors[0].pointer == "/timezone"


def test_an_unknown_interval_is_refused() -> None:
    with pytest.raises(ValueError, match="fortnight"):
        boundary(Cadence(datetime(2026, 1, 1, tzinfo=UTC), "fortnight", 1, BERLIN), 1)
