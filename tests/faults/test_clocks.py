"""A machine whose clock jumps a day ahead or back: leases, schedules and billing go by the database's clock, tokens forgive seconds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import time_machine

from domain.identity.principals import system
from domain.ids import new_id
from domain.schedules.missed import Missed
from jobs import schedules
from jobs.firing import fire_due
from jobs.leases import renew
from jobs.reconcile import reclaim_expired
from jobs.schedules import Definition
from tenancy.access import Tenancy
from tenancy.identity.principals import permissions_of
from tenancy.scopes import tenant_scope
from tests.faults.conftest import make_tenant
from tests.integration.jobs.conftest import dispatch_and_claim, submit_pings
from workers.ticks import now_of

pytestmark = pytest.mark.faults

DAY = timedelta(days=1)
JUMPS = pytest.mark.parametrize("jump", [DAY, -DAY], ids=["ahead", "back"])


@pytest.fixture
def jumped(jump: timedelta) -> Any:
    """This machine's clock, a day off."""
    return time_machine.travel(datetime.now(UTC) + jump, tick=True)


@JUMPS
def test_a_lease_is_kept_or_lost_by_the_databases_clock(tenancy: Tenancy, tenant: UUID, jumped: Any) -> None:
    held, lost = submit_pings(tenancy, tenant, 2)
    _, token = dispatch_and_claim(tenancy, held)
    dispatch_and_claim(tenancy, lost, lease=-1)
    with jumped:
        assert reclaim_expired(tenancy, lambda: 0.0) == 1
        assert renew(tenancy.platform, {held: token}, 60.0) == {held: False}
        assert reclaim_expired(tenancy, lambda: 0.0) == 0


@JUMPS
def test_a_schedule_fires_what_is_due_once_and_takes_nothing_for_missed(
    tenancy: Tenancy, tenant: UUID, jumped: Any, schedule: Callable[[str], UUID]
) -> None:
    tenancy.platform.fetch("DELETE FROM schedules", {})
    due, later = schedule("due"), schedule("later")
    tenancy.platform.fetch("UPDATE schedules SET next_at = now() - interval '1 second' WHERE id = %(id)s", {"id": due})
    tenancy.platform.fetch("UPDATE schedules SET next_at = now() + interval '1 hour' WHERE id = %(id)s", {"id": later})
    with jumped:
        assert [fire_due(tenancy) for _ in range(3)] == [1, 0, 0]
    rows = tenancy.platform.fetch("SELECT id, last_fired_at, next_at - now() AS wait FROM schedules", {})
    assert {row["id"]: row["last_fired_at"] is not None for row in rows} == {due: True, later: False}
    assert all(timedelta(0) < row["wait"] <= timedelta(hours=1) for row in rows), "and it comes again on time"


@JUMPS
def test_what_ticks_ask_for_is_due_by_the_databases_clock(tenancy: Tenancy, jumped: Any) -> None:
    with jumped:
        moment = now_of(tenancy)
    assert abs(moment - datetime.now(UTC)) < timedelta(minutes=5)


@pytest.fixture
def schedule(tenancy: Tenancy, settings: Any) -> Callable[[str], UUID]:
    """Makes an hourly schedule of its own tenant's owner."""
    tenant_id = make_tenant(settings, tenancy)
    owner = tenancy.platform.fetch("SELECT created_by FROM tenants WHERE id = %(id)s", {"id": tenant_id})[0]
    who = permissions_of(tenancy.platform, f"user:{owner['created_by']}", tenant_id) or system("test", tenant_id)

    def make(name: str) -> UUID:
        schedule_id = new_id()
        definition = Definition(
            kind="system.ping", payload={}, cron="@hourly", timezone="UTC", missed=Missed.LAST, name=name
        )
        web = Tenancy(settings, "web")
        values = schedules.columns(web, who, schedule_id, definition)
        with web.platform.session(tenant_scope(tenant_id)) as session:
            schedules.create(session, tenant_id, schedule_id, values, datetime.now(UTC))
        web.dispose()
        return schedule_id

    return make
