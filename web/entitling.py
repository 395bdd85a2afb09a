"""What a customer's live subscriptions allow, and how far quotas are used."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from domain.billing.quotas import quotas_left
from domain.billing.statement import Window
from domain.billing.subscriptions import ENTITLED, LIVE
from domain.billing.timeline import ChargeTerms
from models.tenant import Meter, Plan, Subscription
from models.tenant.billing_reads import Measurement, measured
from web.previews import course_for, running_period


def entitlements(session: Session, seller: UUID, customer_id: UUID) -> dict[str, Any]:
    """The features of every subscription that entitles, and the quotas of all that are not over; of two with one name, the
    newer one's."""
    rows = session.scalars(
        select(Subscription)
        .where(Subscription.tenant_id == seller, Subscription.customer_id == customer_id)
        .where(Subscription.state.in_(LIVE))
        .order_by(Subscription.id)
    ).all()
    features: dict[str, Any] = {}
    quotas: dict[str, Any] = {}
    for row in rows:
        plan = session.get_one(Plan, (seller, row.plan_id))
        if row.state in ENTITLED:
            features.update(plan.entitlements)
        quotas.update(quotas_left(plan.quotas, _used(session, row, plan)))
    return {"entitlements": features, "quotas": quotas}


def _used(session: Session, subscription: Subscription, plan: Plan) -> dict[str, Any]:
    """What the running period has used of each meter that the plan limits, whether it has a price or not."""
    running = running_period(course_for(session, subscription))
    meters = session.scalars(
        select(Meter).where(Meter.tenant_id == subscription.tenant_id, Meter.code.in_(plan.quotas))
    ).all()
    windows = [
        Window(
            ChargeTerms(meter.id, meter.code, meter.name, meter.aggregation, "standard", {}), running.start, running.end
        )
        for meter in meters
    ]
    wanted = [Measurement(subscription.customer_id, window) for window in windows]
    found = measured(session, subscription.tenant_id, wanted)
    return {meter.code: quantity for meter, quantity in zip(meters, found, strict=True)}
