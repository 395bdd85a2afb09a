"""The lines of an invoice: fees by time, usage by charge, and what an earlier invoice did not know.

Nothing is remembered about how a period came to be billed: what is owed for it is worked out again from its phases and its
usage, and what earlier lines already billed for it is taken off. So late usage, an upgrade within a period that was paid
in advance, and a pause are one rule, and a credit is never more than what was debited.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from domain.billing.money import Line
from domain.billing.periods import Period
from domain.billing.pricing import price
from domain.billing.timeline import ChargeTerms, Phase, Span, phase_at, prorated, seconds, spans

FEE = "fee"


@dataclass(frozen=True, slots=True)
class Window:
    """Usage of one charge from `start` up to `end`."""

    charge: ChargeTerms
    start: datetime
    end: datetime

    @property
    def key(self) -> Key:
        """What its lines bear."""
        return (str(self.charge.id), self.start, self.end)


Key = tuple[str, datetime, datetime]
"""`fee` or a charge's id, and the span: what has been billed is the sum of the lines with the same key."""


@dataclass(frozen=True, slots=True)
class StatementLine:
    """A line and what it is for. `kind`: `fee usage adjustment balance manual`."""

    line: Line
    kind: str
    key: Key | None = None
    code: str | None = None

    @property
    def amount(self) -> int:
        """In minor units."""
        return self.line.amount


@dataclass(frozen=True, slots=True)
class Statement:
    """What one invoice is to hold. `closing` has ended, and its usage is billed; `before` is the period before that one,
    put right; `fee_in_advance` is the period that begins, where its fee is due at its beginning. `until` cuts a last
    period short."""

    phases: tuple[Phase, ...]
    closing: Period | None
    before: Period | None
    fee_in_advance: Period | None
    until: datetime | None = None

    @property
    def _end(self) -> datetime | None:
        if self.closing is None:
            return None
        return self.closing.end if self.until is None else min(self.closing.end, self.until)

    def closing_spans(self) -> list[Span]:
        """The closing period's phases, up to where it is cut."""
        if self.closing is None or self._end is None:
            return []
        return spans(self.phases, self.closing.start, self._end)

    def windows(self) -> list[Window]:
        """The usage that must be measured: of the closing period."""
        return _windows(self.closing_spans())

    def late_windows(self) -> list[Window]:
        """The usage that must be measured again: of the period before."""
        return [] if self.before is None else _windows(spans(self.phases, self.before.start, self.before.end))


@dataclass(frozen=True, slots=True)
class Billed:
    """What earlier lines of a key come to: `amount` on any invoice, `debited` on those that were not given up.

    An invoice that was voided is forgiven: it is not billed again, and what it held is not given back. What a credit note
    has given back is debited no more.
    """

    amount: int = 0
    debited: int = 0

    def correction(self, owed: int) -> int:
        """What is still to be billed, or, if negative, to be given back."""
        return max(owed - self.amount, -max(0, self.debited))


NOTHING = Billed()


def compose(statement: Statement, usage: Mapping[Key, Decimal], billed: Mapping[Key, Billed]) -> list[StatementLine]:
    """The invoice's lines. `usage` has a quantity for each window, `billed` what earlier lines of a key billed.

    Raises `ValueError` for an amount that no column can hold.
    """
    lines = _fees(statement, billed)
    for window in statement.windows():
        quantity = usage.get(window.key, Decimal(0))
        lines += [
            StatementLine(line, "usage", window.key, window.charge.code)
            for line in price(window.charge.name, window.charge.model, window.charge.terms, quantity)
        ]
    for window in statement.late_windows():
        lines += _late(window, usage.get(window.key, Decimal(0)), _billed_within(window, billed))
    return lines


def _fees(statement: Statement, billed: Mapping[Key, Billed]) -> list[StatementLine]:
    lines: list[StatementLine] = []
    closing, in_advance = statement.closing, statement.fee_in_advance
    if closing is not None:
        lines = [line for span in statement.closing_spans() for line in _fee_of(span, closing)]
        if statement.phases[-1].plan.pay_in_advance:
            earlier = billed.get((FEE, closing.start, closing.end), NOTHING)
            lines = _put_right(closing, earlier.correction(sum(line.amount for line in lines)))
    if in_advance is not None:
        phase = phase_at(statement.phases, in_advance.start)
        if not phase.paused:
            line = Line(phase.plan.name, Decimal(1), Decimal(phase.plan.amount))
            lines.append(StatementLine(line, "fee", (FEE, in_advance.start, in_advance.end)))
    return lines


def _fee_of(span: Span, whole: Period) -> list[StatementLine]:
    if span.paused or (span.plan.amount == 0 and span.plan.charges):
        return []
    entire = (span.start, span.end) == (whole.start, whole.end)
    amount = prorated(span.plan.amount, whole, span.start, span.end)
    part = "" if entire else f" ({seconds(span.start, span.end)} of {seconds(whole.start, whole.end)} s)"
    return [StatementLine(Line(span.plan.name + part, Decimal(1), Decimal(amount)), "fee", (FEE, span.start, span.end))]


def _put_right(closing: Period, difference: int) -> list[StatementLine]:
    if difference == 0:
        return []
    what = "Change within the period" if difference > 0 else "Credit for the unused part of the period"
    line = Line(f"{what} {_dates(closing.start, closing.end)}", Decimal(1), Decimal(difference))
    return [StatementLine(line, "adjustment", (FEE, closing.start, closing.end))]


def _late(window: Window, quantity: Decimal, billed: Billed) -> list[StatementLine]:
    charge = window.charge
    owed = sum(line.amount for line in price(charge.name, charge.model, charge.terms, quantity))
    difference = billed.correction(owed)
    if difference == 0:
        return []
    text = f"{charge.name}, late usage {_dates(window.start, window.end)}"
    return [StatementLine(Line(text, Decimal(1), Decimal(difference)), "adjustment", window.key, charge.code)]


def _billed_within(window: Window, billed: Mapping[Key, Billed]) -> Billed:
    """What was billed of the window, whole or in parts: invoices from before pauses were bridged have a line for each."""
    charge = str(window.charge.id)
    parts = [
        found for (of, start, end), found in billed.items()
        if of == charge and window.start <= start and end <= window.end
    ]  # fmt: skip
    return Billed(sum(part.amount for part in parts), sum(part.debited for part in parts))


def _windows(parts: Sequence[Span]) -> list[Window]:
    """One for each charge and time of a plan. A pause does not divide them: free units and tiers do not begin anew."""
    times: list[Span] = []
    for span in parts:
        if times and times[-1].plan.id == span.plan.id and times[-1].end == span.start:
            times[-1] = replace(times[-1], end=span.end)
        else:
            times.append(span)
    return [Window(charge, span.start, span.end) for span in times for charge in span.plan.charges]


def _dates(start: datetime, end: datetime) -> str:
    return f"{start:%Y-%m-%d} – {end:%Y-%m-%d}"
