"""A worker that is killed while it passes usage on: each thing that was metered is in the operator's books once."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import func, select, text

from bench.engine import Engine, until
from config.settings import Settings
from domain.identity.principals import system
from domain.ids import new_id
from jobs.submit import NewJob, submit
from models.tenant import Customer, MeteredUsage, UsageEvent
from tenancy.access import Tenancy
from tests.faults.conftest import make_tenant, state

pytestmark = pytest.mark.faults

USED = 60_000
_MANY = text("""
INSERT INTO metered_usage (tenant_id, id, code, quantity, source_kind, source_id)
SELECT :tenant_id, gen_random_uuid(), 'message.email', 1, 'message', gen_random_uuid() FROM generate_series(1, :count)
""")


@pytest.fixture
def buyer(tenancy: Tenancy, tenant: UUID, settings: Settings) -> UUID:
    """A customer of `tenant` with a database of its own, which has sent many messages."""
    other = make_tenant(settings, tenancy, "Buyer", "dedicated")
    with tenancy.session(tenant) as session:
        session.add(Customer(tenant_id=tenant, id=new_id(), name="B", email="b@example.com", external_id=str(other)))
    with tenancy.session(other) as session:
        session.execute(_MANY, {"tenant_id": other, "count": USED})
    return other


def events(tenancy: Tenancy, tenant_id: UUID) -> int:
    with tenancy.session(tenant_id) as session:
        return session.scalar(select(func.count()).select_from(UsageEvent)) or 0


def unrelayed(tenancy: Tenancy, tenant_id: UUID) -> int:
    waiting = select(func.count()).select_from(MeteredUsage).where(MeteredUsage.relayed_at.is_(None))
    with tenancy.session(tenant_id) as session:
        return session.scalar(waiting) or 0


def test_a_relay_whose_worker_is_killed_passes_each_on_once(
    engine: Engine, tenancy: Tenancy, tenant: UUID, buyer: UUID
) -> None:
    engine.dispatcher()
    first = engine.worker("billing", name="first")
    job = submit(
        tenancy, NewJob(kind="usage.relay", payload={"tenant_id": str(buyer)}, principal=system("beat", tenant))
    )
    until(lambda: events(tenancy, tenant) > 0, 60, "the first page")
    engine.kill(first)
    left = events(tenancy, tenant)
    assert 0 < left < USED, "it was killed in the middle"

    engine.worker("billing", name="second")
    until(lambda: state(tenancy, job.id) == "succeeded", 180, "the relay")

    assert (events(tenancy, tenant), unrelayed(tenancy, buyer)) == (USED, 0)
    with tenancy.session(tenant) as session:
        sources = session.scalar(select(func.count(func.distinct(UsageEvent.source_id))))
    assert sources == USED
