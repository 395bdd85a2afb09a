"""What operators hold back and allow, as the leader reads it, and who may read and write it."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest

from domain.errors import NotFound, PreconditionFailed
from domain.jobs.limits import Limits
from jobs import limits
from jobs.backlog import measure
from jobs.controls import Controls, Pause, Scope, pause, pauses, read, resume
from jobs.kinds import QUEUES
from tenancy.access import Tenancy
from tenancy.scopes import operator_scope, tenant_scope
from tests.integration.jobs.conftest import dispatch, dispatch_and_claim, submit_pings

BY = "user:test"


@pytest.fixture(autouse=True)
def nothing_held(engine_tenancy: Tenancy, web_tenancy: Tenancy) -> Iterator[None]:
    """No job, no pause and no limit but the test's."""
    engine_tenancy.platform.fetch("DELETE FROM jobs", {})
    yield
    web_tenancy.platform.fetch("DELETE FROM dispatch_pauses", {}, operator_scope())
    web_tenancy.platform.fetch("DELETE FROM tenant_limits", {}, operator_scope())


def only(tenancy: Tenancy) -> Pause:
    """The one pause that there is."""
    (found,) = pauses(tenancy.platform)
    return found


def test_the_leader_reads_everything_in_one_round_trip(
    engine_tenancy: Tenancy, web_tenancy: Tenancy, pooled_tenant: UUID
) -> None:
    assert read(engine_tenancy.platform) == Controls()
    web = web_tenancy.platform
    pause(web, Scope.QUEUE, "search", by=BY)
    pause(web, Scope.KIND, "system.ping", by=BY)
    pause(web, Scope.TENANT, str(pooled_tenant), by=BY)
    limits.put(web, pooled_tenant, Limits(2.0, 5, 1.5), version=0, by=BY)

    assert read(engine_tenancy.platform) == Controls(
        frozenset({"search"}),
        frozenset({"system.ping"}),
        frozenset({pooled_tenant}),
        {pooled_tenant: Limits(2.0, 5, 1.5, burst=2)},
    )
    resume(web, Scope.QUEUE, "search")
    assert read(engine_tenancy.platform).paused_queues == frozenset()


def test_pausing_twice_is_the_same_as_once_and_a_drain_stays_one(web_tenancy: Tenancy) -> None:
    web = web_tenancy.platform
    first = pause(web, Scope.QUEUE, "search", by=BY, reason="the index is rebuilt")
    assert pause(web, Scope.QUEUE, "search", by="user:other", reason="no idea") == first
    assert pause(web, Scope.QUEUE, "search", by="user:other", drain=True).drain
    assert pause(web, Scope.QUEUE, "search", by="user:other").drain
    assert only(web_tenancy).paused_by == BY


def test_resuming_what_is_not_paused_changes_nothing(web_tenancy: Tenancy) -> None:
    pause(web_tenancy.platform, Scope.QUEUE, "search", by=BY)
    resume(web_tenancy.platform, Scope.QUEUE, "billing")
    resume(web_tenancy.platform, Scope.KIND, "search.query")
    assert only(web_tenancy).name == "search"


@pytest.mark.parametrize(
    ("scope", "name"),
    [(Scope.QUEUE, "nowhere"), (Scope.KIND, "nothing.done"), (Scope.TENANT, str(UUID(int=7))), (Scope.TENANT, "acme"),
     (Scope.QUEUE, "system.ping"), (Scope.KIND, "default")],
)  # fmt: skip
def test_what_does_not_exist_can_be_neither_paused_nor_resumed(web_tenancy: Tenancy, scope: Scope, name: str) -> None:
    with pytest.raises(NotFound):
        pause(web_tenancy.platform, scope, name, by=BY)
    with pytest.raises(NotFound):
        resume(web_tenancy.platform, scope, name)
    assert pauses(web_tenancy.platform) == []


def test_a_drain_is_done_only_when_the_leader_counted_none_after_it_obeyed(
    engine_tenancy: Tenancy, web_tenancy: Tenancy
) -> None:
    pause(web_tenancy.platform, Scope.QUEUE, "default", by=BY, drain=True)
    assert (only(web_tenancy).in_flight, only(web_tenancy).drained) == (None, False)
    measure(engine_tenancy.platform, QUEUES)  # a leader that has not read the pause may dispatch right after this
    assert (only(web_tenancy).in_flight, only(web_tenancy).drained) == (0, False)
    read(engine_tenancy.platform)
    assert not only(web_tenancy).drained
    measure(engine_tenancy.platform, QUEUES)
    assert only(web_tenancy).drained


