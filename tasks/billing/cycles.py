"""Billing cycles: an invoice for each period of each subscription that is due.

Due subscriptions are claimed a page at a time, with row locks that other runs skip and that end with the transaction, so a
run that was killed leaves nothing claimed. All of a page's invoices are one transaction; a subscription that is several
periods behind is billed one period after the other. The unique period on the invoice makes any number of runs bill it once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from domain.errors import Transient
from jobs.context import JobContext
from jobs.handlers import handles
from models.tenant import Subscription
from models.tenant.billing_reads import is_billed
from tasks.billing.due import refresh_due
from tasks.billing.following import follow_up
from tasks.billing.invoicing import UNBILLABLE, bill

PAGE = 500
"""Subscriptions that are billed in one transaction."""


@handles("billing.cycle")
def cycle(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Bill all that is due by `until`, tell of the invoices, and have them collected.

    A subscription that cannot be billed does not hold up the others. Raises `Transient` (`billing_incomplete`) at the end
    if there were such.
    """
    until: datetime = payload["until"]
    with context.session() as session:
        total = session.scalar(select(func.count()).select_from(_due(until).subquery())) or 0
    invoices = done = 0
    failed: set[UUID] = set()
    last: UUID | None = None
    while True:
        context.progress(done, max(total, done), f"{invoices} invoices")
        page = _due_ids(context, until, last)
        if not page:
            break
        invoices += _catch_up(context, page, until, failed)
        done, last = done + len(page), page[-1]
    follow_up(context, max(until, datetime.now(UTC)))  # what was just issued is collected now
    refresh_due(context)
    if failed:
        raise Transient(
            f"{len(failed)} subscriptions could not be billed; {invoices} invoices.", code="billing_incomplete"
        )
    return {"invoices": invoices, "subscriptions": total, "until": until.isoformat()}


def _due(until: datetime) -> Select[UUID]:
    return select(Subscription.id).where(is_billed(), Subscription.next_cycle_at <= until)


def _due_ids(context: JobContext, until: datetime, last: UUID | None) -> list[UUID]:
    """The next page of due subscriptions, each once: one that cannot be billed does not come back."""
    page = _due(until).order_by(Subscription.id).limit(PAGE)
    with context.session() as session:
        return list(session.scalars(page if last is None else page.where(Subscription.id > last)))


def _catch_up(context: JobContext, ids: Sequence[UUID], until: datetime, failed: set[UUID]) -> int:
    """Bill one period of all after the other until none is due; returns the number of invoices."""
    invoices = 0
    while True:
        context.check()
        left = [each for each in ids if each not in failed]
        try:
            found = _bill(context, left, until, failed)
        except (*UNBILLABLE, SQLAlchemyError):
            # Something in one of them that is read or written for all. One by one, the others are billed.
            context.log.exception("billing.page_failed", subscriptions=len(left))
            return invoices + sum(_alone(context, each, until, failed) for each in left)
        if found is None:
            return invoices
        invoices += found


def _alone(context: JobContext, id: UUID, until: datetime, failed: set[UUID]) -> int:
    invoices = 0
    while id not in failed:
        context.check()
        try:
            found = _bill(context, [id], until, failed)
        except (*UNBILLABLE, SQLAlchemyError):
            context.log.exception("billing.subscription_failed", subscription_id=str(id))
            failed.add(id)
            break
        if found is None:
            break
        invoices += found
    return invoices


def _bill(context: JobContext, ids: Sequence[UUID], until: datetime, failed: set[UUID]) -> int | None:
    """Bill the next period of those that are due: the number of invoices, None if nothing was due."""
    with context.session() as session:
        due = _claim(session, context.tenant_id, ids, until)
        if not due:
            return None
        billing = bill(session, context.tenant_id, due, until)
    for id, error in billing.failures.items():
        context.log.error("billing.subscription_failed", subscription_id=str(id), exc_info=error)
        failed.add(id)
    return billing.invoices


def _claim(session: Session, tenant_id: UUID, ids: Sequence[UUID], until: datetime) -> Sequence[Subscription]:
    """Lock those that are due. A subscription that another run holds is that run's to bill."""
    return session.scalars(
        select(Subscription)
        .where(Subscription.tenant_id == tenant_id, Subscription.id.in_(ids), is_billed())
        .where(Subscription.next_cycle_at <= until)
        .order_by(Subscription.id)
        .with_for_update(skip_locked=True)
    ).all()
