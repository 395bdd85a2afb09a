"""Choosing what runs next: fair between tenants, by priority within one, never more than there is room for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from domain.jobs.batching import SHARED_BATCH
from jobs.backlog import backlogs, measure
from jobs.control import cancel
from jobs.dispatch import SHARED_SECONDS, Picked, Pool, Scheduler, take_back
from jobs.packing import pack
from jobs.queries import get
from tenancy.access import Tenancy
from tests.integration.jobs.conftest import dispatch, dispatch_and_claim, submit_pings

pytestmark = pytest.mark.usefixtures("quiet")


def test_a_round_takes_no_more_than_the_room_left(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    submit_pings(engine_tenancy, pooled_tenant, 7)
    assert [len(dispatch(engine_tenancy, room)) for room in (4, 4, 6)] == [4, 0, 2]


def test_a_tenant_with_a_deep_backlog_does_not_delay_the_others(
    engine_tenancy: Tenancy, make_tenant: Callable[..., UUID]
) -> None:
    noisy, quiet, calm = make_tenant(), make_tenant(), make_tenant()
    submit_pings(engine_tenancy, noisy, 30)
    submit_pings(engine_tenancy, quiet, 2)
    submit_pings(engine_tenancy, calm, 2)
    dispatch(engine_tenancy, 6)
    rows = engine_tenancy.platform.fetch("SELECT tenant_id FROM jobs WHERE state = 'dispatched'", {})
    assert Counter(row["tenant_id"] for row in rows) == {noisy: 2, quiet: 2, calm: 2}


def test_what_the_others_leave_goes_to_whoever_waits(engine_tenancy: Tenancy, make_tenant: Callable[..., UUID]) -> None:
    noisy, quiet = make_tenant(), make_tenant()
    submit_pings(engine_tenancy, noisy, 30)
    submit_pings(engine_tenancy, quiet, 1)
    assert len(dispatch(engine_tenancy, 20)) == 20


def test_higher_priority_goes_first_within_a_tenant(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    submit_pings(engine_tenancy, pooled_tenant, 3)
    urgent = submit_pings(engine_tenancy, pooled_tenant, 2, priority=10)
    assert [each.id for each in dispatch(engine_tenancy, 2)] == urgent


def test_jobs_of_one_priority_run_in_the_order_they_came(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    ids = submit_pings(engine_tenancy, pooled_tenant, 10)
    assert [each.id for each in dispatch(engine_tenancy, 10)] == ids


def test_a_job_is_not_dispatched_before_its_time(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    submit_pings(engine_tenancy, pooled_tenant, 1, run_at=datetime.now(UTC) + timedelta(hours=1))
    assert dispatch(engine_tenancy, 10) == []


@pytest.mark.parametrize("state", ["scheduled", "retrying"])
def test_a_job_whose_time_has_come_is_dispatched(engine_tenancy: Tenancy, pooled_tenant: UUID, state: str) -> None:
    (job_id,) = submit_pings(engine_tenancy, pooled_tenant, 1, run_at=datetime.now(UTC) + timedelta(hours=1))
    come = "UPDATE jobs SET state = %(state)s, run_at = now() WHERE id = %(id)s"
    engine_tenancy.platform.fetch(come, {"id": job_id, "state": state})
    assert [each.id for each in dispatch(engine_tenancy, 10)] == [job_id]


def test_a_cancelled_job_is_not_dispatched(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    (job_id,) = submit_pings(engine_tenancy, pooled_tenant, 1)
    cancel(engine_tenancy, pooled_tenant, job_id)
    assert dispatch(engine_tenancy, 10) == []


def test_running_jobs_take_room(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    first, *_ = submit_pings(engine_tenancy, pooled_tenant, 4)
    dispatch_and_claim(engine_tenancy, first)
    assert len(dispatch(engine_tenancy, 2)) == 1


def test_a_message_that_could_not_be_sent_goes_back(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    (job_id,) = submit_pings(engine_tenancy, pooled_tenant, 1)
    messages = pack(dispatch(engine_tenancy, 2), {"default": 1}, {}, 64)
    take_back(engine_tenancy.platform, [item for message in messages for item in message.items])
    assert get(engine_tenancy, pooled_tenant, job_id)["state"] == "queued"


def test_messages_hold_one_kind_and_survivors_of_a_lost_worker_travel_alone() -> None:
    picked = [
        Picked(
            UUID(int=number), "system.ping" if number % 2 else "search.query", "q", 0,
            single=number == 5, deep=True, shared=False, express=number == 8,
        )
        for number in range(10)
    ]  # fmt: skip
    messages = pack(picked, {"q": 1}, {"system.ping": 0.001, "search.query": 0.001}, 64)
    assert sorted((message.kind, len(message.items), message.express) for message in messages) == [
        ("search.query", 1, True), ("search.query", 4, False), ("system.ping", 1, False), ("system.ping", 4, False)
    ]  # fmt: skip


def test_messages_stay_short_while_tenants_share_a_pool(
    engine_tenancy: Tenancy, make_tenant: Callable[..., UUID]
) -> None:
    noisy, quiet = make_tenant(), make_tenant()
    scheduler, means = Scheduler(), {"system.ping": 0.00155}

    def lengths(now: float) -> set[int]:
        submit_pings(engine_tenancy, noisy, 200)
        picked = scheduler.pick(engine_tenancy.platform, [Pool(("default",), 1)], means, now=now)
        engine_tenancy.platform.fetch("DELETE FROM jobs", {})
        return {len(message.items) for message in pack(picked, {"default": 1}, means, 64) if not message.express}

    assert lengths(0.0) == {64}
    submit_pings(engine_tenancy, quiet, 1)
    assert max(lengths(1.0)) <= SHARED_BATCH
    assert lengths(1.0 + SHARED_SECONDS / 2) == {SHARED_BATCH}
    assert lengths(1.1 + SHARED_SECONDS) == {64}


def test_the_backlog_is_counted_per_queue_over_all_tenants(
    engine_tenancy: Tenancy, web_tenancy: Tenancy, make_tenant: Callable[..., UUID]
) -> None:
    first, second = make_tenant(), make_tenant()
    submit_pings(engine_tenancy, first, 2)
    submit_pings(engine_tenancy, second, 1)
    submit_pings(engine_tenancy, second, 1, run_at=datetime.now(UTC) + timedelta(hours=1))
    dispatch(engine_tenancy, 2)
    measure(engine_tenancy.platform, ["default", "billing"])
    counted = {each.queue: (each.due, each.waiting, each.in_flight) for each in backlogs(web_tenancy.platform)}
    assert (counted["default"], counted["billing"]) == ((1, 1, 2), (0, 0, 0))


def test_quick_jobs_share_messages_and_slow_ones_take_a_slot_each(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    submit_pings(engine_tenancy, pooled_tenant, 200)
    quick = dispatch(engine_tenancy, 2, {"system.ping": 0.00155})
    assert (len(quick), {each.deep for each in quick}) == (128, {True})
    assert sorted(len(message.items) for message in pack(quick, {"default": 1}, {"system.ping": 0.00155}, 64)) == [
        64,
        64,
    ]
    engine_tenancy.platform.fetch("UPDATE jobs SET state = 'queued'", {})
    assert len(dispatch(engine_tenancy, 8, {"system.ping": 30.0})) == 4


def test_a_job_of_a_kind_that_this_version_does_not_know_is_left_alone(
    engine_tenancy: Tenancy, pooled_tenant: UUID
) -> None:
    strange, known = submit_pings(engine_tenancy, pooled_tenant, 2)
    engine_tenancy.platform.fetch("UPDATE jobs SET kind = 'later.thing' WHERE id = %(id)s", {"id": strange})
    assert [each.id for each in dispatch(engine_tenancy, 10)] == [known]
