"""`usage.relay`: what a tenant's database has metered becomes usage events of the operator's customer that the tenant is.

A page is written to the operator's books, committed, and only then marked as relayed in the tenant's database. Killed in
between, it is read again and finds its events there: the transaction's id is the source's. A row is marked by itself, not by a
cursor, so one whose transaction was slow is not passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from domain.billing.platform_usage import reported_as
from domain.billing.usage import Measured, measure
from domain.errors import NotNow, Permanent, TenantUnavailable
from jobs.context import JobContext
from jobs.handlers import handles
from models.tenant import Customer, Meter, MeteredUsage
from models.tenant.usage import record_usage

PAGE = 2000
LATER_SECONDS = 300.0
"""When to look again at a tenant whose data is being moved."""


@handles("usage.relay")
def relay_usage(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Pass on all that the tenant has metered since it became a customer. The job is the operator's.

    Raises `Permanent` (`not_found`) if there is no such customer, and `NotNow` while its database is away or being moved.
    """
    try:
        return _relay(context, payload["tenant_id"])
    except TenantUnavailable as error:
        raise NotNow(error.detail, code=error.code, retry_after=LATER_SECONDS) from None


def _relay(context: JobContext, tenant_id: UUID) -> Mapping[str, Any]:
    with context.session() as session:
        mine = (Customer.tenant_id == context.tenant_id, Customer.external_id == str(tenant_id))
        customer = session.scalar(select(Customer).where(*mine))
        books = select(Meter).where(Meter.tenant_id == context.tenant_id)
        meters = {meter.code: meter for meter in session.scalars(books)}
    if customer is None:
        raise Permanent(f"Tenant {tenant_id} is no customer.", code="not_found")
    read = events = 0
    last: UUID | None = None
    while True:
        context.progress(read, None, f"{events} events")
        page = _unrelayed(context, tenant_id, last)
        if not page:
            return {"read": read, "events": events}
        rows = [event for row in page for event in _events(row, customer.id, customer.created_at, meters)]
        with context.session() as session:
            events += record_usage(session, context.tenant_id, rows)
        with context.tenancy.session(tenant_id) as session:
            _mark(session, tenant_id, [row.id for row in page])
        read, last = read + len(page), page[-1].id


def _unrelayed(context: JobContext, tenant_id: UUID, last: UUID | None) -> Sequence[MeteredUsage]:
    waiting = select(MeteredUsage).where(MeteredUsage.tenant_id == tenant_id, MeteredUsage.relayed_at.is_(None))
    if last is not None:
        waiting = waiting.where(MeteredUsage.id > last)
    with context.tenancy.session(tenant_id) as session:
        return session.scalars(waiting.order_by(MeteredUsage.id).limit(PAGE)).all()


def _mark(session: Session, tenant_id: UUID, ids: Sequence[UUID]) -> None:
    session.execute(
        update(MeteredUsage)
        .where(MeteredUsage.tenant_id == tenant_id, MeteredUsage.id.in_(ids))
        .values(relayed_at=func.now())
        .execution_options(synchronize_session=False)
    )


def _events(
    row: MeteredUsage, customer_id: UUID, since: datetime, meters: Mapping[str, Meter]
) -> Iterator[dict[str, Any]]:
    """None for what was used before there was a customer: no period of theirs holds it."""
    if row.occurred_at < since:
        return
    properties = {**row.properties, "quantity": row.quantity, "of": row.code}
    for code in reported_as(row.code, meters):
        found = _measured(meters.get(code), properties)
        yield {
            "transaction_id": f"{code}:{row.source_id}", "customer_id": customer_id, "code": code,
            "timestamp": row.occurred_at, "properties": properties, "value": found.value, "item": found.item,
            "source_type": row.source_kind, "source_id": str(row.source_id),
        }  # fmt: skip


def _measured(meter: Meter | None, properties: Mapping[str, Any]) -> Measured:
    """What the meter takes of it; the quantity where there is no meter yet, or where its property is not told."""
    if meter is not None:
        found = measure(meter.aggregation, meter.property, properties, "")
        if isinstance(found, Measured):
            return found
    return Measured(value=Decimal(properties["quantity"]))
