"""Billing periods: where each begins and ends.

Every boundary is counted from the anchor, never from the boundary before it, so that the anchor's day comes back after
a short month: 31 January, 28 February, 31 March. Counting is done on the customer's wall clock, across changes of
summer time; the results are UTC, and a period is half open: it holds its start and not its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta

from domain.errors import FieldError, InvalidPayload


@dataclass(frozen=True, slots=True)
class Cadence:
    """How periods follow each other: every `count` of `interval` (`day week month year`) since `anchor_at`, in `zone`."""

    anchor_at: datetime
    interval: str
    count: int
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` up to, but not including, `end`; both in UTC."""

    start: datetime
    end: datetime


def period(cadence: Cadence, number: int) -> Period:
    """Period `number`, from 0. Its end is the next one's start.

    It has no length if the customer's zone left that day out, as Samoa did with 30 December 2011.
    """
    return Period(boundary(cadence, number), boundary(cadence, number + 1))


def boundary(cadence: Cadence, number: int) -> datetime:
    """The start of period `number`, in UTC.

    A wall clock time that a change of summer time leaves out is taken with the offset before it, so it comes that much
    later; of one that happens twice, the first is taken.
    """
    if number == 0:
        return cadence.anchor_at.astimezone(UTC)
    wall = cadence.anchor_at.astimezone(cadence.zone).replace(tzinfo=None)
    moved = wall + _step(cadence.interval, number * cadence.count)
    return moved.replace(tzinfo=cadence.zone).astimezone(UTC)


def zone_named(name: str) -> ZoneInfo:
    """The time zone of an IANA name. Raises `InvalidPayload` for any other text."""
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):  # OSError: a folder of names, as `America`
        raise InvalidPayload(
            f"There is no time zone {name[:80]!r}; use an IANA name such as Europe/Berlin.",
            errors=(FieldError("/timezone", "unknown_timezone", "Not an IANA time zone."),),
        ) from None


def _step(interval: str, count: int) -> relativedelta:
    match interval:
        case "day":
            return relativedelta(days=count)
        case "week":
            return relativedelta(weeks=count)
        case "month":
            return relativedelta(months=count)
        case "year":
            return relativedelta(years=count)
        case _:
            raise ValueError(f"{interval!r} is not an interval")