@pytest.mark.parametrize("scope", Scope)
def test_what_is_dispatched_or_running_is_in_flight(
    engine_tenancy: Tenancy, web_tenancy: Tenancy, pooled_tenant: UUID, scope: Scope
) -> None:
    name = {Scope.QUEUE: "default", Scope.KIND: "system.ping", Scope.TENANT: str(pooled_tenant)}[scope]
    first, *_ = submit_pings(engine_tenancy, pooled_tenant, 3)
    dispatch(engine_tenancy, 2)
    dispatch_and_claim(engine_tenancy, first)
    pause(web_tenancy.platform, scope, name, by=BY, drain=True)
    read(engine_tenancy.platform)
    measure(engine_tenancy.platform, QUEUES)
    assert (only(web_tenancy).in_flight, only(web_tenancy).drained) == (2, False)
    engine_tenancy.platform.fetch("UPDATE jobs SET state = 'queued', token = NULL", {})
    measure(engine_tenancy.platform, QUEUES)
    assert (only(web_tenancy).in_flight, only(web_tenancy).drained) == (0, True)


def test_others_jobs_are_not_in_flight_for_a_pause(
    engine_tenancy: Tenancy, web_tenancy: Tenancy, pooled_tenant: UUID
) -> None:
    submit_pings(engine_tenancy, pooled_tenant, 1)
    dispatch(engine_tenancy, 2)
    pause(web_tenancy.platform, Scope.QUEUE, "search", by=BY)
    pause(web_tenancy.platform, Scope.KIND, "search.query", by=BY)
    measure(engine_tenancy.platform, QUEUES)
    assert {each.in_flight for each in pauses(web_tenancy.platform)} == {0}


def test_limits_are_changed_only_by_who_read_the_last_ones(web_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    web = web_tenancy.platform
    assert limits.get(web, pooled_tenant)["version"] == 0
    assert limits.put(web, pooled_tenant, Limits(weight=2.0), version=0, by=BY)["version"] == 1
    with pytest.raises(PreconditionFailed):
        limits.put(web, pooled_tenant, Limits(weight=3.0), version=0, by=BY)
    assert limits.put(web, pooled_tenant, Limits(weight=4.0), version=1, by=BY)["version"] == 2
    assert limits.get(web, pooled_tenant)["weight"] == 4.0


def test_only_an_operators_scope_sees_and_writes_pauses(web_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    web = web_tenancy.platform
    pause(web, Scope.TENANT, str(pooled_tenant), by=BY)
    for scope in ({}, tenant_scope(pooled_tenant)):
        assert web.fetch("SELECT * FROM dispatch_pauses", {}, scope) == []
        web.fetch("DELETE FROM dispatch_pauses", {}, scope)
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            web.fetch("INSERT INTO dispatch_pauses (scope, name, paused_by) VALUES ('queue', 'x', 'me')", {}, scope)
    assert only(web_tenancy).scope == "tenant"


def test_a_tenant_reads_its_own_limits_and_changes_none(
    web_tenancy: Tenancy, pooled_tenant: UUID, tenant: UUID
) -> None:
    web = web_tenancy.platform
    for each in (pooled_tenant, tenant):
        limits.put(web, each, Limits(weight=0.5), version=0, by=BY)
    rows = web.fetch("SELECT tenant_id FROM tenant_limits", {}, tenant_scope(pooled_tenant))
    assert [row["tenant_id"] for row in rows] == [pooled_tenant]
    web.fetch("UPDATE tenant_limits SET weight = 1000", {}, tenant_scope(pooled_tenant))
    web.fetch("DELETE FROM tenant_limits", {}, tenant_scope(pooled_tenant))
    assert limits.get(web, pooled_tenant)["weight"] == 0.5


def test_the_engine_obeys_and_cannot_decide(engine_tenancy: Tenancy, web_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    pause(web_tenancy.platform, Scope.QUEUE, "search", by=BY)
    for statement in (
        "DELETE FROM dispatch_pauses",
        "UPDATE dispatch_pauses SET reason = 'none'",
        "INSERT INTO tenant_limits (tenant_id, updated_by) VALUES (gen_random_uuid(), 'engine')",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            engine_tenancy.platform.fetch(statement, {})  # type: ignore[arg-type]  # a list of literals
