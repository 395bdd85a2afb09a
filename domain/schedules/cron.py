"""Cron expressions: five fields as crontab(5) writes them, or a name such as `@daily`.

A field is `*`, a number, a range `a-b`, a range with a step `a-b/n` or `*/n`, or a list of these. Months and days of the
week may be named by three letters; Sunday is 0 or 7. If both day fields are restricted (neither begins with `*`), a day
that fits either one fits. Source: crontab(5) of Vixie cron.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from domain.errors import FieldError, InvalidPayload

LONGEST = 200
"""Characters of an expression."""

NAMED: Mapping[str, str] = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

_DAYS_AT_MOST = {1: 31, 2: 29, 3: 31, 4: 30, 5: 31, 6: 30, 7: 31, 8: 31, 9: 30, 10: 31, 11: 30, 12: 31}
_PART = re.compile(r"(?P<from>\*|[0-9a-z]{1,3})(?:-(?P<to>[0-9a-z]{1,3}))?(?:/(?P<step>[0-9]{1,2}))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    first: int
    last: int
    names: Mapping[str, int] = field(default_factory=dict)


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, start=1)}),
    _Field("day of the week", 0, 7, {name: number for number, name in enumerate(_WEEKDAYS)}),
)


@dataclass(frozen=True, slots=True)
class Cron:
    """What an expression allows. Numbers are sorted; `weekdays` counts from Sunday, 0.

    `either_day` is true if a day that fits one of the two day fields suffices, as when both are restricted.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    either_day: bool

    @property
    def every_hour(self) -> bool:
        """Whether no hour of the day is left out."""
        return len(self.hours) == 24

    def allows(self, day: date) -> bool:
        """Whether the expression fires on that day of the calendar."""
        in_month, in_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return day.month in self.months and (in_month or in_week if self.either_day else in_month and in_week)


def parse(text: str) -> Cron:
    """The expression's meaning. Raises `InvalidPayload` at `/cron` for one that is illegal, or that never fires."""
    words = _words(text)
    minutes, hours, days, months, weekdays = (_numbers(part, word) for part, word in zip(_FIELDS, words, strict=True))
    starred = words[2].startswith("*") or words[4].startswith("*")
    cron = Cron(minutes, hours, days, months, tuple(sorted({day % 7 for day in weekdays})), either_day=not starred)
    if not cron.either_day and not any(day <= _DAYS_AT_MOST[month] for month in months for day in days):
        raise refused("never_fires", "No year has such a day.")
    return cron


def refused(code: str, detail: str) -> InvalidPayload:
    """The error for an expression that cannot be used."""
    return InvalidPayload(f"The cron expression is invalid: {detail}", errors=(FieldError("/cron", code, detail),))


def _words(text: str) -> list[str]:
    if len(text) > LONGEST:
        raise refused("invalid_cron", f"It has more than {LONGEST} characters.")
    words = text.split()
    if len(words) == 1 and words[0].startswith("@"):
        if words[0].lower() not in NAMED:
            raise refused("invalid_cron", f"{words[0]!r} is none of {', '.join(NAMED)}.")
        return NAMED[words[0].lower()].split()
    if len(words) != len(_FIELDS):
        names = ", ".join(part.name for part in _FIELDS)
        raise refused("invalid_cron", f"It has {len(words)} fields instead of five ({names}).")
    return words


def _numbers(part: _Field, word: str) -> tuple[int, ...]:
    return tuple(sorted({number for item in word.split(",") for number in _range(part, item)}))


def _range(part: _Field, item: str) -> range:
    match = _PART.fullmatch(item)
    if match is None:
        raise refused("invalid_cron", f"The {part.name} cannot be {item!r}.")
    start, end, step = match["from"], match["to"], match["step"]
    if start == "*":
        if end is not None:
            raise refused("invalid_cron", f"The {part.name} cannot be {item!r}.")
        low, high = part.first, part.last
    else:
        low = _number(part, start)
        high = low if end is None else _number(part, end)
        if step is not None and end is None:
            raise refused("invalid_cron", f"The {part.name} {item!r} has a step without a range; write "
                                          f"{start}-{part.last}/{step}.")  # fmt: skip
    if low > high:
        raise refused("invalid_cron", f"The {part.name} {item!r} ends before it begins.")
    if step is not None and int(step) == 0:
        raise refused("invalid_cron", f"The {part.name} {item!r} has a step of 0.")
    return range(low, high + 1, int(step or 1))


def _number(part: _Field, word: str) -> int:
    if word.lower() in part.names:
        return part.names[word.lower()]
    if not word.isdecimal():
        raise refused("invalid_cron", f"The {part.name} cannot be {word!r}.")
    number = int(word)
    if not part.first <= number <= part.last:
        raise refused("invalid_cron", f"The {part.name} {number} is not in {part.first} to {part.last}.")
    return number
