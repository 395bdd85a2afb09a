"""Billing cycles: an invoice for each period of each subscription that has ended.

Periods are billed in arrears: the invoice is for the period that just ended. Each period has a transaction of its own,
and the unique period on the invoice makes any number of runs bill it once; a run that was cut off is simply run again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from domain.billing.periods import Cadence, period, zone_named
from domain.errors import Transient
from jobs.context import JobContext
from jobs.handlers import handles
from models.tenant import Customer, Plan, Subscription
from tasks.invoicing import issue

BILLED_STATES = ("active", "past_due")
_PAGE = 500


@handles("billing.cycle")
def cycle(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Bill all that is due by `until`. A subscription that cannot be billed does not hold up the others.

    Raises `Transient` (`billing_incomplete`) at the end if there were such.
    """
    until: datetime = payload["until"]
    with context.session() as session:
        total = session.scalar(select(func.count()).select_from(_due(until).subquery())) or 0
    invoices = failures = 0
    for number, subscription_id in enumerate(_due_ids(context, until)):
        context.progress(number, max(total, number + 1), f"{invoices} invoices")
        try:
            invoices += _catch_up(context, subscription_id, until)
        except Exception:
            # Whatever is wrong with one subscription, the others' customers get their invoices.
            failures += 1
            context.log.exception("billing.subscription_failed", subscription_id=str(subscription_id))
    refresh_due(context)
    if failures:
        raise Transient(
            f"{failures} subscriptions could not be billed; {invoices} invoices.", code="billing_incomplete"
        )
    context.progress(total, total, f"{invoices} invoices")
    return {"invoices": invoices, "subscriptions": total, "until": until.isoformat()}


def refresh_due(context: JobContext) -> datetime | None:
    """Tell the platform when this tenant's next period ends, so that the tick finds it; returns that time.

    `tenants.billing_due_at` is a hint in another database than the subscriptions. A subscription may be created while
    we look, and its creator lowers the hint after its commit. So we look again after writing: either our second look
    sees the new subscription, or its creator's write comes after ours. Too early a hint costs an empty run.
    """
    due = _earliest(context)
    context.tenancy.platform.fetch(
        "UPDATE tenants SET billing_due_at = %(due)s WHERE id = %(id)s", {"due": due, "id": context.tenant_id}
    )
    again = _earliest(context)
    if again is not None and (due is None or again < due):
        context.tenancy.platform.fetch(
            "UPDATE tenants SET billing_due_at = least(billing_due_at, %(due)s) WHERE id = %(id)s",
            {"due": again, "id": context.tenant_id},
        )
        return again
    return due


def _earliest(context: JobContext) -> datetime | None:
    with context.session() as session:
        return session.scalar(select(func.min(Subscription.next_cycle_at)).where(Subscription.state.in_(BILLED_STATES)))


def _due(until: datetime) -> Any:
    return select(Subscription.id).where(Subscription.state.in_(BILLED_STATES), Subscription.next_cycle_at <= until)


def _due_ids(context: JobContext, until: datetime) -> Iterator[UUID]:
    """Each due subscription once, in pages: one that cannot be billed does not come back."""
    last: UUID | None = None
    while True:
        page = _due(until).order_by(Subscription.id).limit(_PAGE)
        with context.session() as session:
            ids = list(session.scalars(page if last is None else page.where(Subscription.id > last)))
        yield from ids
        if len(ids) < _PAGE:
            return
        last = ids[-1]


def _catch_up(context: JobContext, subscription_id: UUID, until: datetime) -> int:
    """Bill one period after the other until none is due; returns the number of invoices."""
    invoices = 0
    while True:
        with context.session() as session:
            billed = _bill_next(session, context, subscription_id, until)
        if billed is None:
            return invoices
        invoices += billed


def _bill_next(session: Session, context: JobContext, subscription_id: UUID, until: datetime) -> bool | None:
    """Bill the subscription's next period if it has ended: whether it made an invoice, None if nothing is due.

    A subscription that another run holds is that run's to bill.
    """
    subscription = session.scalars(
        select(Subscription)
        .where(
            Subscription.tenant_id == context.tenant_id,
            Subscription.id == subscription_id,
            Subscription.state.in_(BILLED_STATES),
            Subscription.next_cycle_at <= until,
        )
        .with_for_update(skip_locked=True)
    ).one_or_none()
    if subscription is None:
        return None
    plan = session.get_one(Plan, (context.tenant_id, subscription.plan_id))
    customer = session.get_one(Customer, (context.tenant_id, subscription.customer_id))
    cadence = Cadence(subscription.anchor_at, plan.interval, plan.interval_count, zone_named(customer.timezone))
    ended = period(cadence, subscription.periods_billed)
    if ended.end > until:  # the row was due too early: the anchor and the count decide
        subscription.next_cycle_at = ended.end
        return None
    invoice = issue(session, subscription, plan, customer, ended)
    subscription.periods_billed += 1
    subscription.next_cycle_at = period(cadence, subscription.periods_billed).end
    return invoice is not None
