"""One tenant's database is down: that tenant's jobs wait for it, and nobody else's do."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import func, select

from bench.engine import Engine, until
from config.settings import Settings, with_address
from domain.identity.principals import system
from jobs.submit import NewJob, submit
from models.tenant import Search
from tenancy.access import Tenancy
from tenancy.scopes import tenant_scope
from tests.conftest import Cluster
from tests.faults.conftest import make_tenant
from tests.faults.test_workers import sent

pytestmark = pytest.mark.faults


@pytest.fixture
def tenants(settings: Settings, tenancy: Tenancy) -> tuple[UUID, UUID]:
    """Two tenants, each with a database of its own."""
    return make_tenant(settings, tenancy, tier="dedicated"), make_tenant(settings, tenancy, tier="dedicated")


@pytest.fixture
def allow(cluster: Cluster, tenants: tuple[UUID, UUID]) -> Iterator[Callable[[bool], None]]:
    """Lets nobody into the first tenant's database, and again everybody."""

    def switch(allowed: bool) -> None:
        name = f"nexus_t_{tenants[0].hex}"
        with psycopg.connect(cluster.postgres.superuser_dsn, autocommit=True) as connection:
            statement = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
            connection.execute(statement.format(sql.Identifier(name), sql.Literal(allowed)))
            if not allowed:
                connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))

    yield switch
    switch(True)


def test_only_the_jobs_of_the_tenant_whose_database_is_down_wait_and_they_succeed_when_it_is_back(
    engine: Engine, tenancy: Tenancy, tenants: tuple[UUID, UUID], allow: Callable[[bool], None]
) -> None:
    """However long it lasts: waiting for a database uses up no attempt."""
    down, up = tenants
    engine.dispatcher()
    engine.worker("notifications", "search", pool="threads", concurrency=4)
    first = message(tenancy, down)
    until(lambda: states(tenancy, [first]) == {"succeeded"}, 30, "a message before")
    allow(False)
    waiting = [*(message(tenancy, down) for _ in range(60)), *(search(tenancy, down) for _ in range(20))]
    until(lambda: states(tenancy, waiting) == {"retrying"}, 30, "the outage's notice")
    others = [*(message(tenancy, up) for _ in range(20)), *(search(tenancy, up) for _ in range(5))]
    until(lambda: states(tenancy, others) == {"succeeded"}, 30, "the other tenant's jobs")
    until(lambda: tries(engine) > 2 * len(waiting), 30, "more tries", pause=0.2)
    assert codes(tenancy, waiting) <= {("retrying", "tenant_database_down"), ("running", "tenant_database_down"),
                                       ("queued", "tenant_database_down"), ("dispatched", "tenant_database_down")}  # fmt: skip
    allow(True)
    until(lambda: states(tenancy, waiting) == {"succeeded"}, 40, "the waiting jobs")
    assert {row["attempt"] for row in rows(tenancy, [*waiting, *others])} == {1}
    messages = [first, *waiting[:60]]
    assert sent(tenancy, down) == {job_id: ["succeeded"] for job_id in messages}
    with tenancy.session(down) as session:
        assert session.scalar(select(func.count()).select_from(Search)) == 20


@pytest.fixture(params=["black hole", "refusing port"])
def nowhere(request: pytest.FixtureRequest) -> Iterator[str]:
    """An address where connections are accepted and nothing is ever said, or where nobody listens."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as server:
        address = f"postgresql://127.0.0.1:{server.getsockname()[1]}"
        if request.param == "refusing port":
            server.close()
        yield address


def test_an_address_that_leads_nowhere_takes_no_worker_from_others(
    engine: Engine, tenancy: Tenancy, tenants: tuple[UUID, UUID], nowhere: str
) -> None:
    """Four threads, forty jobs that would wait seconds for a connection each: one waits, and three work for others."""
    down, up = tenants
    real = tenancy.record(down).dsn or ""
    move(tenancy, down, with_address(real, nowhere))
    engine.dispatcher()
    engine.worker("notifications", "search", pool="threads", concurrency=4)
    waiting = [message(tenancy, down) for _ in range(40)]
    until(lambda: states(tenancy, waiting) == {"retrying"}, 60, "all of them told")
    others = [message(tenancy, up) for _ in range(20)]
    taken = until(lambda: states(tenancy, others) == {"succeeded"}, 60, "the other tenant's jobs")
    assert taken < 20, "each job of the tenant that is away would have held a thread for five seconds"
    assert {row["attempt"] for row in rows(tenancy, waiting)} <= {0, 1}
    move(tenancy, down, real)
    until(lambda: states(tenancy, waiting) == {"succeeded"}, 120, "the waiting jobs")
    assert sent(tenancy, down) == {job_id: ["succeeded"] for job_id in waiting}


def move(tenancy: Tenancy, tenant: UUID, dsn: str) -> None:
    """Say that the tenant's database is there."""
    sealed = tenancy.vault(tenant).seal(dsn.encode(), "tenants", "dsn_sealed", tenant)
    tenancy.platform.fetch(
        "UPDATE tenants SET dsn_sealed = %(sealed)s, version = version + 1 WHERE id = %(id)s",
        {"sealed": sealed, "id": tenant}, tenant_scope(tenant),
    )  # fmt: skip
    tenancy.directory.forget(tenant)


def message(tenancy: Tenancy, tenant: UUID) -> UUID:
    """Submit a message."""
    payload = {"to": "guest@example.com", "subject": "Room", "text": "Ready."}
    return submit(tenancy, NewJob("notification.deliver", payload, system("test", tenant))).id


def search(tenancy: Tenancy, tenant: UUID) -> UUID:
    """Submit a search."""
    return submit(tenancy, NewJob("search.query", {"q": "room", "sources": ["documents"]}, system("test", tenant))).id


def rows(tenancy: Tenancy, ids: list[UUID]) -> list[dict[str, Any]]:
    """The jobs as they are."""
    query = "SELECT id, state, attempt, error_code FROM jobs WHERE id = ANY(%(ids)s)"
    return tenancy.platform.fetch(query, {"ids": ids})


def states(tenancy: Tenancy, ids: list[UUID]) -> set[str]:
    """The jobs' states."""
    return {row["state"] for row in rows(tenancy, ids)}


def codes(tenancy: Tenancy, ids: list[UUID]) -> set[tuple[str, str]]:
    """The jobs' states, each with why the last attempt failed."""
    return {(row["state"], row["error_code"]) for row in rows(tenancy, ids)}


def tries(engine: Engine) -> int:
    """How often a job was tried in vain."""
    return engine.log("worker").count("tenant_database_down")
