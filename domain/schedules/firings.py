"""The moments at which a cron expression fires in a time zone. All results are UTC, whole minutes, strictly ascending.

Changes of summer time, by what an expression names:

- It leaves hours out (`30 2 * * *`): it means times of the wall clock, and each is kept exactly once. Of a time that comes
  twice, the first counts; one that is left out fires at the first moment after the gap, together with whatever else
  falls on that moment.
- It names every hour (`*/15 * * * *`): it means a rhythm, so it goes on through the hour that comes twice and has
  nothing to make up for the one that is left out.

Debian's cron draws a like line between the two (cron(8), "Daylight Saving Time and other time changes").
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from domain.schedules.cron import Cron

_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)


def next_after(cron: Cron, zone: ZoneInfo, after: datetime) -> datetime:
    """The first firing later than `after`. Raises `OverflowError` past the year 9999."""
    return _by_rhythm(cron, zone, after) if cron.every_hour else _by_wall_clock(cron, zone, after)


def firings(cron: Cron, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """All firings later than `after`, in order, without end."""
    while True:
        after = next_after(cron, zone, after)
        yield after


def upcoming(cron: Cron, zone: ZoneInfo, after: datetime, count: int) -> list[datetime]:
    """The first `count` firings later than `after`."""
    return list(islice(firings(cron, zone, after), count))


def latest(cron: Cron, zone: ZoneInfo, known: datetime, now: datetime) -> datetime:
    """The last firing at or before `now`, given one that is not later than that.

    Halves the span between them, so a year of missed minutes costs two dozen steps.
    """
    found, empty_from = known, now
    while empty_from - found >= _MINUTE:
        middle = found + (empty_from - found) / 2
        candidate = next_after(cron, zone, middle)
        if candidate <= now:
            found = candidate
        else:
            empty_from = middle
    return found


def _by_wall_clock(cron: Cron, zone: ZoneInfo, after: datetime) -> datetime:
    # The moment of a wall clock time never comes before that of an earlier one, so looking on from the wall clock's
    # present time misses nothing.
    wall = after.astimezone(zone).replace(tzinfo=None, second=0, microsecond=0)
    for day in _days(cron, wall.date()):
        for hour in cron.hours:
            for minute in cron.minutes:
                asked = datetime.combine(day, time(hour, minute))
                if asked >= wall and (moment := _moment(asked, zone)) > after:
                    return moment
    raise OverflowError("no firing before the year 10000")


def _by_rhythm(cron: Cron, zone: ZoneInfo, after: datetime) -> datetime:
    moment = after.astimezone(UTC).replace(second=0, microsecond=0) + _MINUTE
    while True:
        wall = moment.astimezone(zone)
        if not cron.allows(wall.date()):
            day = next(_days(cron, wall.date() + _DAY))
            moment = max(_moment(datetime.combine(day, time.min), zone), moment + _MINUTE)
            continue
        minute = next((each for each in cron.minutes if each >= wall.minute), 60)
        if minute == wall.minute:
            return moment
        moment += (minute - wall.minute) * _MINUTE


def _days(cron: Cron, start: date) -> Iterator[date]:
    """The days that the expression allows, from `start` on. Ends with the year 9999."""
    month_by_month = ((year, month) for year in range(start.year, 10000) for month in cron.months)
    for year, month in month_by_month:
        if (year, month) < (start.year, start.month):
            continue
        day = date(year, month, 1)
        while day.month == month:
            if day >= start and cron.allows(day):
                yield day
            day += _DAY


def _moment(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first moment at which the zone's clock shows `wall`, or the first after the gap that leaves it out."""
    first = wall.replace(tzinfo=zone).astimezone(UTC)
    if first.astimezone(zone).replace(tzinfo=None) == wall:
        return first
    # PEP 495: in a gap, fold 0 counts with the offset before it, which leads beyond the change; fold 1 leads before it.
    low, high = wall.replace(tzinfo=zone, fold=1).astimezone(UTC), first
    old = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == old:
            low = middle
        else:
            high = middle
    return high
