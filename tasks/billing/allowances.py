"""What the operator's books say that each tenant may use, taken over to where jobs are made and counted.

The books may lie in another database, so this is a copy, renewed with each run of `usage.collect`. Counting goes on meanwhile:
a run sets what may be used, and of what is used only ever the larger of what was counted and what was metered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from sqlalchemy import or_, select, text
from sqlalchemy.orm import Session

from bus.events import publish
from domain.billing.periods import Cadence, Period, period, zone_named
from domain.billing.quotas import Quota, allowances
from domain.billing.statement import Window
from domain.billing.subscriptions import LIVE
from domain.billing.timeline import ChargeTerms
from domain.billing.usage import number_at
from domain.errors import InvalidPayload, NexusError
from jobs.context import JobContext
from models.tenant import Customer, Plan, Subscription
from models.tenant.billing_reads import Measurement, measured
from tenancy.database import Row
from tenancy.scopes import tenant_scope

_EMPTY = text("'{}'::jsonb")

# A row that stays in its period keeps what was counted, for the books learn of that later.
_SET: LiteralString = """
WITH wanted AS (
    SELECT w.* FROM unnest(%(tenants)s::uuid[], %(codes)s::text[], %(starts)s::timestamptz[], %(ends)s::timestamptz[],
                           %(quotas)s::bigint[], %(hard)s::bool[], %(used)s::bigint[])
        AS w (tenant_id, code, period_start, period_end, quota, hard, used)
      JOIN tenants t ON t.id = w.tenant_id
     ORDER BY w.tenant_id, w.code
), gone AS (
    DELETE FROM plan_allowances p
     WHERE NOT EXISTS (SELECT FROM wanted w WHERE w.tenant_id = p.tenant_id AND w.code = p.code)
)
INSERT INTO plan_allowances AS p (tenant_id, code, period_start, period_end, quota, hard, used)
SELECT tenant_id, code, period_start, period_end, quota, hard, used FROM wanted
ON CONFLICT (tenant_id, code) DO UPDATE
   SET period_start = excluded.period_start, period_end = excluded.period_end, quota = excluded.quota, hard = excluded.hard,
       used = CASE WHEN p.period_start = excluded.period_start THEN greatest(p.used, excluded.used) ELSE excluded.used END,
       told = p.told AND p.period_start = excluded.period_start AND p.quota = excluded.quota
"""
_UNTOLD: LiteralString = """
SELECT tenant_id, code, quota, hard, used, period_start, period_end FROM plan_allowances
 WHERE NOT told AND quota > 0 AND used >= quota
"""
_TOLD: LiteralString = """
UPDATE plan_allowances SET told = true
 WHERE tenant_id = %(tenant_id)s AND code = %(code)s AND period_start = %(period_start)s AND quota = %(quota)s
"""


@dataclass(frozen=True, slots=True)
class _Allowed:
    tenant_id: UUID
    customer_id: UUID
    code: str
    quota: Quota
    period: Period

    @property
    def measurement(self) -> Measurement:
        counting = ChargeTerms(self.customer_id, self.code, self.code, "count", "standard", {})
        return Measurement(self.customer_id, Window(counting, self.period.start, self.period.end))


def refresh_allowances(context: JobContext, customers: Mapping[UUID, UUID], now: datetime) -> int:
    """Set what each tenant may use by its plan, and tell those who have used it up; returns how many quotas there are."""
    with context.session() as session:
        allowed = list(
            {(each.tenant_id, each.code): each for each in _allowed(context, session, customers, now)}.values()
        )
        used = measured(session, context.tenant_id, [each.measurement for each in allowed])
    context.tenancy.platform.fetch(_SET, {
        "tenants": [each.tenant_id for each in allowed],
        "codes": [each.code for each in allowed],
        "starts": [each.period.start for each in allowed],
        "ends": [each.period.end for each in allowed],
        "quotas": [each.quota.limit for each in allowed],
        "hard": [each.quota.hard for each in allowed],
        "used": [int(quantity) for quantity in used],
    })  # fmt: skip
    for row in context.tenancy.platform.fetch(_UNTOLD, {}):
        context.check()
        try:
            _tell(context, row)
        except (
            NexusError
        ) as error:  # a tenant whose keys are gone or cannot be had now is told by a later run, or never
            context.log.warning("billing.quota_untold", of=str(row["tenant_id"]), code=error.code)
    return len(allowed)


def _allowed(
    context: JobContext, session: Session, customers: Mapping[UUID, UUID], now: datetime
) -> Iterator[_Allowed]:
    """The quotas of the running periods; of two subscriptions that name the same, the newer one's comes last."""
    tenants = {customer_id: tenant_id for tenant_id, customer_id in customers.items()}
    for subscription, plan, customer in _entitling(session, context.tenant_id):
        try:
            running = _running(subscription, plan, customer, now)
        except InvalidPayload as error:
            context.log.warning("billing.zone_unknown", customer_id=str(customer.id), detail=error.detail)
            continue
        if customer.id in tenants:
            for code, quota in allowances(plan.entitlements, plan.quotas).items():
                yield _Allowed(tenants[customer.id], customer.id, code, quota, running)


def _entitling(session: Session, seller: UUID) -> Sequence[tuple[Subscription, Plan, Customer]]:
    """Also those that are paused or not paid: who does not pay may not use more than who does."""
    found = session.execute(
        select(Subscription, Plan, Customer)
        .join(Plan, (Plan.tenant_id == Subscription.tenant_id) & (Plan.id == Subscription.plan_id))
        .join(Customer, (Customer.tenant_id == Subscription.tenant_id) & (Customer.id == Subscription.customer_id))
        .where(Subscription.tenant_id == seller, Subscription.state.in_(LIVE), Customer.external_id.is_not(None))
        .where(or_(Plan.quotas != _EMPTY, Plan.entitlements != _EMPTY))
        .order_by(Subscription.id)
    )
    return [(row[0], row[1], row[2]) for row in found]


def _running(subscription: Subscription, plan: Plan, customer: Customer, now: datetime) -> Period:
    """The period that holds `now`; a trial is one of its own."""
    if now < subscription.anchor_at:
        return Period(min(subscription.created_at, now), subscription.anchor_at)
    zone = zone_named(customer.timezone)
    cadence = Cadence(subscription.anchor_at, plan.interval, plan.interval_count, zone)
    return period(cadence, number_at(cadence, now))


def _tell(context: JobContext, row: Row) -> None:
    """Publish that the quota is used up, in the transaction that notes that it was told."""
    payload: dict[str, Any] = {
        "code": row["code"], "limit": row["quota"], "used": row["used"], "hard": row["hard"],
        "period_end": row["period_end"].isoformat(),
    }  # fmt: skip
    vault = context.tenancy.vault(row["tenant_id"])
    key = f"quota:{row['code']}:{row['quota']}:{row['period_start'].isoformat()}"
    with context.tenancy.platform.session(tenant_scope(row["tenant_id"])) as session:
        publish(session, vault, "quota.reached", {"quota": payload}, key=key)
        session.connection().exec_driver_sql(_TOLD, row)
