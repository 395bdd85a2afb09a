"""When a subscription is billed next, for what, and whether that is the last time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from domain.billing.periods import Cadence, Period, period
from domain.billing.statement import Statement
from domain.billing.timeline import Phase

GRACE = timedelta(hours=1)
"""How long after a period its usage may still arrive to be on its invoice."""


@dataclass(frozen=True, slots=True)
class Course:
    """A subscription as far as cycles are concerned; `phases` are never empty, and their plans share rhythm and currency."""

    anchor_at: datetime
    zone: ZoneInfo
    phases: tuple[Phase, ...]
    periods_billed: int
    cancel_at: datetime | None = None

    @property
    def cadence(self) -> Cadence:
        """How its periods follow each other."""
        plan = self.phases[-1].plan
        return Cadence(self.anchor_at, plan.interval, plan.interval_count, self.zone)

    @property
    def metered(self) -> bool:
        """Whether any of its plans charges for usage, which is then waited for."""
        return any(phase.plan.charges for phase in self.phases)


@dataclass(frozen=True, slots=True)
class Cycle:
    """What there is to bill from `due_at` on. `label` is the invoice's period, unique for the subscription; None: there is
    nothing to bill. After the `last` one the subscription is over."""

    due_at: datetime
    label: Period | None
    statement: Statement
    last: bool


def next_cycle(course: Course) -> Cycle:
    """The cycle after those that were billed."""
    found = _in_advance(course) if course.phases[-1].plan.pay_in_advance else _in_arrears(course)
    if found.label is not None and found.label.start >= found.label.end:
        return Cycle(found.due_at, None, found.statement, found.last)
    return found


def _in_arrears(course: Course) -> Cycle:
    number, cancel_at = course.periods_billed, course.cancel_at
    whole = period(course.cadence, number)
    end = whole.end if cancel_at is None else min(whole.end, cancel_at)
    before = period(course.cadence, number - 1) if number > 0 else None
    statement = Statement(course.phases, whole if whole.start < end else None, before, None, until=cancel_at)
    label = Period(whole.start, end) if whole.start < end else None
    last = cancel_at is not None and cancel_at <= whole.end
    return Cycle(end + _grace(course), label, statement, last)


def _in_advance(course: Course) -> Cycle:
    number, cancel_at = course.periods_billed, course.cancel_at
    begins = period(course.cadence, number)
    closing = period(course.cadence, number - 1) if number > 0 else None
    before = period(course.cadence, number - 2) if number > 1 else None
    grace = _grace(course) if closing is not None else timedelta(0)
    if cancel_at is None or cancel_at > begins.start:
        return Cycle(begins.start + grace, begins, Statement(course.phases, closing, before, begins), last=False)
    label = Period(cancel_at, begins.start) if cancel_at < begins.start else begins
    statement = Statement(course.phases, closing, before, None, until=cancel_at)
    return Cycle(cancel_at + grace, label if closing is not None else None, statement, last=True)


def _grace(course: Course) -> timedelta:
    return GRACE if course.metered else timedelta(0)
