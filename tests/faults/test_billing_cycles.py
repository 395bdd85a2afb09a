"""A worker that is killed in the middle of a billing cycle: each period is billed once, without a gap in the numbers."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import func, select, text

from bench.engine import Engine, until
from domain.identity.principals import system
from domain.ids import new_id
from jobs.submit import NewJob, submit
from models.tenant import Customer, Invoice, Plan
from tenancy.access import Tenancy
from tests.faults.conftest import state

pytestmark = pytest.mark.faults

SUBSCRIPTIONS, PERIODS = 1200, 3
ANCHOR, UNTIL = datetime(2026, 1, 31, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC)
_MANY = text("""
INSERT INTO subscriptions (tenant_id, id, customer_id, plan_id, anchor_at, next_cycle_at)
SELECT :tenant_id, gen_random_uuid(), :customer_id, :plan_id, :anchor, :anchor + interval '28 days' FROM generate_series(1, :count)
""")


@pytest.fixture
def due(tenancy: Tenancy, tenant: UUID) -> UUID:
    """A tenant with many subscriptions that are three periods behind."""
    with tenancy.session(tenant) as session:
        customer = Customer(tenant_id=tenant, id=new_id(), name="Ada", email="ada@example.com")
        plan = Plan(tenant_id=tenant, id=new_id(), code="p", name="P", amount=500, currency="EUR", interval="month")
        session.add_all([customer, plan])
        session.flush()
        parameters = {"tenant_id": tenant, "customer_id": customer.id, "plan_id": plan.id, "anchor": ANCHOR}
        session.execute(_MANY, {**parameters, "count": SUBSCRIPTIONS})
    return tenant


def billed(tenancy: Tenancy, tenant_id: UUID) -> int:
    with tenancy.session(tenant_id) as session:
        return session.scalar(select(func.count()).select_from(Invoice)) or 0


def test_a_cycle_whose_worker_is_killed_bills_each_period_once(engine: Engine, tenancy: Tenancy, due: UUID) -> None:
    engine.dispatcher()
    first = engine.worker("billing", name="first")
    payload = {"until": UNTIL.isoformat()}
    job = submit(
        tenancy, NewJob(kind="billing.cycle", payload=payload, principal=system("beat", due), unique_key="cycle")
    )
    until(lambda: billed(tenancy, due) > 0, 60, "the first page")
    engine.kill(first)
    left = billed(tenancy, due)
    assert 0 < left < SUBSCRIPTIONS * PERIODS, "it was killed in the middle"

    engine.worker("billing", name="second")
    until(lambda: state(tenancy, job.id) == "succeeded", 120, "the cycle")

    with tenancy.session(due) as session:
        numbers = list(session.scalars(select(Invoice.number).order_by(Invoice.number)))
        periods = session.execute(select(Invoice.subscription_id, Invoice.period_start).distinct()).all()
    assert numbers == list(range(1, SUBSCRIPTIONS * PERIODS + 1))
    assert len(periods) == SUBSCRIPTIONS * PERIODS
    published = tenancy.platform.fetch(
        "SELECT count(*) AS n, count(DISTINCT key) AS keys FROM events WHERE tenant_id = %(id)s AND name = 'invoice.finalised'",
        {"id": due},
    )[0]
    assert (published["n"], published["keys"]) == (SUBSCRIPTIONS * PERIODS, SUBSCRIPTIONS * PERIODS)
