"""Quiet hours on the recipient's wall clock: windows over midnight, and days on which the clock is changed.

A window ends at the first instant at which the clock shows its end or later; where the clock is set back and shows it twice,
at the second, so that nobody is woken an hour early.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `start` (inclusive) to `end` (exclusive), wall clock. `days` are those on which a window begins, Monday is 0."""

    start: time
    end: time
    days: frozenset[int] = frozenset(range(7))


def quiet_until(quiet: QuietHours, timezone: str, now: datetime) -> datetime | None:
    """When the window that `now` lies in ends, in UTC; None outside of all windows. Raises `ValueError` for no zone."""
    if quiet.start == quiet.end:
        return None
    zone = zone_named(timezone)
    today = now.astimezone(zone).date()
    ends = [
        end
        for day in (today - timedelta(days=1), today)
        if day.weekday() in quiet.days
        for begin, end in [_window(quiet, day, zone)]
        if begin <= now < end
    ]
    return max(ends, default=None)


def zone_named(name: str) -> ZoneInfo:
    """The IANA zone. Raises `ValueError`."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"There is no time zone {name[:100]!r}.") from None


def _window(quiet: QuietHours, day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    last = day if quiet.end > quiet.start else day + timedelta(days=1)
    return _instant(day, quiet.start, zone, fold=0), _instant(last, quiet.end, zone, fold=1)


def _instant(day: date, clock: time, zone: ZoneInfo, fold: int) -> datetime:
    """The instant at which the zone's clock shows that; in a gap, the first after it."""
    wall = datetime.combine(day, clock)
    earlier, later = (wall.replace(tzinfo=zone, fold=side).astimezone(UTC) for side in (1, 0))
    shown = wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
    if shown.astimezone(zone).replace(tzinfo=None) == wall:
        return shown
    # No instant shows it. The gap lies between the two readings; find its end to the minute.
    low, high = earlier, later
    while high - low > timedelta(minutes=1):
        middle = low + (high - low) / 2
        if middle.astimezone(zone).replace(tzinfo=None) < wall:
            low = middle
        else:
            high = middle
    return high.replace(second=0, microsecond=0)
