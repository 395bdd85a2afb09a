"""What a tenant's customers used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from flask_smorest import Blueprint
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from domain.billing.periods import Cadence, zone_named
from domain.billing.subscriptions import LIVE
from domain.billing.usage import AHEAD, Measured, earliest_billable, measure
from domain.errors import FieldError, InvalidPayload
from domain.ids import new_id
from models.tenant import Customer, Meter, Plan, Subscription, UsageEvent
from web.auth import can
from web.context import tenancy, tenant_id
from web.listing import list_rows
from web.pagination import Envelope
from web.schemas.base import page_schema
from web.schemas.usage_events import (
    UsageEventFilterSchema,
    UsageEventSchema,
    UsageEventsCreatedSchema,
    UsageEventsCreateSchema,
)

blueprint = Blueprint(
    "usage_events", __name__, url_prefix="/merchant/usage-events", description="What customers used, each thing once"
)

_EVER = datetime.min.replace(tzinfo=UTC)


@blueprint.route("", methods=["POST"])
@can("usage_event:create")
@blueprint.arguments(UsageEventsCreateSchema)
@blueprint.response(200, UsageEventsCreatedSchema)
def create_usage_events(body: dict[str, Any]) -> dict[str, int]:
    """Take in what customers used: all of it, or nothing if anything is wrong with one.

    An event whose `transaction_id` came before is left as it was, so a request may be repeated without a key. Usage of the
    period before the running one becomes an adjustment on the next invoice; what is older, or lies in the future, is refused.
    """
    events: Sequence[Mapping[str, Any]] = body["events"]
    now = datetime.now(UTC)
    with tenancy().session(tenant_id()) as session:
        rows = _read(session, events, now)
        known = insert(UsageEvent).on_conflict_do_nothing().returning(UsageEvent.id)
        created = len(session.scalars(known, rows).all())
    return {"created": created, "duplicates": len(events) - created}


@blueprint.route("", methods=["GET"])
@can("usage_event:read")
@blueprint.arguments(UsageEventFilterSchema, location="query")
@blueprint.response(200, page_schema(UsageEventSchema))
def list_usage_events(arguments: dict[str, Any]) -> tuple[Envelope[UsageEvent], dict[str, str]]:
    """List usage events, those that came last first unless asked otherwise."""
    return list_rows(UsageEvent, arguments)


def _read(session: Session, events: Sequence[Mapping[str, Any]], now: datetime) -> list[dict[str, Any]]:
    """The events as rows. Raises `InvalidPayload` with what is wrong with each."""
    codes, customers = {each["code"] for each in events}, {each["customer_id"] for each in events}
    meters = {
        meter.code: meter
        for meter in session.scalars(select(Meter).where(Meter.tenant_id == tenant_id(), Meter.code.in_(codes)))
    }
    known = set(
        session.scalars(select(Customer.id).where(Customer.tenant_id == tenant_id(), Customer.id.in_(customers)))
    )
    earliest = _earliest(session, customers, now)
    rows: list[dict[str, Any]] = []
    faults: list[FieldError] = []
    for number, event in enumerate(events):
        read = _row(event, meters, known, earliest, now, f"/events/{number}")
        if isinstance(read, FieldError):
            faults.append(read)
        else:
            rows.append(read)
    if faults:
        raise InvalidPayload("No event was taken.", errors=tuple(faults[:100]))
    return rows


def _row(
    event: Mapping[str, Any],
    meters: Mapping[str, Meter],
    customers: set[UUID],
    earliest: Mapping[UUID, datetime],
    now: datetime,
    pointer: str,
) -> dict[str, Any] | FieldError:
    meter = meters.get(event["code"])
    if meter is None:
        return FieldError(f"{pointer}/code", "not_found", f"There is no meter {event['code']}.")
    if event["customer_id"] not in customers:
        return FieldError(f"{pointer}/customer_id", "not_found", "There is no such customer.")
    timestamp: datetime = event["timestamp"] or now
    if timestamp > now + AHEAD:
        return FieldError(f"{pointer}/timestamp", "in_the_future", "Lies in the future.")
    if timestamp < earliest.get(event["customer_id"], timestamp):
        return FieldError(f"{pointer}/timestamp", "period_closed", "Its period is closed; no invoice would bill it.")
    found = measure(meter.aggregation, meter.property, event["properties"], pointer)
    if isinstance(found, FieldError):
        return found
    assert isinstance(found, Measured)  # noqa: S101 - the other case has returned
    return {
        "tenant_id": tenant_id(), "id": new_id(), "transaction_id": event["transaction_id"],
        "customer_id": event["customer_id"], "code": event["code"], "timestamp": timestamp,
        "properties": event["properties"], "value": found.value, "item": found.item,
    }  # fmt: skip


def _earliest(session: Session, customers: Iterable[UUID], now: datetime) -> dict[UUID, datetime]:
    """Since when each customer's usage can still be billed: by the most patient of the customer's subscriptions."""
    rows = session.execute(
        select(Subscription, Plan, Customer)
        .join(Plan, (Plan.tenant_id == Subscription.tenant_id) & (Plan.id == Subscription.plan_id))
        .join(Customer, (Customer.tenant_id == Subscription.tenant_id) & (Customer.id == Subscription.customer_id))
        .where(Subscription.tenant_id == tenant_id(), Subscription.customer_id.in_(set(customers)))
        .where(Subscription.state.in_(LIVE))
    )
    found: dict[UUID, datetime] = {}
    for subscription, plan, customer in rows:
        cadence = Cadence(
            subscription.anchor_at, plan.interval, plan.interval_count, zone_named(customer.timezone)
        )  # fmt: skip
        since = earliest_billable(cadence, now) or _EVER
        found[customer.id] = min(since, found.get(customer.id, since))
    return found
