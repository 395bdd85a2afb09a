"""Reading what billing decides on, many subscriptions at a time: terms, phases, usage, and what was billed already."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import or_, select, text
from sqlalchemy.orm import Session
from sqlalchemy.sql import ColumnElement

from domain.billing.cycles import Course
from domain.billing.periods import zone_named
from domain.billing.statement import Billed, Key, Window
from domain.billing.subscriptions import BILLED
from domain.billing.timeline import ChargeTerms, Phase, PlanTerms
from models.tenant.billing import Plan, Subscription, SubscriptionChange
from models.tenant.usage import Charge, Meter

_USAGE = text("""
SELECT w.n, CASE w.aggregation
         WHEN 'count' THEN (SELECT count(*)::numeric FROM usage_events e WHERE e.tenant_id = :tenant_id AND e.customer_id = w.customer_id
                               AND e.code = w.code AND e.timestamp >= w.starts_at AND e.timestamp < w.ends_at)
         WHEN 'sum' THEN (SELECT sum(e.value) FROM usage_events e WHERE e.tenant_id = :tenant_id AND e.customer_id = w.customer_id
                             AND e.code = w.code AND e.timestamp >= w.starts_at AND e.timestamp < w.ends_at)
         WHEN 'max' THEN (SELECT max(e.value) FROM usage_events e WHERE e.tenant_id = :tenant_id AND e.customer_id = w.customer_id
                             AND e.code = w.code AND e.timestamp >= w.starts_at AND e.timestamp < w.ends_at)
         WHEN 'unique' THEN (SELECT count(DISTINCT e.item)::numeric FROM usage_events e WHERE e.tenant_id = :tenant_id AND e.customer_id = w.customer_id
                                AND e.code = w.code AND e.timestamp >= w.starts_at AND e.timestamp < w.ends_at)
         WHEN 'latest' THEN (SELECT e.value FROM usage_events e WHERE e.tenant_id = :tenant_id AND e.customer_id = w.customer_id
                                AND e.code = w.code AND e.timestamp >= w.starts_at AND e.timestamp < w.ends_at
                              ORDER BY e.timestamp DESC, e.id DESC LIMIT 1)
       END AS quantity
  FROM unnest(CAST(:customers AS uuid[]), CAST(:codes AS text[]), CAST(:aggregations AS text[]), CAST(:starts AS timestamptz[]),
              CAST(:ends AS timestamptz[])) WITH ORDINALITY AS w (customer_id, code, aggregation, starts_at, ends_at, n)
""")
"""The server counts; what comes back is one row per window, however many events there are."""

_BILLED = text("""
WITH lines AS (
    SELECT i.subscription_id, l.charge, l.starts_at, l.ends_at, i.state, i.credited, sum(l.amount) AS amount
      FROM invoices i JOIN invoice_lines l ON l.tenant_id = i.tenant_id AND l.invoice_id = i.id
     WHERE i.tenant_id = :tenant_id AND i.subscription_id = ANY(:subscriptions) AND l.charge IS NOT NULL AND l.ends_at > :since
     GROUP BY i.id, 1, 2, 3, 4, 5, 6
)
SELECT subscription_id, charge, starts_at, ends_at, sum(amount) AS amount,
       coalesce(sum(CASE WHEN amount > 0 THEN greatest(amount - credited, 0) ELSE amount END)
                FILTER (WHERE state IN ('open', 'paid')), 0) AS debited
  FROM lines GROUP BY 1, 2, 3, 4
