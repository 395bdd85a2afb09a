"""Which backups are kept: grandfather, father, son."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Keep:
    """How many days, months and years keep a backup: the last one of each."""

    daily: int = 30
    monthly: int = 12
    yearly: int = 7


_PERIODS: tuple[Callable[[datetime], tuple[int, ...]], ...] = (
    lambda at: (at.year, at.month, at.day),
    lambda at: (at.year, at.month),
    lambda at: (at.year,),
)


def kept(backups: Mapping[K, datetime], keep: Keep = Keep()) -> set[K]:
    """The backups to keep, by the moments (UTC) they were made: of each of the latest days, months and years that have
    any, the last. Days without a backup use nothing up, so a tenant that rested a year keeps its old ones.
    """
    newest_first = sorted(backups.items(), key=lambda item: item[1], reverse=True)
    found: set[K] = set()
    for period, most in zip(_PERIODS, (keep.daily, keep.monthly, keep.yearly), strict=True):
        found.update(_last_of_each(newest_first, period, most))
    return found


def _last_of_each(
    newest_first: Iterable[tuple[K, datetime]], period: Callable[[datetime], tuple[int, ...]], most: int
) -> set[K]:
    last: dict[tuple[int, ...], K] = {}
    for name, moment in newest_first:
        place = period(moment.astimezone(UTC))
        if place not in last and len(last) < most:
            last[place] = name
    return set(last.values())
