"""Issuing the invoices of claimed subscriptions, one period of each, within the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, text, tuple_
from sqlalchemy.orm import Session

from domain.billing.cycles import Cycle, next_cycle
from domain.billing.invoices import balanced
from domain.billing.periods import Period
from domain.billing.statement import Billed, Key, StatementLine, compose
from domain.billing.timeline import Phase, PlanTerms, phase_at
from domain.errors import InvalidPayload
from domain.ids import new_id
from models.tenant import Customer, Invoice, InvoiceLine, PaymentMethod, Subscription
from models.tenant.balances import Balances
from models.tenant.billing_reads import Measurement, billed_before, course_of, measured, phases_of
from models.tenant.invoice_lines import line_row
from models.tenant.numbering import invoice_numbers
from models.tenant.snapshots import snapshot

_ADVANCE = text("""
UPDATE subscriptions s SET state = n.state, periods_billed = n.periods, next_cycle_at = n.due, canceled_at = n.canceled,
       version = version + (s.state <> n.state)::int
  FROM unnest(CAST(:ids AS uuid[]), CAST(:states AS text[]), CAST(:periods AS int[]), CAST(:dues AS timestamptz[]),
              CAST(:canceled AS timestamptz[])) AS n (id, state, periods, due, canceled)
 WHERE s.tenant_id = :tenant_id AND s.id = n.id
""")


UNBILLABLE = (ArithmeticError, InvalidPayload, LookupError, TypeError, ValueError)
"""What a subscription raises whose own data make no sense: a zone that is none, terms that are none, sums beyond all bounds.

