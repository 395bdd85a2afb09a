"""A subscription's time: which plan held when, and what a part of a period costs, to the second.

A part's price is the difference of two cuts of the whole, each rounded once, so that the parts of a period always add up
to its price, however it is cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from domain.billing.money import rounded
from domain.billing.periods import Period


@dataclass(frozen=True, slots=True)
class ChargeTerms:
    """A plan's price for a meter's quantity. `terms` are those of `domain.billing.pricing`."""

    id: UUID
    code: str
    name: str
    aggregation: str
    model: str
    terms: Any


@dataclass(frozen=True, slots=True)
class PlanTerms:
    """What a plan costs: `amount` for a whole period, in minor units of `currency`, and charges for usage."""

    id: UUID
    code: str
    name: str
    amount: int
    currency: str
    interval: str
    interval_count: int
    pay_in_advance: bool = False
    charges: tuple[ChargeTerms, ...] = ()


@dataclass(frozen=True, slots=True)
class Phase:
    """From `at` until the next phase the subscription has `plan`; while it is paused, its fee rests."""

    at: datetime
    plan: PlanTerms
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a period within one phase."""

    start: datetime
    end: datetime
    plan: PlanTerms
    paused: bool


def spans(phases: Sequence[Phase], start: datetime, end: datetime) -> list[Span]:
    """The phases' parts of the time from `start` up to `end`, without those of no length.

    The first phase also holds before it began: a subscription has had a plan all its life.
    """
    ordered = sorted(phases, key=lambda phase: phase.at)
    found: list[Span] = []
    for number, phase in enumerate(ordered):
        begins = start if number == 0 else max(start, phase.at)
        ends = end if number == len(ordered) - 1 else min(end, ordered[number + 1].at)
        if begins < ends:
            found.append(Span(begins, ends, phase.plan, phase.paused))
    return found


def phase_at(phases: Iterable[Phase], moment: datetime) -> Phase:
    """The phase that holds at that moment."""
    ordered = sorted(phases, key=lambda phase: phase.at)
    begun = [phase for phase in ordered if phase.at <= moment]
    return begun[-1] if begun else ordered[0]


def prorated(amount: int, whole: Period, start: datetime, end: datetime) -> int:
    """The part of `amount` for the time from `start` to `end` within `whole`; the parts of a whole add up to it.

    Seconds are what counts: a moment is taken as the second that it lies in.
    """
    return _cut(amount, whole, end) - _cut(amount, whole, start)


def seconds(start: datetime, end: datetime) -> int:
    """Whole seconds between two moments."""
    return (end - start) // timedelta(seconds=1)


def _cut(amount: int, whole: Period, until: datetime) -> int:
    if until <= whole.start:
        return 0
    if until >= whole.end:
        return amount
    length, passed = seconds(whole.start, whole.end), seconds(whole.start, until)
    if length == 0:
        return amount
    exact = Decimal(amount * passed)
    return rounded(Decimal(1), exact / length) if amount * passed % length else amount * passed // length
