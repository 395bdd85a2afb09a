"""A platform database and a broker that no other test shares: here brokers are flushed and stopped."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import LiteralString
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from bench import brokers
from bench.engine import Engine
from bench.rabbitmq import PrivateRabbitMQ
from cli.embedded.valkey import EmbeddedValkey
from config.settings import Settings
from domain.identity.principals import system
from domain.ids import new_id
from jobs.publisher import Publisher
from jobs.submit import NewJob, submit
from jobs.transport import celery_app
from models.platform import User
from tenancy.access import Tenancy
from tenancy.bootstrap import prepare
from tenancy.provisioning import Provisioner, create_tenant
from tenancy.scopes import user_scope
from tests.brokers import RABBITMQ, Broker
from tests.conftest import Cluster, create_database, settings_for
from workers.dispatcher import Leader


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a failure what the test's processes raised: a test that waits in vain says nothing of why."""
    report = yield
    logs: Path | None = getattr(item, "funcargs", {}).get("tmp_path")
    if report.when == "call" and report.failed and logs is not None:
        report.sections.extend((path.name, "\n\n".join(raised(path))) for path in sorted(logs.glob("log/*.log")))
    return report


def raised(log: Path) -> list[str]:
    """The last few tracebacks in a process' log."""
    found = []
    for line in log.read_text(errors="replace").splitlines():
        with suppress(ValueError):
            event = json.loads(line)
            if "exception" in event:
                found.append(f"{event.get('timestamp')} {event.get('event')}\n{event['exception']}")
    return found[-3:] or ["(no exception)"]


@pytest.fixture(scope="session")
def platform(cluster: Cluster, worker_id: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A prepared platform whose broker is still to be named."""
    return prepared_platform(cluster, f"nexus_faults_{worker_id}", tmp_path_factory.mktemp("faults"))


def prepared_platform(cluster: Cluster, database: str, home: Path) -> Settings:
    """A platform in a database of that name, as after its first start."""
    create_database(cluster, database)
    settings = settings_for(cluster, database, home)
    with (cluster.home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        prepare(settings)
    return settings


@pytest.fixture
def broker(broker_name: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Broker]:
    """A Valkey of this test's own, or this worker's RabbitMQ as if nobody had used it."""
    if broker_name == RABBITMQ:
        server: PrivateRabbitMQ = request.getfixturevalue("rabbitmq")
        if not server.processes:
            server.start()
        brokers.flush(server.url)
        yield server
        server.thaw()
        return
    valkey = EmbeddedValkey(tmp_path / "broker")
    valkey.start()
    yield valkey
    valkey.stop()


@pytest.fixture
def settings(platform: Settings, cluster: Cluster, broker: Broker) -> Settings:
    """The platform with this test's broker. One second is the shortest lease that settings allow."""
    database = platform.owner_dsn.partition("?")[0].rpartition("/")[2]
    return settings_for(
        cluster, database, platform.home, BROKER_URL=broker.url,
        REDIS_URL=broker.url if isinstance(broker, EmbeddedValkey) else cluster.valkey.url, NEXUS_LEASE_SECONDS=3,
        NEXUS_BILLING_TICK_SECONDS=0.5,
    )  # fmt: skip


@pytest.fixture
def tenancy(settings: Settings) -> Iterator[Tenancy]:
    """The engine's door, to a platform without jobs, workers or a leader."""
    door = Tenancy(settings, "engine")
    for table in ("jobs", "workers", "leaders", "kind_runtimes"):
        door.platform.fetch(f"DELETE FROM {table}", {})  # type: ignore[arg-type]  # names of our own tables
    yield door
    door.dispose()


@pytest.fixture
def tenant(settings: Settings, tenancy: Tenancy) -> UUID:
    """A pooled tenant of a name that occurs nowhere else."""
    return make_tenant(settings, tenancy)


@pytest.fixture
def engine(settings: Settings, tenancy: Tenancy, tmp_path: Path) -> Iterator[Engine]:
    """Starts real processes; ends them after the test."""
    with Engine(settings, tmp_path / "log") as processes:
        yield processes


@pytest.fixture
def leader(settings: Settings, tenancy: Tenancy) -> Leader:
    """A dispatcher's leader whose rounds the test calls."""
    return Leader(settings, tenancy, Publisher(celery_app(settings)))


@pytest.fixture
def ping(tenancy: Tenancy, tenant: UUID) -> Callable[..., UUID]:
    """Submits one ping and returns its id."""

    def make(seconds: float = 0.0, in_tenant: UUID | None = None, **options: str) -> UUID:
        who = system("test", in_tenant or tenant)
        new = NewJob(kind="system.ping", payload={"seconds": seconds}, principal=who, **options)  # type: ignore[arg-type]
        return submit(tenancy, new).id

    return make


def make_tenant(
    settings: Settings,
    tenancy: Tenancy,
    name: str = "Faulty Towers",
    tier: str = "pooled",
    server: Settings | None = None,
) -> UUID:
    """A provisioned tenant with an owner of its own, its database on the server of the platform or of `server`."""
    tenant_id, _ = make_tenant_row(settings, tier, name)
    saga = Provisioner(server or settings, tenancy, tenant_id)
    for _, step in saga.steps():
        step()
    saga.close()
    return tenant_id


def make_tenant_row(settings: Settings, tier: str, name: str = "Faulty Towers") -> tuple[UUID, UUID]:
    """A tenant that is still to be provisioned, and its owner."""
    tenant_id, owner = new_id(), new_id()
    web = Tenancy(settings, "web")
    with web.platform.session(user_scope(owner, tenant_id)) as session:
        session.add(User(id=owner, email=f"{owner}@example.com", name="Owner", password_hash="none"))
        session.flush()
        create_tenant(session, web.ring, name=name, tier=tier, owner_id=owner, tenant_id=tenant_id)
    web.dispose()
    return tenant_id, owner


@contextmanager
def held(dsn: str, statement: sql.Composed | LiteralString, database: str | None = None) -> Iterator[int]:
    """Runs the statement in a transaction that is rolled back after the block; gives the process id of its server.

    Whoever needs what the statement locked waits that long: a way to stop a program at a known place.
    """
    options = {} if database is None else {"dbname": database}
    with psycopg.connect(dsn, **options) as connection:  # type: ignore[arg-type]  # one of the connection's own words
        connection.execute(statement)
        try:
            yield connection.info.backend_pid
        finally:
            connection.rollback()


def someone_waits_for(dsn: str, pid: int) -> bool:
    """Whether a statement waits for a lock that this server process holds."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        query: LiteralString = "SELECT 1 FROM pg_stat_activity WHERE backend_type = 'client backend' AND %(pid)s = ANY(pg_blocking_pids(pid))"
        return connection.execute(query, {"pid": pid}).fetchone() is not None


def state(tenancy: Tenancy, job_id: UUID) -> str:
    """The state in the job's row."""
    return str(tenancy.platform.fetch("SELECT state FROM jobs WHERE id = %(id)s", {"id": job_id})[0]["state"])


def register_worker(tenancy: Tenancy, *queues: str, slots: int = 4) -> None:
    """Say that a live worker serves these queues, without one: messages then stay in the broker."""
    tenancy.platform.fetch(
        "INSERT INTO workers (id, name, queues, slots, pid, started_at, heartbeat_at)"
        " VALUES (%(id)s, 'idle', %(queues)s, %(slots)s, 0, now(), now() + interval '1 hour')",
        {"id": new_id(), "queues": list(queues), "slots": slots},
    )
