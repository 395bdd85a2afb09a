"""The platform behind PgBouncer in transaction mode: few sessions of the server, lent for one transaction at a time."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import SecretStr
from sqlalchemy import select, text

from bench.engine import Engine, until
from config.settings import Settings
from domain.identity.principals import system
from jobs.submit import NewJob, submit
from models.tenant import Document, Message
from tenancy.access import Tenancy
from tenancy.scopes import tenant_scope
from tests.conftest import Cluster
from tests.faults.conftest import make_tenant
from tests.poolers import PgBouncer, require_pgbouncer

pytestmark = pytest.mark.faults


@pytest.fixture
def pooler(cluster: Cluster, tmp_path: Path) -> Iterator[PgBouncer]:
    """A PgBouncer of the test's own."""
    require_pgbouncer()
    server = PgBouncer(cluster.home / f"pgbouncer-{tmp_path.name}", cluster.postgres)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def settings(settings: Settings, pooler: PgBouncer) -> Settings:
    """The platform behind the pooler. Beside the address nothing differs."""
    return settings.model_copy(update={"database_pooler_url": SecretStr(pooler.url)})


def sessions(cluster: Cluster, account: str) -> list[dict[str, Any]]:
    """The sessions that an account has at the server."""
    query = "SELECT application_name, client_addr FROM pg_stat_activity WHERE usename = %(account)s"
    with psycopg.connect(cluster.postgres.superuser_dsn, row_factory=psycopg.rows.dict_row) as connection:
        return connection.execute(query, {"account": account}).fetchall()


@pytest.mark.parametrize("tier", ["pooled", "dedicated"])
def test_jobs_are_submitted_run_and_recorded(engine: Engine, settings: Settings, tenancy: Tenancy, tier: str) -> None:
    tenant = make_tenant(settings, tenancy, tier=tier)
    engine.dispatcher()
    engine.worker("default", pool="prefork", concurrency=2, name="cpu")
    engine.worker("notifications", "search", pool="threads", concurrency=4, name="io")
    message = {"to": "guest@example.com", "subject": "Room", "text": "Ready."}
    ids = [submit(tenancy, NewJob(kind, payload, system("test", tenant))).id
           for kind, payload in [("system.ping", {}), ("notification.deliver", message)] * 30]  # fmt: skip
    until(lambda: states(tenancy, ids) == {"succeeded"}, 90, "the jobs")

    with tenancy.session(tenant) as session:
        assert len(list(session.scalars(select(Message.id)))) == 30
    assert {row["attempt"] for row in tenancy.platform.fetch("SELECT attempt FROM jobs", {})} == {1}


def test_a_leader_keeps_its_lock_past_the_pooler(
    engine: Engine, settings: Settings, tenancy: Tenancy, cluster: Cluster
) -> None:
    """One dispatcher leads and the other stands by: a lock taken through the pooler would be anybody's."""
    first = engine.dispatcher()
    until(lambda: "dispatcher.leading" in engine.log("dispatcher"), 30, "a leader")
    engine.start("standby", (sys.executable, "-m", "workers.dispatcher"), {})
    tenant = make_tenant(settings, tenancy)
    engine.worker("default", pool="threads", concurrency=2)
    job = submit(tenancy, NewJob("system.ping", {}, system("test", tenant))).id
    until(lambda: states(tenancy, [job]) == {"succeeded"}, 60, "a job")
    assert "dispatcher.leading" not in engine.log("standby")
    engine.kill(first)
    until(lambda: "dispatcher.leading" in engine.log("standby"), 30, "the standby to lead")


def test_many_callers_on_few_sessions_see_their_own_tenant_only(
    settings: Settings, tenancy: Tenancy, cluster: Cluster
) -> None:
    """Two tenants of the shared database through two sessions of one account, each of them in turn."""
    tenants = [make_tenant(settings, tenancy) for _ in range(2)]
    for tenant in tenants:
        with tenancy.session(tenant) as session:
            session.add(Document(tenant_id=tenant, external_id=str(tenant), title="Mine", body="x"))
    wrong: list[object] = []

    def ask(door: Tenancy, tenant: UUID) -> None:
        for _ in range(100):
            with door.session(tenant) as session:
                seen = list(session.scalars(select(Document.external_id)))
            rows = door.platform.fetch("SELECT id FROM tenants", {}, tenant_scope(tenant))
            unscoped = door.platform.fetch("SELECT id FROM tenants", {})
            if (seen, [row["id"] for row in rows], unscoped) != ([str(tenant)], [tenant], []):
                wrong.append((tenant, seen, rows, unscoped))

    doors = [Tenancy(settings, "web") for _ in range(4)]
    threads = [threading.Thread(target=ask, args=(doors[number % 4], tenants[number % 2])) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    account = str(conninfo_to_dict(settings.web_dsn)["user"])
    shared = len(sessions(cluster, account))
    for door in doors:
        door.dispose()

    assert wrong == []
    assert 1 <= shared <= 2, "the pooler's sessions, however many connections there are to it"


def test_nothing_is_prepared_or_set_for_longer_than_a_transaction(settings: Settings, tenancy: Tenancy) -> None:
    for _ in range(20):  # beyond the count at which psycopg would prepare
        tenancy.platform.fetch("SELECT count(*) FROM jobs WHERE kind = %(kind)s", {"kind": "x"})
        with tenancy.platform.session({}) as session:
            session.execute(text("SELECT count(*) FROM jobs"))
            limit = session.execute(text("SHOW idle_in_transaction_session_timeout")).scalar()
    rows = tenancy.platform.fetch("SELECT current_setting('idle_in_transaction_session_timeout') AS kept,"
                                  " (SELECT count(*) FROM pg_prepared_statements) AS prepared", {})  # fmt: skip

    assert (limit, rows) == ("20s", [{"kept": "0", "prepared": 0}])


def test_a_tenants_account_connects_through_the_pooler_to_its_own_database_only(
    settings: Settings, tenancy: Tenancy
) -> None:
    own, other = (make_tenant(settings, tenancy, tier="dedicated") for _ in range(2))
    dsn = settings.through_pooler(tenancy.record(own).dsn or "")
    foreign = make_conninfo(dsn, dbname=conninfo_to_dict(tenancy.record(other).dsn or "")["dbname"])

    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT count(*) FROM documents").fetchone() == (0,)
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(foreign)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(make_conninfo(dsn, password="guess"))


def test_a_pooler_that_goes_away_and_comes_back_costs_no_job(
    engine: Engine, settings: Settings, tenancy: Tenancy, pooler: PgBouncer
) -> None:
    tenant = make_tenant(settings, tenancy)
    engine.dispatcher()
    engine.worker("default", pool="threads", concurrency=4)
    ids = [submit(tenancy, NewJob("system.ping", {"seconds": 0.2}, system("test", tenant))).id for _ in range(40)]
    until(lambda: "succeeded" in states(tenancy, ids), 60, "the first job")
    pooler.stop()
    pooler.start()
    until(lambda: settled(tenancy, ids), 90, "the jobs")


def settled(tenancy: Tenancy, ids: list[UUID]) -> bool:
    """Whether all have succeeded, as far as the database can be asked."""
    try:
        return states(tenancy, ids) == {"succeeded"}
    except psycopg.OperationalError:
        return False


def states(tenancy: Tenancy, ids: list[UUID]) -> set[str]:
    """The jobs' states."""
    return {
        str(row["state"])
        for row in tenancy.platform.fetch("SELECT state FROM jobs WHERE id = ANY(%(ids)s)", {"ids": ids})
    }
