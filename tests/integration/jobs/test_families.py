"""Parents and children: who may have any, how they are counted, and that they are cancelled together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.errors import Cancelled, IllegalTransition, InvalidPayload
from domain.identity.principals import system
from domain.ids import new_id
from domain.jobs.families import DEPTH_LIMIT
from jobs.bulk import Related, submit_related
from jobs.context import JobContext
from jobs.control import cancel
from jobs.families import children_by_state
from jobs.kinds import KINDS
from jobs.leases import hand_back
from jobs.outcomes import record, succeeded
from jobs.queries import get
from jobs.submit import NewJob, submit
from tenancy.access import Tenancy
from tests.integration.jobs.conftest import dispatch_and_claim


def child(tenancy: Tenancy, tenant: UUID, parent: UUID | None, **options: Any) -> UUID:
    new = NewJob(kind="system.ping", payload={}, principal=system("test", tenant), parent_id=parent, **options)
    return (submit(tenancy, new) if parent is None else submit_related(tenancy, Related(new))).id


def finish(tenancy: Tenancy, tenant: UUID, job_id: UUID) -> None:
    row, token = dispatch_and_claim(tenancy, job_id)
    record(tenancy.platform, [succeeded(job_id, token, row["kind"], None, tenancy.vault(tenant))])


def states(tenancy: Tenancy, tenant: UUID, *ids: UUID) -> list[str]:
    return [get(tenancy, tenant, job_id)["state"] for job_id in ids]


def test_an_unknown_and_a_foreign_parent_are_the_same(
    web_tenancy: Tenancy, engine_tenancy: Tenancy, make_tenant: Callable[..., UUID]
) -> None:
    ours, theirs = make_tenant(), make_tenant()
    foreign = child(web_tenancy, theirs, None)
    for door in (web_tenancy, engine_tenancy):
        for parent in (foreign, new_id()):
            with pytest.raises(InvalidPayload) as caught:
                child(door, ours, parent)
            assert [(fault.pointer, fault.code) for fault in caught.value.errors] == [("/parent_id", "not_found")]
    assert children_by_state(web_tenancy, theirs, foreign) == {}


def test_a_finished_job_has_no_more_children(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    parent = child(engine_tenancy, pooled_tenant, None)
    finish(engine_tenancy, pooled_tenant, parent)
    with pytest.raises(IllegalTransition, match="succeeded"):
        child(engine_tenancy, pooled_tenant, parent)


def test_generations_are_bounded(web_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    last = child(web_tenancy, pooled_tenant, None)
    for _ in range(DEPTH_LIMIT - 1):
        last = child(web_tenancy, pooled_tenant, last)
    with pytest.raises(InvalidPayload) as caught:
        child(web_tenancy, pooled_tenant, last)
    assert caught.value.errors[0].code == "too_deep"


def test_children_are_counted_by_the_states_that_clients_see(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    parent = child(engine_tenancy, pooled_tenant, None)
    children = [child(engine_tenancy, pooled_tenant, parent) for _ in range(4)]
    finish(engine_tenancy, pooled_tenant, children[0])
    dispatch_and_claim(engine_tenancy, children[1])
    engine_tenancy.platform.fetch("UPDATE jobs SET state = 'dispatched' WHERE id = %(id)s", {"id": children[2]})
    assert children_by_state(engine_tenancy, pooled_tenant, parent) == {"succeeded": 1, "running": 1, "queued": 2}


def test_cancelling_a_parent_cancels_its_live_descendants_and_leaves_what_has_finished(
    engine_tenancy: Tenancy, pooled_tenant: UUID
) -> None:
    parent = child(engine_tenancy, pooled_tenant, None)
    waiting, running, done = (child(engine_tenancy, pooled_tenant, parent) for _ in range(3))
    below_done = child(engine_tenancy, pooled_tenant, done)
    unrelated = child(engine_tenancy, pooled_tenant, None)
    dispatch_and_claim(engine_tenancy, running)
    finish(engine_tenancy, pooled_tenant, done)

    cancel(engine_tenancy, pooled_tenant, parent)

    found = states(engine_tenancy, pooled_tenant, parent, waiting, running, done, below_done, unrelated)
    assert found == ["cancelled", "cancelled", "running", "succeeded", "cancelled", "queued"]
    assert get(engine_tenancy, pooled_tenant, running)["cancel_requested"]


def test_a_refused_cancel_leaves_the_children_alone(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    parent = child(engine_tenancy, pooled_tenant, None)
    below = child(engine_tenancy, pooled_tenant, parent)
    row, token = dispatch_and_claim(engine_tenancy, parent)
    vault = engine_tenancy.vault(pooled_tenant)
    record(engine_tenancy.platform, [succeeded(parent, token, row["kind"], None, vault)])
    with pytest.raises(IllegalTransition):
        cancel(engine_tenancy, pooled_tenant, parent)
    assert states(engine_tenancy, pooled_tenant, below) == ["queued"]


def test_a_child_that_comes_in_while_its_parent_is_cancelled_is_cancelled_too_or_refused(
    engine_tenancy: Tenancy, pooled_tenant: UUID
) -> None:
    """The child's transaction holds the parent's row; the cancel waits for it, and must see the child then."""
    parent = child(engine_tenancy, pooled_tenant, None)
    late = new_id()
    with engine_tenancy.platform.connect() as connection, connection.transaction():
        connection.execute("SELECT id FROM jobs WHERE id = %s FOR SHARE", (parent,))
        cancelling = threading.Thread(target=cancel, args=(engine_tenancy, pooled_tenant, parent))
        cancelling.start()
        _wait_for_lock(engine_tenancy, connection.info.backend_pid)
        connection.execute(
            "INSERT INTO jobs (id, tenant_id, kind, queue, state, max_attempts, deadline_seconds, payload_sealed, principal,"
            " parent_id) SELECT %s, tenant_id, kind, queue, 'queued', 1, 1, payload_sealed, principal, id FROM jobs WHERE id = %s",
            (late, parent),
        )
    cancelling.join(30)
    assert states(engine_tenancy, pooled_tenant, parent, late) == ["cancelled", "cancelled"]


def _wait_for_lock(tenancy: Tenancy, holder: int) -> None:
    """Until someone waits for the transaction of the backend `holder`."""
    with tenancy.platform.connect() as connection:
        for _ in range(3000):
            blocked = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))", (holder,)
            ).fetchone()
            if blocked and blocked[0]:
                return
            threading.Event().wait(0.01)
    raise AssertionError("nobody waits")


def test_a_handler_of_a_cancelled_job_has_no_more_children(
    engine_tenancy: Tenancy, pooled_tenant: UUID, make_context: Callable[..., tuple[JobContext, Any]]
) -> None:
    context, _ = make_context("system.ping", pooled_tenant, {})
    first = context.submit("system.ping", {}, key="first")
    assert context.submit("system.ping", {}, key="first") == first
    cancel(engine_tenancy, pooled_tenant, context.job_id)
    with pytest.raises(Cancelled):
        context.submit("system.ping", {}, key="second")
    assert children_by_state(engine_tenancy, pooled_tenant, context.job_id) == {"cancelled": 1}


@pytest.mark.parametrize("path", ["succeeded", "cancelled", "child", "handed back", "handed back child"])
def test_whatever_ends_a_job_keeps_it_for_its_kinds_retention(
    engine_tenancy: Tenancy, pooled_tenant: UUID, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setitem(KINDS, "system.ping", replace(KINDS["system.ping"], retention=timedelta(days=3)))
    parent = child(engine_tenancy, pooled_tenant, None)
    job_id = child(engine_tenancy, pooled_tenant, parent)
    if path == "succeeded":
        finish(engine_tenancy, pooled_tenant, job_id)
    elif path.startswith("handed back"):
        _, token = dispatch_and_claim(engine_tenancy, job_id)
        cancel(engine_tenancy, pooled_tenant, parent if path.endswith("child") else job_id)
        hand_back(engine_tenancy.platform, [job_id], token)
    else:
        cancel(engine_tenancy, pooled_tenant, parent if path == "child" else job_id)
    row = get(engine_tenancy, pooled_tenant, job_id)
    assert row["state"] in {"succeeded", "cancelled"}
    assert row["expires_at"] - row["finished_at"] == timedelta(days=3)


def test_a_parent_whose_cancel_is_under_way_gets_no_child(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    """The cancel's transaction holds the parent's row; the child waits for it, and must see the cancel then."""
    parent = child(engine_tenancy, pooled_tenant, None)
    with engine_tenancy.platform.connect() as connection, ThreadPoolExecutor(1) as pool:
        with connection.transaction():
            connection.execute(
                "UPDATE jobs SET state = 'cancelled', cancel_requested = true, finished_at = now() WHERE id = %s",
                (parent,),
            )
            late = pool.submit(child, engine_tenancy, pooled_tenant, parent)
            _wait_for_lock(engine_tenancy, connection.info.backend_pid)
        with pytest.raises(IllegalTransition, match="cancelled"):
            late.result(30)
    assert children_by_state(engine_tenancy, pooled_tenant, parent) == {}
