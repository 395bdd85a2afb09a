"""Two beats at once: the tick is doubled, the invoices are not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import func, select

from bench.engine import Engine, until
from domain.billing.periods import Cadence, period, zone_named
from domain.ids import new_id
from models.tenant import Customer, Invoice, Plan, Subscription
from tenancy.access import Tenancy

pytestmark = pytest.mark.faults

DAYS = 5


def subscribe(tenancy: Tenancy, tenant: UUID) -> None:
    """A daily plan that began some days ago and was never billed."""
    anchor = datetime.now(UTC) - timedelta(days=DAYS, hours=1)
    first = period(Cadence(anchor, "day", 1, zone_named("UTC")), 0)
    plan_id, customer_id = new_id(), new_id()
    with tenancy.session(tenant) as session:
        session.add(Plan(tenant_id=tenant, id=plan_id, code="daily", name="Daily", amount=100, currency="EUR", interval="day",
                         interval_count=1))  # fmt: skip
        session.add(Customer(tenant_id=tenant, id=customer_id, name="Guest", email="guest@example.com", timezone="UTC"))
        session.flush()
        session.add(
            Subscription(
                tenant_id=tenant,
                id=new_id(),
                plan_id=plan_id,
                customer_id=customer_id,
                anchor_at=anchor,
                next_cycle_at=first.end,
                state="active",
            )
        )
    tenancy.platform.fetch(
        "UPDATE tenants SET billing_due_at = %(due)s WHERE id = %(id)s", {"due": first.end, "id": tenant}
    )


def test_two_beats_bill_each_period_once(engine: Engine, tenancy: Tenancy, tenant: UUID, tmp_path: Path) -> None:
    subscribe(tenancy, tenant)
    engine.dispatcher()
    engine.worker("billing", "default")
    for number in range(2):
        engine.beat(tmp_path / f"schedule-{number}")

    def invoices() -> int:
        with tenancy.session(tenant) as session:
            return session.scalar(select(func.count()).select_from(Invoice)) or 0

    until(lambda: invoices() >= DAYS, 40, "an invoice for each day")
    # Due again at once: every further tick of either beat submits a cycle, and none of them finds a period to bill.
    for cycles in range(finished_cycles(tenancy) + 1, finished_cycles(tenancy) + 4):
        tenancy.platform.fetch("UPDATE tenants SET billing_due_at = now() WHERE id = %(id)s", {"id": tenant})
        until(lambda wanted=cycles: finished_cycles(tenancy) >= wanted, 20, "another cycle")  # type: ignore[misc]
    assert invoices() == DAYS
    with tenancy.session(tenant) as session:
        subscription = session.scalars(select(Subscription)).one()
        assert subscription.periods_billed == DAYS
    assert tenancy.platform.fetch("SELECT 1 FROM jobs WHERE kind = 'billing.cycle' AND state = 'failed'", {}) == []


def finished_cycles(tenancy: Tenancy) -> int:
    """Cycles that have succeeded."""
    query = "SELECT count(*) AS cycles FROM jobs WHERE kind = 'billing.cycle' AND state = 'succeeded'"
    return int(tenancy.platform.fetch(query, {})[0]["cycles"])
