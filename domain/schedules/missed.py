"""What a schedule fires when its time has come, and what becomes of the periods that it missed.

A period is missed if it is still unfired `GRACE` after its time, because no leader ran or the tenant was suspended.
Less than that is only late, and always fires.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from domain.schedules.cron import Cron
from domain.schedules.firings import firings, latest, next_after

GRACE = timedelta(minutes=1)


class Missed(StrEnum):
    """What to do about missed periods: nothing, run once for the last of them, or run once for each."""

    SKIP = "skip"
    LAST = "last"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Round:
    """What a schedule does now: the periods to fire, oldest first, and the one to wait for next.

    `next_at` is in the past if there is more to catch up with than one round takes.
    """

    periods: tuple[datetime, ...]
    next_at: datetime


def due(cron: Cron, zone: ZoneInfo, missed: Missed, next_at: datetime, now: datetime, most: int) -> Round:
    """What a schedule whose earliest unfired period is `next_at` (not later than `now`) does now.

    `most` bounds how many periods `Missed.ALL` catches up with in one round; the others go on from there.
    """
    if missed is Missed.ALL:
        periods, later = [next_at], firings(cron, zone, next_at)
        following = next(later)
        while following <= now and len(periods) < most:
            periods.append(following)
            following = next(later)
        return Round(tuple(periods), following)
    last = latest(cron, zone, next_at, now)
    lost = missed is Missed.SKIP and now - last >= GRACE
    return Round(() if lost else (last,), next_at=next_after(cron, zone, last))
