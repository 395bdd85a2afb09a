"""Claim, lease, fence, reconcile: what a crash, a duplicate or a late worker may and may not change."""

from __future__ import annotations

from uuid import UUID

import pytest

from domain.errors import IllegalTransition, Permanent, Transient
from domain.identity.principals import system
from domain.ids import new_id
from jobs.control import cancel, replay
from jobs.leases import claim, hand_back, renew, write_progress
from jobs.outcomes import failed, record, succeeded
from jobs.queries import get
from jobs.reconcile import reclaim_expired, requeue_undelivered
from jobs.rows import error_of, result_of
from tenancy.access import Tenancy
from tests.integration.jobs.conftest import dispatch, dispatch_and_claim, submit_pings

pytestmark = pytest.mark.usefixtures("quiet")


def test_a_message_that_comes_twice_is_claimed_once(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    submit_pings(engine_tenancy, pooled_tenant, 1)
    items = [(each.id, each.attempt) for each in dispatch(engine_tenancy, 2)]
    claims = [
        claim(engine_tenancy.platform, items, token=new_id(), worker_id=new_id(), lease_seconds=60) for _ in range(2)
    ]
    assert [len(rows) for rows in claims] == [1, 0]


def test_a_message_of_an_earlier_attempt_claims_nothing(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    (job_id,) = submit_pings(engine_tenancy, pooled_tenant, 1)
    row, token = dispatch_and_claim(engine_tenancy, job_id)
    vault = engine_tenancy.vault(pooled_tenant)
    record(engine_tenancy.platform, [failed(job_id, token, row["kind"], Transient("x"), 1, vault, 0.0)])
    assert len(dispatch(engine_tenancy, 2)) == 1
    assert claim(engine_tenancy.platform, [(job_id, 0)], token=new_id(), worker_id=new_id(), lease_seconds=60) == []


def test_a_result_is_recorded_sealed_and_readable(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    (job_id,) = submit_pings(engine_tenancy, pooled_tenant, 1)
    row, token = dispatch_and_claim(engine_tenancy, job_id)
    vault = engine_tenancy.vault(pooled_tenant)
    record(engine_tenancy.platform, [succeeded(job_id, token, row["kind"], {"answer": 42}, vault)])
    finished = get(engine_tenancy, pooled_tenant, job_id)
    assert (finished["state"], result_of(finished, vault)) == ("succeeded", {"answer": 42})
    assert b"answer" not in bytes(finished["result_sealed"])


def test_the_outcome_of_a_worker_that_lost_its_lease_is_dropped(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    (job_id,) = submit_pings(engine_tenancy, pooled_tenant, 1)
    row, stale = dispatch_and_claim(engine_tenancy, job_id, lease=-1)
    assert reclaim_expired(engine_tenancy, lambda: 0.0) == 1
    dispatch(engine_tenancy, 2)
    _, fresh = dispatch_and_claim(engine_tenancy, job_id)
    vault = engine_tenancy.vault(pooled_tenant)
    assert record(engine_tenancy.platform, [succeeded(job_id, stale, row["kind"], {"from": "stale"}, vault)]) == set()
    assert record(engine_tenancy.platform, [succeeded(job_id, fresh, row["kind"], {"from": "fresh"}, vault)]) == {
        job_id
    }
    assert result_of(get(engine_tenancy, pooled_tenant, job_id), vault) == {"from": "fresh"}


def test_a_renewed_lease_is_not_reclaimed(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    (job_id,) = submit_pings(engine_tenancy, pooled_tenant, 1)
    _, token = dispatch_and_claim(engine_tenancy, job_id, lease=-1)
    assert renew(engine_tenancy.platform, {job_id: token}, 60.0) == {job_id: False}
    assert reclaim_expired(engine_tenancy, lambda: 0.0) == 0


def test_poison_ends_as_failed_with_worker_lost_and_travels_alone_meanwhile(
    engine_tenancy: Tenancy, pooled_tenant: UUID
) -> None:
    (job_id,) = submit_pings(engine_tenancy, pooled_tenant, 1)
    for _ in range(5):
        dispatch_and_claim(engine_tenancy, job_id, lease=-1)
        reclaim_expired(engine_tenancy, lambda: 0.0)
    row = get(engine_tenancy, pooled_tenant, job_id)
    assert (row["state"], row["attempt"], row["error_code"]) == ("failed", 5, "worker_lost")
    singles = engine_tenancy.platform.fetch("SELECT single FROM jobs WHERE id = %(id)s", {"id": job_id})
    assert singles[0]["single"]


def test_a_dispatched_job_whose_message_was_lost_is_queued_again(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    (job_id,) = submit_pings(engine_tenancy, pooled_tenant, 1)
    dispatch(engine_tenancy, 2)
    assert requeue_undelivered(engine_tenancy) == 0
    assert requeue_undelivered(engine_tenancy, 0.0) == 1
    assert get(engine_tenancy, pooled_tenant, job_id)["state"] == "queued"


def test_handing_back_is_no_attempt(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    (job_id,) = submit_pings(engine_tenancy, pooled_tenant, 1)
    _, token = dispatch_and_claim(engine_tenancy, job_id)
    hand_back(engine_tenancy.platform, [job_id], token)
    row = get(engine_tenancy, pooled_tenant, job_id)
    assert (row["state"], row["attempt"]) == ("queued", 0)


def test_a_queued_job_is_cancelled_at_once(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    (job_id,) = submit_pings(engine_tenancy, pooled_tenant, 1)
    assert cancel(engine_tenancy, pooled_tenant, job_id)["state"] == "cancelled"
    assert cancel(engine_tenancy, pooled_tenant, job_id)["state"] == "cancelled"


def test_a_running_job_is_told_and_ends_as_cancelled_instead_of_retrying(
    engine_tenancy: Tenancy, pooled_tenant: UUID
) -> None:
    (job_id,) = submit_pings(engine_tenancy, pooled_tenant, 1)
    row, token = dispatch_and_claim(engine_tenancy, job_id)
    assert cancel(engine_tenancy, pooled_tenant, job_id)["state"] == "running"
    assert renew(engine_tenancy.platform, {job_id: token}, 60.0) == {job_id: True}
    vault = engine_tenancy.vault(pooled_tenant)
    record(engine_tenancy.platform, [failed(job_id, token, row["kind"], Transient("x"), 1, vault, 0.0)])
    assert get(engine_tenancy, pooled_tenant, job_id)["state"] == "cancelled"


def test_a_job_handed_back_after_a_cancel_is_cancelled(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    (job_id,) = submit_pings(engine_tenancy, pooled_tenant, 1)
    _, token = dispatch_and_claim(engine_tenancy, job_id)
    cancel(engine_tenancy, pooled_tenant, job_id)
    hand_back(engine_tenancy.platform, [job_id], token)
    assert get(engine_tenancy, pooled_tenant, job_id)["state"] == "cancelled"


def test_a_finished_job_cannot_be_cancelled(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    (job_id,) = submit_pings(engine_tenancy, pooled_tenant, 1)
    row, token = dispatch_and_claim(engine_tenancy, job_id)
    record(engine_tenancy.platform, [succeeded(job_id, token, row["kind"], None, engine_tenancy.vault(pooled_tenant))])
    with pytest.raises(IllegalTransition):
        cancel(engine_tenancy, pooled_tenant, job_id)


def test_a_failed_job_is_replayed_as_a_new_one_that_names_it(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    (job_id,) = submit_pings(engine_tenancy, pooled_tenant, 1)
    row, token = dispatch_and_claim(engine_tenancy, job_id)
    vault = engine_tenancy.vault(pooled_tenant)
    with pytest.raises(IllegalTransition):
        replay(engine_tenancy, system("test", pooled_tenant), job_id)
    record(engine_tenancy.platform, [failed(job_id, token, row["kind"], Permanent("no", code="nope"), 1, vault, 0.0)])
    error = error_of(get(engine_tenancy, pooled_tenant, job_id), vault)
    assert error is not None
    assert (error["code"], error["detail"]) == ("nope", "no")
    again = replay(engine_tenancy, system("test", pooled_tenant), job_id)
    assert (again.row["replay_of"], again.created) == (job_id, True)
    assert replay(engine_tenancy, system("test", pooled_tenant), job_id).id == again.id


def test_a_bug_keeps_its_traceback_sealed(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    (job_id,) = submit_pings(engine_tenancy, pooled_tenant, 1)
    row, token = dispatch_and_claim(engine_tenancy, job_id)
    vault = engine_tenancy.vault(pooled_tenant)
    record(engine_tenancy.platform, [failed(job_id, token, row["kind"], ZeroDivisionError("secret"), 1, vault, 0.0)])
    error = error_of(get(engine_tenancy, pooled_tenant, job_id), vault)
    assert error is not None
    assert "ZeroDivisionError" in error["traceback"]
    assert "secret" not in error["detail"]


def test_progress_of_a_stale_worker_is_not_shown(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    (job_id,) = submit_pings(engine_tenancy, pooled_tenant, 1)
    _, token = dispatch_and_claim(engine_tenancy, job_id)
    write_progress(
        engine_tenancy.platform,
        [
            (job_id, token, 1, 3, "one"),
        ],
    )
    write_progress(engine_tenancy.platform, [(job_id, new_id(), 2, 3, "stale")])
    assert get(engine_tenancy, pooled_tenant, job_id)["progress_message"] == "one"
