"""Jobs that wait for others: released once, or cancelled with a reason, whatever crashes or runs beside."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any
from uuid import UUID

import pytest

from domain.errors import IdempotencyMismatch, InvalidPayload, Permanent
from domain.identity.principals import system
from domain.ids import new_id
from domain.jobs.families import AfterPolicy
from jobs.bulk import Related, submit_related
from jobs.context import JobContext
from jobs.control import cancel
from jobs.outcomes import failed, record, succeeded
from jobs.queries import get
from jobs.rows import error_of, public
from jobs.submit import NewJob, submit
from jobs.waits import Waits, dependencies
from tenancy.access import Tenancy
from tests.conftest import claim_context
from tests.integration.jobs.conftest import dispatch, dispatch_and_claim, submit_pings

pytestmark = pytest.mark.usefixtures("quiet")

SUCCEEDED, FINISHED = AfterPolicy.ALL_SUCCEEDED, AfterPolicy.ALL_FINISHED


def after(tenancy: Tenancy, tenant: UUID, *others: UUID, policy: AfterPolicy = SUCCEEDED, **options: Any) -> UUID:
    new = NewJob(kind="system.ping", payload={}, principal=system("test", tenant), **options)
    return submit_related(tenancy, Related(new, others, policy)).id


def end(tenancy: Tenancy, tenant: UUID, job_id: UUID, error: Exception | None = None) -> None:
    row, token = dispatch_and_claim(tenancy, job_id)
    vault = tenancy.vault(tenant)
    record(
        tenancy.platform,
        [
            succeeded(job_id, token, row["kind"], {"of": str(job_id)}, vault)
            if error is None
            else failed(job_id, token, row["kind"], error, 1, vault, 0.0)
        ],
    )


def state(tenancy: Tenancy, tenant: UUID, job_id: UUID) -> Any:
    return get(tenancy, tenant, job_id)["state"]


def test_it_waits_for_the_last_one_and_is_dispatched_then(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    first, second = submit_pings(engine_tenancy, pooled_tenant, 2)
    waiting = after(engine_tenancy, pooled_tenant, first, second)
    waits = Waits(engine_tenancy)
    end(engine_tenancy, pooled_tenant, first)
    assert waits.look() == 0
    shown = public(get(engine_tenancy, pooled_tenant, waiting), engine_tenancy.vault(pooled_tenant))
    assert (shown["state"], shown["run_at"]) == ("scheduled", None)

    end(engine_tenancy, pooled_tenant, second)
    assert waits.look() == 1
    assert [row.id for row in dispatch(engine_tenancy, 2)] == [waiting]
    assert waits.look() == 0


def test_jobs_that_have_finished_before_are_no_reason_to_wait(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    (done,) = submit_pings(engine_tenancy, pooled_tenant, 1)
    end(engine_tenancy, pooled_tenant, done)
    waiting = after(engine_tenancy, pooled_tenant, done, done)
    assert Waits(engine_tenancy).look() == 1
    assert [row.id for row in dispatch(engine_tenancy, 2)] == [waiting]


def test_it_waits_for_its_own_time_too(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    (done,) = submit_pings(engine_tenancy, pooled_tenant, 1)
    later = datetime.now(UTC) + timedelta(hours=1)
    waiting = after(engine_tenancy, pooled_tenant, done, run_at=later)
    end(engine_tenancy, pooled_tenant, done)
    Waits(engine_tenancy).look()
    assert get(engine_tenancy, pooled_tenant, waiting)["run_at"] == later
    assert dispatch(engine_tenancy, 2) == []


@pytest.mark.parametrize("way", ["failed", "cancelled"])
def test_one_that_did_not_succeed_cancels_what_needs_all_and_not_what_needs_only_the_end(
    engine_tenancy: Tenancy, pooled_tenant: UUID, way: str
) -> None:
    bad, live = submit_pings(engine_tenancy, pooled_tenant, 2)
    strict = after(engine_tenancy, pooled_tenant, bad, live)
    stricter = after(engine_tenancy, pooled_tenant, strict)
    lenient = after(engine_tenancy, pooled_tenant, bad, strict, policy=FINISHED)
    if way == "failed":
        end(engine_tenancy, pooled_tenant, bad, Permanent("no"))
    else:
        cancel(engine_tenancy, pooled_tenant, bad)
    waits = Waits(engine_tenancy)
    while waits.look():
        pass
    row = get(engine_tenancy, pooled_tenant, strict)
    error = error_of(row, engine_tenancy.vault(pooled_tenant))
    assert (row["state"], row["error_code"]) == ("cancelled", "dependency_failed")
    assert error is not None
    assert str(bad) in error["detail"]
    assert row["expires_at"] is not None
    assert state(engine_tenancy, pooled_tenant, stricter) == "cancelled"
    assert {row.id for row in dispatch(engine_tenancy, 4)} == {live, lenient}


def test_what_was_cancelled_while_it_waited_is_not_released(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    (other,) = submit_pings(engine_tenancy, pooled_tenant, 1)
    waiting = after(engine_tenancy, pooled_tenant, other)
    cancel(engine_tenancy, pooled_tenant, waiting)
    end(engine_tenancy, pooled_tenant, other)
    assert Waits(engine_tenancy).look() == 0
    assert state(engine_tenancy, pooled_tenant, waiting) == "cancelled"
    assert engine_tenancy.platform.fetch("SELECT FROM job_waits WHERE job_id = %(id)s", {"id": waiting}) == []


def test_many_are_looked_at_in_slices_and_none_is_passed_over(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    live, done = submit_pings(engine_tenancy, pooled_tenant, 2)
    blocked = [after(engine_tenancy, pooled_tenant, live) for _ in range(12)]
    free = [after(engine_tenancy, pooled_tenant, done) for _ in range(12)]
    end(engine_tenancy, pooled_tenant, done)
    waits = Waits(engine_tenancy, slice=5)
    assert sum(waits.look() for _ in range(6)) == 12
    assert {row.id for row in dispatch(engine_tenancy, 40)} == {live, *free}
    assert {state(engine_tenancy, pooled_tenant, job_id) for job_id in blocked} == {"scheduled"}


def test_leaders_at_once_release_each_job_once(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    others = submit_pings(engine_tenancy, pooled_tenant, 40)
    waiting = [after(engine_tenancy, pooled_tenant, *others) for _ in range(10)]
    for job_id in others:
        end(engine_tenancy, pooled_tenant, job_id)
    barrier = Barrier(4)

    def lead(_: int) -> int:
        waits, released = Waits(engine_tenancy, slice=37), 0
        for _round in range(30):
            barrier.wait(30)
            released += waits.look()
        return released

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(lead, range(4))) == 10
    rows = [get(engine_tenancy, pooled_tenant, job_id) for job_id in waiting]
    assert {(row["state"], row["version"]) for row in rows} == {("scheduled", 2)}


def test_one_that_expired_unseen_did_not_succeed(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    (gone,) = submit_pings(engine_tenancy, pooled_tenant, 1)
    strict = after(engine_tenancy, pooled_tenant, gone)
    lenient = after(engine_tenancy, pooled_tenant, gone, policy=FINISHED)
    engine_tenancy.platform.fetch("DELETE FROM jobs WHERE id = %(id)s", {"id": gone})
    Waits(engine_tenancy).look()
    assert state(engine_tenancy, pooled_tenant, strict) == "cancelled"
    assert [row.id for row in dispatch(engine_tenancy, 2)] == [lenient]


def test_the_handler_reads_what_the_others_came_to(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    good, bad = submit_pings(engine_tenancy, pooled_tenant, 2)
    waiting = after(engine_tenancy, pooled_tenant, good, bad, policy=FINISHED)
    end(engine_tenancy, pooled_tenant, good)
    end(engine_tenancy, pooled_tenant, bad, Permanent("no", code="not_so"))
    Waits(engine_tenancy).look()
    context, _ = claim_context(engine_tenancy, waiting, system("test", pooled_tenant))
    first, second = context.dependencies()
    assert (first.job_id, first.state, first.result) == (good, "succeeded", {"of": str(good)})
    assert (second.job_id, second.state) == (bad, "failed")
    assert second.error is not None
    assert second.error["code"] == "not_so"


def test_a_handler_submits_a_child_that_waits_for_its_siblings(
    engine_tenancy: Tenancy, pooled_tenant: UUID, make_context: Callable[..., tuple[JobContext, Any]]
) -> None:
    context, _ = make_context("system.ping", pooled_tenant, {})
    siblings = [context.submit("system.ping", {}, key=str(number)) for number in range(3)]
    last = context.submit("system.ping", {}, key="last", after=siblings)
    assert context.submit("system.ping", {}, key="last", after=siblings) == last
    for job_id in siblings:
        end(engine_tenancy, pooled_tenant, job_id)
    assert Waits(engine_tenancy).look() == 1


def test_unknown_and_foreign_jobs_cannot_be_waited_for(
    engine_tenancy: Tenancy, web_tenancy: Tenancy, make_tenant: Callable[..., UUID]
) -> None:
    ours, theirs = make_tenant(), make_tenant()
    (foreign,) = submit_pings(engine_tenancy, theirs, 1)
    (own,) = submit_pings(engine_tenancy, ours, 1)
    for door in (engine_tenancy, web_tenancy):
        for unknown in (foreign, new_id()):
            with pytest.raises(InvalidPayload) as caught:
                after(door, ours, own, unknown)
            assert [fault.pointer for fault in caught.value.errors] == ["/after/1"]
    assert engine_tenancy.platform.fetch("SELECT FROM job_waits WHERE tenant_id = %(t)s", {"t": ours}) == []


def test_whom_it_waits_for_is_part_of_what_was_asked(web_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    first, second = (
        submit(web_tenancy, NewJob(kind="system.ping", payload={}, principal=system("test", pooled_tenant))).id
        for _ in range(2)
    )
    waiting = after(web_tenancy, pooled_tenant, first, second, idempotency_key="k")
    assert after(web_tenancy, pooled_tenant, second, first, idempotency_key="k") == waiting
    with pytest.raises(IdempotencyMismatch):
        after(web_tenancy, pooled_tenant, first, idempotency_key="k")
    assert len(dependencies(web_tenancy, pooled_tenant, waiting)) == 2


def test_what_is_known_of_a_wait_leaves_with_its_job(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    (done,) = submit_pings(engine_tenancy, pooled_tenant, 1)
    kept, gone = (after(engine_tenancy, pooled_tenant, done) for _ in range(2))
    end(engine_tenancy, pooled_tenant, done)
    waits = Waits(engine_tenancy)
    waits.look()
    engine_tenancy.platform.fetch("DELETE FROM jobs WHERE id = %(id)s", {"id": gone})
    waits.forget()
    assert len(dependencies(engine_tenancy, pooled_tenant, kept)) == 1
    assert dependencies(engine_tenancy, pooled_tenant, gone) == []