The others are billed all the same. Anything else is wrong with all of them, or with us, and is the job's to raise.
"""


@dataclass(slots=True)
class Billing:
    """What became of a page: invoices made, and subscriptions that cannot be billed, with the reason."""

    invoices: int = 0
    failures: dict[UUID, Exception] = field(default_factory=dict)


@dataclass(slots=True)
class _Due:
    """A subscription with its next cycle, which has come."""

    row: Subscription
    customer: Customer
    phases: tuple[Phase, ...]
    cycle: Cycle
    state: str
    usage: dict[Key, Decimal] = field(default_factory=dict)
    billed: Mapping[Key, Billed] = field(default_factory=dict)
    lines: list[StatementLine] = field(default_factory=list)


def bill(session: Session, tenant_id: UUID, claimed: Sequence[Subscription], until: datetime) -> Billing:
    """Issue what is due of each, and set each to its next cycle. An invoice over nothing is paid from the start.

    A period that has its invoice already, as after restoring the subscriptions alone, is passed without a number.
    """
    result = Billing()
    due, moved = _due_cycles(session, tenant_id, claimed, until, result)
    taken = _taken(session, tenant_id, due)
    to_bill = [
        each
        for each in due
        if each.cycle.label and (each.row.id, each.cycle.label.start, each.cycle.label.end) not in taken
    ]
    _read(session, tenant_id, to_bill)
    composed: list[_Due] = []
    for each in to_bill:
        try:
            each.lines = compose(each.cycle.statement, each.usage, each.billed)
            sum_fits(each.lines)
        except UNBILLABLE as error:
            result.failures[each.row.id] = error
            continue
        composed.append(each)
    with_lines = [each for each in composed if each.lines]
    result.invoices = _issue(session, tenant_id, with_lines)
    _advance(session, tenant_id, [each for each in due if each.row.id not in result.failures], moved)
    return result


def sum_fits(lines: Sequence[StatementLine]) -> None:
    """Raise `ValueError` for a total that is more than a column can hold."""
    if abs(sum(line.amount for line in lines)) >= 2**63:
        raise ValueError("the invoice's total is more than an amount can hold")


def _due_cycles(
    session: Session, tenant_id: UUID, claimed: Sequence[Subscription], until: datetime, result: Billing
) -> tuple[list[_Due], list[_Due]]:
    """Those whose cycle has come, and those that only have to be told when it comes."""
    phases = phases_of(session, tenant_id, claimed)
    customers = {
        customer.id: customer
        for customer in session.scalars(
            select(Customer).where(
                Customer.tenant_id == tenant_id, Customer.id.in_({row.customer_id for row in claimed})
            )
        )
    }
    due: list[_Due] = []
    moved: list[_Due] = []
    for row in claimed:
        customer = customers[row.customer_id]
        try:
            cycle = next_cycle(course_of(row, phases[row.id], customer.timezone))
        except UNBILLABLE as error:
            result.failures[row.id] = error
            continue
        begun = row.state == "trialing" and row.anchor_at <= until
        found = _Due(row, customer, phases[row.id], cycle, "active" if begun else row.state)
        (due if cycle.due_at <= until else moved).append(found)
    return due, moved


def _taken(
    session: Session, tenant_id: UUID, due: Sequence[_Due]
) -> set[tuple[UUID | None, datetime | None, datetime | None]]:
    """Periods that have their invoice. Who inserts one holds the subscription, so this cannot change meanwhile."""
    wanted = [(each.row.id, each.cycle.label.start, each.cycle.label.end) for each in due if each.cycle.label]
    if not wanted:
        return set()
    period = (Invoice.subscription_id, Invoice.period_start, Invoice.period_end)
    rows = session.execute(select(*period).where(Invoice.tenant_id == tenant_id, tuple_(*period).in_(wanted)))
    return {(row[0], row[1], row[2]) for row in rows}


def _read(session: Session, tenant_id: UUID, due: Sequence[_Due]) -> None:
    """Measure usage and look up what was billed, for all in one statement each, and only where it matters."""
    wanted = [
        (each, Measurement(each.customer.id, window))
        for each in due
        for window in (*each.cycle.statement.windows(), *each.cycle.statement.late_windows())
    ]
    for (each, want), quantity in zip(wanted, measured(session, tenant_id, [w for _, w in wanted]), strict=True):
        each.usage[want.window.key] = quantity
    looking_back = [each for each in due if each.phases[-1].plan.pay_in_advance or each.cycle.statement.late_windows()]
    starts = [
        period.start
        for each in looking_back
        for period in (each.cycle.statement.before, each.cycle.statement.closing)
        if period is not None
    ]
    if starts:
        billed = billed_before(session, tenant_id, [each.row.id for each in looking_back], min(starts))
        for each in looking_back:
            each.billed = billed.get(each.row.id, {})


def _issue(session: Session, tenant_id: UUID, due: Sequence[_Due]) -> int:
    if not due:
        return 0
    balances = Balances(session, tenant_id, [each.customer.id for each in due])
    payable = _with_payment_method(session, tenant_id, {each.customer.id for each in due})
    first = invoice_numbers(session, tenant_id, len(due))
    invoices: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []
    now = datetime.now(UTC)
    for number, each in enumerate(due, start=first):
        label = each.cycle.label
        assert label is not None  # noqa: S101 - those without one were left out
        plan = _plan_of(each, label)
        account = (each.customer.id, plan.currency)
        each.lines, balances[account] = balanced(each.lines, balances[account])
        total = sum(line.amount for line in each.lines)
        invoice_id = new_id()
        invoices.append({
            "tenant_id": tenant_id, "id": invoice_id, "number": number, "subscription_id": each.row.id,
            "customer_id": each.customer.id, "period_start": label.start, "period_end": label.end,
            "currency": plan.currency, "total": total, "state": "open" if total else "paid",
            "paid_at": None if total else now, "snapshot": snapshot(plan, each.customer), "announced_at": None,
            "collect_at": now if total and each.customer.id in payable else None,
        })  # fmt: skip
        if not total and each.state == "incomplete":
            each.state = "active"
        lines += [line_row(tenant_id, invoice_id, line) for line in each.lines]
    session.execute(insert(Invoice).execution_options(render_nulls=True), invoices)
    session.execute(insert(InvoiceLine), lines)
    balances.write()
    return len(invoices)


def _with_payment_method(session: Session, tenant_id: UUID, customer_ids: set[UUID]) -> set[UUID]:
    usable = select(PaymentMethod.customer_id).where(
        PaymentMethod.tenant_id == tenant_id, PaymentMethod.customer_id.in_(customer_ids),
        PaymentMethod.is_default, PaymentMethod.detached_at.is_(None),
    )  # fmt: skip
    return set(session.scalars(usable))


def _plan_of(due: _Due, label: Period) -> PlanTerms:
    """The plan that the snapshot shows: the one that the fee is for, or the last one of a period that has ended."""
    moment = label.start if due.cycle.statement.fee_in_advance else label.end - timedelta(microseconds=1)
    return phase_at(due.phases, moment).plan


def _advance(session: Session, tenant_id: UUID, due: Sequence[_Due], moved: Sequence[_Due]) -> None:
    """Set each to its next cycle. A trial ends, and a subscription that is over is canceled, here and nowhere else."""
    rows: list[tuple[UUID, str, int, datetime, datetime | None]] = [
        (each.row.id, each.state, each.row.periods_billed, _waking(each, each.cycle), None) for each in moved
    ]
    for each in due:
        row, billed = each.row, each.row.periods_billed + 1
        if each.cycle.last:
            rows.append((row.id, "canceled", billed, each.cycle.due_at, row.cancel_at))
            continue
        course = course_of(row, each.phases, each.customer.timezone)
        rows.append((row.id, each.state, billed, next_cycle(replace(course, periods_billed=billed)).due_at, None))
    if rows:
        ids, states, periods, dues, canceled = (list(column) for column in zip(*rows, strict=True))
        parameters = {"ids": ids, "states": states, "periods": periods, "dues": dues, "canceled": canceled}
        session.execute(_ADVANCE, {"tenant_id": tenant_id, **parameters})


def _waking(due: _Due, cycle: Cycle) -> datetime:
    """When to look again: also at the end of a trial, though nothing is billed then."""
    return min(due.row.anchor_at, cycle.due_at) if due.state == "trialing" else cycle.due_at