""")
"""A credit note is not for a line, so what it gave back counts against each: nothing is given back twice."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """Usage that is wanted: a window of a customer."""

    customer_id: UUID
    window: Window


def is_billed() -> ColumnElement[bool]:
    """SQL: cycles go on for the subscription. One that waits for its first payment has had its first invoice."""
    return or_(
        Subscription.state.in_(BILLED), (Subscription.state == "incomplete") & (Subscription.periods_billed == 0)
    )


def plan_terms(session: Session, tenant_id: UUID, plan_ids: Iterable[UUID]) -> dict[UUID, PlanTerms]:
    """The plans' prices with their charges, by id."""
    wanted = set(plan_ids)
    charges: dict[UUID, list[ChargeTerms]] = defaultdict(list)
    of_plans = (
        select(Charge, Meter)
        .join(Meter, (Meter.tenant_id == Charge.tenant_id) & (Meter.id == Charge.meter_id))
        .where(Charge.tenant_id == tenant_id, Charge.plan_id.in_(wanted))
        .order_by(Charge.id)
    )
    for charge, meter in session.execute(of_plans):
        charges[charge.plan_id].append(
            ChargeTerms(charge.id, meter.code, charge.name, meter.aggregation, charge.model, charge.terms)
        )
    plans = session.scalars(select(Plan).where(Plan.tenant_id == tenant_id, Plan.id.in_(wanted)))
    return {
        plan.id: PlanTerms(
            plan.id, plan.code, plan.name, plan.amount, plan.currency, plan.interval, plan.interval_count,
            plan.pay_in_advance, tuple(charges[plan.id]),
        )
        for plan in plans
    }  # fmt: skip


def phases_of(
    session: Session, tenant_id: UUID, subscriptions: Sequence[Subscription]
) -> dict[UUID, tuple[Phase, ...]]:
    """Each subscription's phases; one that never changed has its plan since its anchor."""
    changes: dict[UUID, list[SubscriptionChange]] = defaultdict(list)
    of_these = select(SubscriptionChange).where(
        SubscriptionChange.tenant_id == tenant_id, SubscriptionChange.subscription_id.in_([s.id for s in subscriptions])
    )
    for change in session.scalars(of_these.order_by(SubscriptionChange.at)):
        changes[change.subscription_id].append(change)
    used = {subscription.plan_id for subscription in subscriptions}
    used |= {change.plan_id for found in changes.values() for change in found}
    terms = plan_terms(session, tenant_id, used)
    return {
        subscription.id: tuple(
            Phase(change.at, terms[change.plan_id], change.paused) for change in changes[subscription.id]
        )
        or (Phase(subscription.anchor_at, terms[subscription.plan_id]),)
        for subscription in subscriptions
    }


def course_of(subscription: Subscription, phases: tuple[Phase, ...], timezone: str) -> Course:
    """The subscription as cycles see it. Raises `InvalidPayload` for a customer in no time zone."""
    return Course(
        subscription.anchor_at, zone_named(timezone), phases, subscription.periods_billed, subscription.cancel_at
    )


def measured(session: Session, tenant_id: UUID, wanted: Sequence[Measurement]) -> list[Decimal]:
    """The quantity of each window, in order; 0 where nothing was used."""
    if not wanted:
        return []
    rows = session.execute(_USAGE, {
        "tenant_id": tenant_id,
        "customers": [each.customer_id for each in wanted],
        "codes": [each.window.charge.code for each in wanted],
        "aggregations": [each.window.charge.aggregation for each in wanted],
        "starts": [each.window.start for each in wanted],
        "ends": [each.window.end for each in wanted],
    })  # fmt: skip
    found = {row.n: row.quantity for row in rows}
    return [Decimal(found.get(number) or 0) for number in range(1, len(wanted) + 1)]


def billed_before(
    session: Session, tenant_id: UUID, subscription_ids: Sequence[UUID], since: datetime
) -> dict[UUID, dict[Key, Billed]]:
    """What lines have billed for spans that end after `since`, by subscription and key."""
    found: dict[UUID, dict[Key, Billed]] = defaultdict(dict)
    if subscription_ids:
        parameters = {"tenant_id": tenant_id, "subscriptions": list(subscription_ids), "since": since}
        for row in session.execute(_BILLED, parameters):
            key = (row.charge, row.starts_at, row.ends_at)
            found[row.subscription_id][key] = Billed(int(row.amount), int(row.debited))
    return found
