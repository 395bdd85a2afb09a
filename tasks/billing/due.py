"""When a tenant's billing has something to do next: the hint by which the tick finds it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select

from jobs.context import JobContext
from models.tenant import CreditNote, Invoice, Subscription
from models.tenant.billing_reads import is_billed


def refresh_due(context: JobContext) -> datetime | None:
    """Tell the platform when this tenant's next work is due, so that the tick finds it; returns that time.

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
        lower_due(context, again)
        return again
    return due


def lower_due(context: JobContext, due: datetime) -> None:
    """Have the tick look at this tenant no later than `due`."""
    context.tenancy.platform.fetch(
        "UPDATE tenants SET billing_due_at = least(billing_due_at, %(due)s) WHERE id = %(id)s",
        {"due": due, "id": context.tenant_id},
    )


def _earliest(context: JobContext) -> datetime | None:
    cycles = select(func.min(Subscription.next_cycle_at)).where(is_billed()).scalar_subquery()
    collecting = select(func.min(Invoice.collect_at)).where(Invoice.collect_at.is_not(None)).scalar_subquery()
    telling = select(func.min(Invoice.created_at)).where(Invoice.announced_at.is_(None)).scalar_subquery()
    refunding = select(func.min(CreditNote.created_at)).where(CreditNote.state == "pending").scalar_subquery()
    with context.session() as session:
        return session.scalar(select(func.least(cycles, collecting, telling, refunding)))
