"""What the next invoice of a subscription would hold, and how much of its plan's quotas is used."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from domain.billing.cycles import Course, next_cycle
from domain.billing.invoices import balanced
from domain.billing.periods import Period, period
from domain.billing.statement import Window, compose
from domain.billing.timeline import phase_at
from domain.billing.usage import number_at
from domain.errors import Conflict
from models.tenant import Balance, Customer, Subscription
from models.tenant.billing_reads import Measurement, billed_before, course_of, measured, phases_of


def preview(session: Session, subscription: Subscription) -> dict[str, Any]:
    """The next invoice as `InvoicePreviewSchema` shows it. Raises `Conflict` if none is to come, or none can be made."""
    course = course_for(session, subscription)
    cycle = next_cycle(course)
    if cycle.label is None or subscription.state == "canceled":
        raise Conflict("No invoice of this subscription is to come.")
    statement = cycle.statement
    wanted = [
        Measurement(subscription.customer_id, window) for window in (*statement.windows(), *statement.late_windows())
    ]
    quantities = measured(session, subscription.tenant_id, wanted)
    usage = {want.window.key: quantity for want, quantity in zip(wanted, quantities, strict=True)}
    periods = [each for each in (statement.before, statement.closing) if each is not None]
    billed = {}
    if periods:
        since = min(each.start for each in periods)
        billed = billed_before(session, subscription.tenant_id, [subscription.id], since)[subscription.id]
    currency = course.phases[-1].plan.currency
    key = (subscription.tenant_id, subscription.customer_id, currency)
    balance = session.get(Balance, key)
    try:
        lines, _ = balanced(compose(statement, usage, billed), 0 if balance is None else balance.amount)
    except ValueError as error:
        raise Conflict(f"The next invoice cannot be made: {error}.") from None
    return {
        "currency": currency,
        "period_start": cycle.label.start,
        "period_end": cycle.label.end,
        "due_at": cycle.due_at,
        "total": sum(line.amount for line in lines),
        "lines": [
            {
                "description": line.line.description, "quantity": line.line.quantity,
                "unit_amount": line.line.unit_amount, "amount": line.amount, "kind": line.kind,
            }
            for line in lines
        ],
    }  # fmt: skip


def course_for(session: Session, subscription: Subscription) -> Course:
    """The subscription as cycles see it."""
    customer = session.get_one(Customer, (subscription.tenant_id, subscription.customer_id))
    phases = phases_of(session, subscription.tenant_id, [subscription])[subscription.id]
    return course_of(subscription, phases, customer.timezone)


def running_period(course: Course, now: datetime | None = None) -> Period:
    """The period that runs now; the first one, if it has not begun."""
    moment = now or datetime.now(UTC)
    return period(course.cadence, number_at(course.cadence, moment))


def used(session: Session, subscription: Subscription, course: Course) -> list[tuple[Window, Decimal]]:
    """What the running period has used of each of the present plan's meters."""
    running = running_period(course)
    plan = phase_at(course.phases, datetime.now(UTC)).plan
    windows = [Window(charge, running.start, running.end) for charge in plan.charges]
    wanted = [Measurement(subscription.customer_id, window) for window in windows]
    return list(zip(windows, measured(session, subscription.tenant_id, wanted), strict=True))


def quantities(pairs: Iterable[tuple[Window, Decimal]]) -> dict[str, Decimal]:
    """The quantities by meter."""
    return {window.charge.code: quantity for window, quantity in pairs}
