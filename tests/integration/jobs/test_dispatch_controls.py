"""What operators say to the dispatcher, obeyed: pauses, caps, rates and weights; and the order by rank."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from domain.jobs.limits import Limits
from jobs.controls import Controls
from jobs.dispatch import Picked, Pool, Scheduler
from tenancy.access import Tenancy
from tests.integration.jobs.conftest import MEANS, submit_pings

pytestmark = pytest.mark.usefixtures("quiet")


def round_of(
    scheduler: Scheduler, tenancy: Tenancy, controls: Controls, slots: int = 4, now: float = 0.0
) -> list[Picked]:
    return scheduler.pick(tenancy.platform, [Pool(("default", "billing"), slots)], MEANS, controls, now)


def test_what_is_paused_is_left_alone(engine_tenancy: Tenancy, make_tenant: Callable[..., UUID]) -> None:
    held, free = make_tenant(), make_tenant()
    submit_pings(engine_tenancy, held, 2)
    (job_id,) = submit_pings(engine_tenancy, free, 1)
    scheduler = Scheduler()
    for controls in (
        Controls(paused_queues=frozenset({"default"})),
        Controls(paused_kinds=frozenset({"system.ping"})),
        Controls(paused_tenants=frozenset({held, free})),
    ):
        assert round_of(scheduler, engine_tenancy, controls) == []
    one = round_of(scheduler, engine_tenancy, Controls(paused_tenants=frozenset({held})))
    assert [each.id for each in one] == [job_id]


def test_a_cap_counts_what_is_in_flight_and_leaves_the_rest_to_others(
    engine_tenancy: Tenancy, make_tenant: Callable[..., UUID]
) -> None:
    capped, other = make_tenant(), make_tenant()
    mine = submit_pings(engine_tenancy, capped, 9)
    submit_pings(engine_tenancy, other, 9)
    controls = Controls(limits={capped: Limits(max_running=2)})
    scheduler = Scheduler()
    first = {each.id for each in round_of(scheduler, engine_tenancy, controls)}
    assert (len(first), len(first & set(mine))) == (8, 2)
    assert not {each.id for each in round_of(scheduler, engine_tenancy, controls, slots=16)} & set(mine)


def test_a_rate_holds_over_time(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    submit_pings(engine_tenancy, pooled_tenant, 30)
    controls = Controls(limits={pooled_tenant: Limits(rate_per_second=2.0, burst=3)})
    scheduler = Scheduler()
    counts = [
        len(round_of(scheduler, engine_tenancy, controls, slots=20, now=now))
        for now in (0.0, 0.4, 0.5, 1.0, 60.0, 60.1)
    ]
    assert counts == [0, 0, 1, 1, 3, 0]


def test_shares_follow_weights_over_rounds(engine_tenancy: Tenancy, make_tenant: Callable[..., UUID]) -> None:
    heavy, light = make_tenant(), make_tenant()
    owner = dict.fromkeys(submit_pings(engine_tenancy, heavy, 60), "heavy")
    owner |= dict.fromkeys(submit_pings(engine_tenancy, light, 60), "light")
    controls = Controls(limits={heavy: Limits(weight=3.0)})
    scheduler = Scheduler()
    counted: Counter[str] = Counter()
    for _ in range(10):
        counted.update(owner[each.id] for each in round_of(scheduler, engine_tenancy, controls, slots=2))
        engine_tenancy.platform.fetch("UPDATE jobs SET state = 'cancelled' WHERE state = 'dispatched'", {})
    assert sum(counted.values()) == 40
    assert counted["heavy"] in range(28, 33)


def test_long_runs_are_paid_for(engine_tenancy: Tenancy, make_tenant: Callable[..., UUID]) -> None:
    slow, quick = make_tenant(), make_tenant()
    submit_pings(engine_tenancy, slow, 20)
    mine = set(submit_pings(engine_tenancy, quick, 20))
    scheduler = Scheduler()
    first = round_of(scheduler, engine_tenancy, Controls(), slots=4)
    assert len(mine & {each.id for each in first}) == 4
    engine_tenancy.platform.fetch("UPDATE jobs SET state = 'cancelled' WHERE state = 'dispatched'", {})
    scheduler.settle("default", slow, 4, 100.0)
    scheduler.settle("default", quick, 4, 0.4)
    assert {each.id for each in round_of(scheduler, engine_tenancy, Controls(), slots=4)} <= mine


def test_a_newcomer_goes_past_a_full_pool(engine_tenancy: Tenancy, make_tenant: Callable[..., UUID]) -> None:
    noisy, quiet = make_tenant(), make_tenant()
    submit_pings(engine_tenancy, noisy, 50)
    scheduler = Scheduler()
    assert len(round_of(scheduler, engine_tenancy, Controls(), slots=2)) == 4
    assert round_of(scheduler, engine_tenancy, Controls(), slots=2) == []
    assert scheduler.is_full
    ids = submit_pings(engine_tenancy, quiet, 2)
    assert [(each.id, each.express) for each in round_of(scheduler, engine_tenancy, Controls(), slots=2)] == [
        (ids[0], True)
    ]


def test_ten_seconds_of_waiting_weigh_a_point_of_priority(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    now = datetime.now(UTC)
    (old,) = submit_pings(engine_tenancy, pooled_tenant, 1, run_at=now - timedelta(seconds=61))
    (urgent,) = submit_pings(engine_tenancy, pooled_tenant, 1, priority=5)
    (pressing,) = submit_pings(engine_tenancy, pooled_tenant, 1, priority=7)
    picked = round_of(Scheduler(), engine_tenancy, Controls())
    assert [each.id for each in picked] == [pressing, old, urgent]
