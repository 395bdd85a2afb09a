"""Dispatchers that are killed while schedules are due: each period is fired once, by whichever lived."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from bench.engine import Engine, until
from config.settings import Settings
from domain.ids import new_id
from domain.schedules.missed import Missed
from jobs import schedules
from jobs.firing import period_key
from jobs.schedules import Definition
from tenancy.access import Tenancy
from tenancy.identity.principals import permissions_of
from tenancy.scopes import tenant_scope

pytestmark = pytest.mark.faults

SCHEDULES, PERIODS = 400, 8
"""A round moves 50 schedules on by four periods each."""


@pytest.fixture
def due(settings: Settings, tenancy: Tenancy, tenant: UUID) -> Iterator[set[str]]:
    """The keys of the periods that yearly schedules missed, and that are all to be made up for."""
    tenancy.platform.fetch("DELETE FROM schedules", {})
    found = tenancy.platform.fetch("SELECT user_id FROM memberships WHERE tenant_id = %(id)s", {"id": tenant})
    owner = permissions_of(tenancy.platform, f"user:{found[0]['user_id']}", tenant)
    assert owner is not None
    now = datetime.now(UTC)
    missed = [datetime(now.year - back, 1, 1, tzinfo=UTC) for back in range(PERIODS)]
    keys: set[str] = set()
    with tenancy.platform.session(tenant_scope(tenant)) as session:
        for number in range(SCHEDULES):
            schedule_id = new_id()
            yearly = Definition(str(number), "system.ping", {}, "@yearly", "UTC", Missed.ALL)
            values = schedules.columns(tenancy, owner, schedule_id, yearly)
            schedules.create(session, tenant, schedule_id, values, missed[-1] - timedelta(days=1))
            keys |= {period_key(schedule_id, period) for period in missed}
    yield keys
    tenancy.platform.fetch("DELETE FROM schedules", {})


def test_dispatchers_killed_while_they_fire_lose_and_double_nothing(
    engine: Engine, tenancy: Tenancy, due: set[str]
) -> None:
    for _ in range(3):
        firing = engine.dispatcher()
        until(lambda: inserting(tenancy), 40, "a leader that inserts jobs", pause=0.001)
        engine.kill(firing)
        assert len(fired(tenancy)) < len(due)
    for _ in range(2):
        engine.dispatcher()
    until(lambda: waiting(tenancy) == 0, 60, "all schedules moved on")
    assert sorted(fired(tenancy)) == sorted(due)


def inserting(tenancy: Tenancy) -> bool:
    """Whether a dispatcher is between the first and the last of a round's inserts."""
    query = "SELECT 1 FROM pg_stat_activity WHERE state <> 'idle' AND query LIKE '%%INSERT INTO jobs%%' AND pid <> pg_backend_pid()"
    return bool(tenancy.platform.fetch(query, {}))


def waiting(tenancy: Tenancy) -> int:
    """Schedules that have periods to fire, or that rest."""
    query = "SELECT count(*) AS waiting FROM schedules WHERE next_at <= now() OR next_at IS NULL"
    return int(tenancy.platform.fetch(query, {})[0]["waiting"])


def fired(tenancy: Tenancy) -> list[str]:
    """Keys of the jobs that are there, one each."""
    return [row["key"] for row in tenancy.platform.fetch("SELECT idempotency_key AS key FROM jobs", {})]
