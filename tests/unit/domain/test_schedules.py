"""Cron expressions: what is legal, when they fire, across changes of summer time, and after an outage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import InvalidPayload
from domain.schedules.cron import NAMED, Cron, parse
from domain.schedules.firings import latest, next_after, upcoming
from domain.schedules.missed import GRACE, Missed, due

BERLIN, NEW_YORK, LORD_HOWE = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), ZoneInfo("Australia/Lord_Howe")
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
CHANGES = [
    (BERLIN, datetime(2026, 3, 29, 1, tzinfo=UTC)),
    (BERLIN, datetime(2026, 10, 25, 1, tzinfo=UTC)),
    (NEW_YORK, datetime(2026, 3, 8, 7, tzinfo=UTC)),
    (NEW_YORK, datetime(2026, 11, 1, 6, tzinfo=UTC)),
    (LORD_HOWE, datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
    (LORD_HOWE, datetime(2026, 4, 4, 15, tzinfo=UTC)),
    (ZoneInfo("Asia/Beirut"), datetime(2026, 3, 28, 22, tzinfo=UTC)),
    (ZoneInfo("Asia/Beirut"), datetime(2026, 10, 24, 21, tzinfo=UTC)),
    (ZoneInfo("Pacific/Apia"), datetime(2011, 12, 30, 10, tzinfo=UTC)),
    (ZoneInfo("Asia/Kathmandu"), datetime(2026, 5, 1, tzinfo=UTC)),
]
"""Zones with a change of their clock: by an hour, by half an hour, at midnight, by a whole day; and one without."""


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def items(first: int, last: int) -> st.SearchStrategy[str]:
    number = st.integers(first, last)
    pair = st.tuples(number, number).map(sorted)
    return st.one_of(
        number.map(str),
        pair.map(lambda two: f"{two[0]}-{two[1]}"),
        st.tuples(pair, st.integers(1, 99)).map(lambda found: f"{found[0][0]}-{found[0][1]}/{found[1]}"),
        st.integers(1, 99).map(lambda step: f"*/{step}"),
    )


def fields(first: int, last: int) -> st.SearchStrategy[str]:
    return st.one_of(st.just("*"), st.lists(items(first, last), min_size=1, max_size=3).map(",".join))


@st.composite
def expressions(draw: st.DrawFn) -> Cron:
    """Any legal expression; a date that no year has is drawn again."""
    parts = [draw(fields(*bounds)) for bounds in ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))]
    try:
        return parse(" ".join(parts))
    except InvalidPayload as error:
        if [fault.code for fault in error.errors] != ["never_fires"]:
            raise
        parts[2] = "*"
        return parse(" ".join(parts))


moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
zones = st.sampled_from([zone for zone, _ in CHANGES] + [ZoneInfo("UTC"), ZoneInfo("America/St_Johns")])


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("", "invalid_cron", "0 fields"),
        ("* * * *", "invalid_cron", "4 fields"),
        ("0 * * * * *", "invalid_cron", "6 fields"),
        ("60 * * * *", "invalid_cron", "minute 60 is not in 0 to 59"),
        ("* 24 * * *", "invalid_cron", "hour 24 is not in 0 to 23"),
        ("* * 0 * *", "invalid_cron", "day of the month 0"),
        ("* * * 13 *", "invalid_cron", "month 13"),
        ("* * * * 8", "invalid_cron", "day of the week 8"),
        ("5/15 * * * *", "invalid_cron", "write 5-59/15"),
        ("*/0 * * * *", "invalid_cron", "step of 0"),
        ("*-5 * * * *", "invalid_cron", "cannot be '*-5'"),
        ("30-10 * * * *", "invalid_cron", "ends before it begins"),
        ("1,,2 * * * *", "invalid_cron", "cannot be ''"),
        ("٣ * * * *", "invalid_cron", "cannot be"),
        ("0 0 L * *", "invalid_cron", "cannot be 'L'"),
        ("0 0 * * MON#2", "invalid_cron", "cannot be"),
        ("0 0 ? * *", "invalid_cron", "cannot be '?'"),
        ("0 0 * mon *", "invalid_cron", "month cannot be 'mon'"),
        ("@reboot", "invalid_cron", "'@reboot' is none of"),
        ("0 " * 200, "invalid_cron", "200 characters"),
        ("0 0 30 2 *", "never_fires", "No year"),
        ("0 0 31 4,6,9,11 *", "never_fires", "No year"),
    ],
)
def test_an_illegal_expression_is_refused_with_its_fault(text: str, code: str, says: str) -> None:
    with pytest.raises(InvalidPayload, match=r"cron expression is invalid") as caught:
        parse(text)
    (fault,) = caught.value.errors
    assert (fault.pointer, fault.code) == ("/cron", code)
    assert says in fault.detail


@pytest.mark.parametrize("name", NAMED)
def test_a_named_expression_means_its_five_fields(name: str) -> None:
    assert parse(name.upper()) == parse(NAMED[name])


@pytest.mark.parametrize(
    ("text", "after", "expected"),
    [
        ("*/15 * * * *", "2026-11-21T10:00:00", "2026-11-21T10:15:00"),
        ("*/15 * * * *", "2026-11-21T10:14:59.999999", "2026-11-21T10:15:00"),
        ("0 9 * * MON-FRI", "2026-11-20T09:00:00", "2026-11-23T09:00:00"),
        ("0 0 * * 7", "2026-11-21T00:00:00", "2026-11-22T00:00:00"),
        ("0 0 * * sun", "2026-11-21T00:00:00", "2026-11-22T00:00:00"),
        ("0 0 1 jan *", "2026-11-21T00:00:00", "2027-01-01T00:00:00"),
        ("0 0 29 2 *", "2096-02-29T00:00:00", "2104-02-29T00:00:00"),
        ("0 0 13 * 5", "2026-11-21T00:00:00", "2026-11-27T00:00:00"),
        ("0 0 */9 * 5", "2026-11-21T00:00:00", "2027-01-01T00:00:00"),
        ("0 0 29 2 */7", "2026-01-01T00:00:00", "2032-02-29T00:00:00"),
        ("10-50/20 8,20 * * *", "2026-11-21T08:30:00", "2026-11-21T08:50:00"),
    ],
)
def test_an_expression_fires_next(text: str, after: str, expected: str) -> None:
    assert next_after(parse(text), ZoneInfo("UTC"), utc(after)) == utc(expected)


def test_a_time_that_summer_time_leaves_out_fires_at_the_first_moment_after_the_gap() -> None:
    found = upcoming(parse("30 2 * * *"), BERLIN, utc("2026-03-28T00:00:00"), 3)
    assert [moment.astimezone(BERLIN).isoformat() for moment in found] == [
        "2026-03-28T02:30:00+01:00",
        "2026-03-29T03:00:00+02:00",
        "2026-03-30T02:30:00+02:00",
    ]


def test_several_times_in_one_gap_are_one_firing() -> None:
    found = upcoming(parse("0,20,40 2-3 * * *"), BERLIN, utc("2026-03-29T00:00:00"), 3)
    assert [moment.astimezone(BERLIN).strftime("%H:%M") for moment in found] == ["03:00", "03:20", "03:40"]


def test_a_time_that_comes_twice_fires_the_first_time() -> None:
    found = upcoming(parse("30 2 * * *"), BERLIN, utc("2026-10-24T12:00:00"), 2)
    assert [moment.astimezone(BERLIN).isoformat() for moment in found] == [
        "2026-10-25T02:30:00+02:00",
        "2026-10-26T02:30:00+01:00",
    ]


@pytest.mark.parametrize("change", ["2026-03-29", "2026-10-25"])
def test_a_rhythm_goes_on_through_changes_of_summer_time(change: str) -> None:
    found = upcoming(parse("*/20 * * * *"), BERLIN, utc(f"{change}T00:00:00"), 12)
    assert {later - earlier for earlier, later in pairwise(found)} == {timedelta(minutes=20)}


@settings(deadline=None)
@given(expressions(), zones, moments)
def test_firings_ascend_on_whole_minutes_and_nothing_lies_between(cron: Cron, zone: ZoneInfo, after: datetime) -> None:
    first, second = upcoming(cron, zone, after, 2)
    assert after < first < second
    assert (first.second, first.microsecond, first.tzinfo) == (0, 0, UTC)
    assert next_after(cron, zone, after + (first - after) / 2) == first
    assert next_after(cron, zone, first - timedelta(microseconds=1)) == first


@settings(deadline=None)
@given(expressions(), st.sampled_from(CHANGES), st.integers(-3000, 3000))
def test_what_fires_around_a_change_of_the_clock_is_what_a_minute_by_minute_walk_finds(
    cron: Cron, place: tuple[ZoneInfo, datetime], shift: int
) -> None:
    zone, change = place
    start = change + shift * MINUTE
    walked = walk(cron, zone, start - 50 * HOUR, start + 26 * HOUR)
    expected = [moment for moment in walked if start < moment <= start + 26 * HOUR]
    assert upcoming(cron, zone, start, len(expected)) == expected
    assert next_after(cron, zone, expected[-1] if expected else start) > start + 26 * HOUR


def walk(cron: Cron, zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    """Firings by their definition: watch the clock each minute, note what it shows, and what it left out."""
    fired, shown = set(), set()
    previous = start.astimezone(zone).replace(tzinfo=None)
    moment = start
    while moment <= end:
        wall = moment.astimezone(zone).replace(tzinfo=None)
        passed = [previous + step * MINUTE for step in range(1, (wall - previous) // MINUTE)]
        for time, left_out in [*((each, True) for each in passed), (wall, False)]:
            fits = time.minute in cron.minutes and time.hour in cron.hours and cron.allows(time.date())
            if fits and (not left_out if cron.every_hour else time not in shown):
                fired.add(moment)
            shown.add(time)
        previous = wall
        moment += MINUTE
    return sorted(fired)


@settings(deadline=None)
@given(expressions(), zones, moments, st.timedeltas(timedelta(0), timedelta(days=3)))
def test_the_latest_firing_is_the_last_of_all(cron: Cron, zone: ZoneInfo, after: datetime, span: timedelta) -> None:
    known = next_after(cron, zone, after)
    now = known + span
    found = latest(cron, zone, known, now)
    assert known <= found <= now < next_after(cron, zone, found)


THREE_MISSED = (parse("0 * * * *"), ZoneInfo("UTC"))
OUTAGE = (utc("2026-11-21T10:00:00"), utc("2026-11-21T12:20:00"))
"""The earliest unfired period and the end of an outage that cost three."""


@pytest.mark.parametrize(
    ("missed", "fired"),
    [(Missed.SKIP, []), (Missed.LAST, ["12:00"]), (Missed.ALL, ["10:00", "11:00", "12:00"])],
)
def test_after_an_outage_the_policy_decides_what_fires(missed: Missed, fired: list[str]) -> None:
    found = due(*THREE_MISSED, missed, *OUTAGE, 100)
    assert [period.strftime("%H:%M") for period in found.periods] == fired
    assert found.next_at == utc("2026-11-21T13:00:00")


@pytest.mark.parametrize("missed", Missed)
@pytest.mark.parametrize("late", [timedelta(0), GRACE - timedelta(microseconds=1)])
def test_what_is_only_late_fires_under_every_policy(missed: Missed, late: timedelta) -> None:
    found = due(*THREE_MISSED, missed, OUTAGE[0], OUTAGE[0] + late, 100)
    assert found.periods == (OUTAGE[0],)
    assert found.next_at == OUTAGE[0] + HOUR


def test_skipping_still_fires_the_period_whose_time_is_now() -> None:
    found = due(*THREE_MISSED, Missed.SKIP, OUTAGE[0], OUTAGE[0] + 2 * HOUR, 100)
    assert found.periods == (OUTAGE[0] + 2 * HOUR,)


def test_catching_up_with_all_goes_on_in_the_next_round() -> None:
    first = due(*THREE_MISSED, Missed.ALL, *OUTAGE, 2)
    second = due(*THREE_MISSED, Missed.ALL, first.next_at, OUTAGE[1], 2)
    assert first.periods + second.periods == tuple(OUTAGE[0] + number * HOUR for number in range(3))
    assert second.next_at == OUTAGE[0] + 3 * HOUR


@settings(deadline=None)
@given(expressions(), zones, moments, st.timedeltas(timedelta(0), timedelta(days=2)), st.integers(1, 50))
def test_catching_up_in_rounds_fires_each_period_once_and_in_order(
    cron: Cron, zone: ZoneInfo, after: datetime, span: timedelta, most: int
) -> None:
    next_at = next_after(cron, zone, after)
    now, fired = next_at + span, []
    while next_at <= now and len(fired) < 500:
        found = due(cron, zone, Missed.ALL, next_at, now, most)
        assert 1 <= len(found.periods) <= most
        fired.extend(found.periods)
        next_at = found.next_at
    assert fired == upcoming(cron, zone, after, len(fired))
    assert next_at == next_after(cron, zone, fired[-1])


def test_a_year_of_missed_minutes_is_no_work() -> None:
    cron, start = parse("* * * * *"), utc("2025-11-21T00:00:00")
    assert latest(cron, BERLIN, start, start + timedelta(days=365)) == start + timedelta(days=365)
