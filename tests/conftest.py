"""Real services for every test: one embedded PostgreSQL and one Valkey per run, started by the first test that asks.

Each xdist worker prepares a platform database of its own; tests keep apart by making tenants of their own.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import hypothesis
import psycopg
import pytest
import pytest_socket
from psycopg import sql

from bench.rabbitmq import PrivateRabbitMQ
from cli.embedded.home import Home
from cli.embedded.postgres import EmbeddedPostgres
from cli.embedded.secrets import secret
from cli.embedded.valkey import EmbeddedValkey
from config.logging import configure as configure_logging
from config.settings import Settings, load
from domain.identity.principals import Principal, system
from domain.ids import new_id
from jobs.context import JobContext
from jobs.leases import claim
from jobs.rows import open_json
from jobs.submit import NewJob, submit
from models.platform import User
from tenancy.access import Tenancy
from tenancy.bootstrap import Prepared, prepare
from tenancy.provisioning import Provisioner, create_tenant
from tenancy.scopes import user_scope
from tests.brokers import RABBITMQ, chosen, names_for, require_rabbitmq

ROOT = Path(__file__).parents[1]
RUN = "NEXUS_TEST_RUN"
CLUSTER = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "400"}
SERVICE_VARIABLES = ("DATABASE_URL", "DATABASE_WEB_URL", "DATABASE_ENGINE_URL", "DATABASE_POOLER_URL", "REDIS_URL", "BROKER_URL", "NEXUS_HOME",
                     "NEXUS_MASTER_KEYS", "NEXUS_ORIGIN_KEY", "NEXUS_PORT", "FLOWER_PORT", "SMTP_URL", "OPENAI_API_KEY", "ANTHROPIC_API_KEY",
                     "STRIPE_API_KEY", "NEXUS_ENV")  # fmt: skip


_servers: list[Cluster] = []
"""Keeps the servers' process objects until the very end: the guardian stops them after all workers are done."""

_guardian: subprocess.Popen[bytes] | None = None


hypothesis.settings.register_profile(
    "nexus", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], print_blob=True
)
hypothesis.settings.load_profile("nexus")  # no test depends on how busy the machine is


def pytest_configure(config: pytest.Config) -> None:
    pytest_socket.socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)
    if not hasattr(config, "workerinput"):
        global _guardian  # noqa: PLW0603 - pytest's hooks share nothing else
        os.environ[RUN] = tempfile.mkdtemp(prefix="nexus-tests-")
        command = [sys.executable, "-m", "tests.guardian", os.environ[RUN]]
        _guardian = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT, start_new_session=True)
    for variable in SERVICE_VARIABLES:
        os.environ.pop(variable, None)
    configure_logging(load(_env_file=None), "tests")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that uses a broker of its own on those that it is for."""
    if "broker_name" in metafunc.fixturenames:
        metafunc.parametrize("broker_name", names_for(metafunc.definition))


def pytest_unconfigure(config: pytest.Config) -> None:
    if _guardian is not None and _guardian.stdin is not None:
        _guardian.stdin.close()
        _guardian.wait(60)


@dataclass(frozen=True, slots=True)
class Cluster:
    """The run's servers."""

    postgres: EmbeddedPostgres
    valkey: EmbeddedValkey
    home: Path


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """The run's PostgreSQL and Valkey, started once whoever asks first."""
    home = Path(os.environ[RUN])
    found = Cluster(EmbeddedPostgres(home, CLUSTER), EmbeddedValkey(home), home)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "started").exists():
            (home / "started").touch()
            found.postgres.start()
            found.valkey.start()
    _servers.append(found)
    return found


@pytest.fixture(scope="session")
def rabbitmq(cluster: Cluster, worker_id: str) -> PrivateRabbitMQ:
    """This xdist worker's RabbitMQ. The guardian ends it."""
    require_rabbitmq()
    server = PrivateRabbitMQ(cluster.home / f"rabbitmq-{worker_id}")
    server.start()
    return server


@pytest.fixture(scope="session")
def platform_broker(request: pytest.FixtureRequest) -> Callable[[], dict[str, str]]:
    """Gives the variables that put one more platform on the broker that this run was asked to use."""

    def choose() -> dict[str, str]:
        if chosen() != RABBITMQ:
            return {}
        server: PrivateRabbitMQ = request.getfixturevalue("rabbitmq")
        return {"BROKER_URL": server.virtual_host()}

    return choose


def settings_for(cluster: Cluster, database: str, home: Path, **overrides: Any) -> Settings:
    """Settings of a platform in `database` of the cluster, as `nexus up` would make them."""
    dsn = cluster.postgres.dsn.replace("/nexus_platform?", f"/{database}?")
    values: dict[str, Any] = {
        "NEXUS_HOME": home,
        "DATABASE_URL": dsn,
        "REDIS_URL": cluster.valkey.url,
        "BROKER_URL": cluster.valkey.url,
        "NEXUS_MASTER_KEYS": secret(Home(cluster.home), "NEXUS_MASTER_KEYS"),
        "STRIPE_WEBHOOK_SECRET": "whsec_test",
        "NEXUS_ADMIN_EMAIL": "admin@example.com",
        "NEXUS_ADMIN_PASSWORD": "correct horse battery",
    }
    return load(_env_file=None, **{**values, **overrides})


def create_database(cluster: Cluster, name: str) -> None:
    """An empty database that the platform's owner owns."""
    with psycopg.connect(cluster.postgres.superuser_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER nexus_owner").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def prepared(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> tuple[Settings, Prepared]:
    """This xdist worker's platform database, prepared as at a first start."""
    database = f"nexus_test_{worker_id}"
    create_database(cluster, database)
    settings = settings_for(cluster, database, tmp_path_factory.mktemp("home"))
    with (cluster.home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the tenant template is shared by the workers
        return settings, prepare(settings)


@pytest.fixture(scope="session")
def settings(prepared: tuple[Settings, Prepared]) -> Settings:
    """Settings of this worker's platform."""
    return prepared[0]


@pytest.fixture(scope="session")
def web_tenancy(settings: Settings) -> Iterator[Tenancy]:
    """The API's door."""
    tenancy = Tenancy(settings, "web")
    yield tenancy
    tenancy.dispose()


@pytest.fixture(scope="session")
def engine_tenancy(settings: Settings) -> Iterator[Tenancy]:
    """The workers' door."""
    tenancy = Tenancy(settings, "engine")
    yield tenancy
    tenancy.dispose()


@pytest.fixture
def user(web_tenancy: Tenancy) -> UUID:
    """A user of no tenant, whose password is not usable."""
    user_id = new_id()
    with web_tenancy.platform.session(user_scope(user_id)) as session:
        session.add(User(id=user_id, email=f"user-{user_id}@example.com", name="User", password_hash="none"))
    return user_id


@pytest.fixture
def make_tenant_row(web_tenancy: Tenancy, user: UUID) -> Callable[..., UUID]:
    """Makes a tenant that is still to be provisioned, which `user` owns."""

    def make(tier: str = "pooled", name: str = "Acme", owner_id: UUID | None = None) -> UUID:
        tenant_id, owner = new_id(), owner_id or user
        with web_tenancy.platform.session(user_scope(owner, tenant_id)) as session:
            create_tenant(session, web_tenancy.ring, name=name, tier=tier, owner_id=owner, tenant_id=tenant_id)
        return tenant_id

    return make


@pytest.fixture
def make_tenant(engine_tenancy: Tenancy, make_tenant_row: Callable[..., UUID]) -> Callable[..., UUID]:
    """Makes a provisioned tenant that `user` owns."""

    def make(tier: str = "pooled", name: str = "Acme", owner_id: UUID | None = None) -> UUID:
        tenant_id = make_tenant_row(tier, name, owner_id)
        provisioner = Provisioner(engine_tenancy.settings, engine_tenancy, tenant_id)
        for _, step in provisioner.steps():
            step()
        provisioner.close()
        return tenant_id

    return make


@pytest.fixture
def tenant(make_tenant: Callable[..., UUID]) -> UUID:
    """A tenant with a database of its own."""
    return make_tenant("dedicated")


@pytest.fixture
def pooled_tenant(make_tenant: Callable[..., UUID]) -> UUID:
    """A tenant in the shared database."""
    return make_tenant("pooled")


class NoProgress:
    """A sink for contexts that run without a worker's pulse."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int | None, str]] = []

    def progress(self, _job_id: UUID, _token: UUID, done: int, total: int | None, message: str) -> None:
        self.seen.append((done, total, message))


@pytest.fixture
def make_context(engine_tenancy: Tenancy) -> Callable[..., tuple[JobContext, Mapping[str, Any]]]:
    """Submits a job, claims it as a worker would, and returns its context and loaded payload for calling the handler."""

    def make(
        kind: str,
        tenant_id: UUID,
        payload: Mapping[str, Any],
        principal: Principal | None = None,
        seconds: float = 60.0,
    ) -> tuple[JobContext, Mapping[str, Any]]:
        who = principal or system("test", tenant_id)
        job_id = submit(engine_tenancy, NewJob(kind=kind, payload=payload, principal=who)).id
        return claim_context(engine_tenancy, job_id, who, seconds)

    return make


def claim_context(
    tenancy: Tenancy, job_id: UUID, principal: Principal, seconds: float = 60.0
) -> tuple[JobContext, Mapping[str, Any]]:
    """Dispatch and claim one job by hand."""
    import time

    from jobs.kinds import KINDS

    attempt = tenancy.platform.fetch(
        "UPDATE jobs SET state = 'dispatched', dispatched_at = now() WHERE id = %(id)s RETURNING attempt",
        {"id": job_id},
    )[0]["attempt"]
    token = new_id()
    row = claim(tenancy.platform, [(job_id, attempt)], token=token, worker_id=new_id(), lease_seconds=60)[0]
    context = JobContext(
        job_id=job_id,
        kind=row["kind"],
        attempt=row["attempt"],
        token=token,
        principal=principal,
        tenancy=tenancy,
        deadline=time.monotonic() + seconds,
        sink=NoProgress(),
        _checkpoint=None if row["checkpoint_sealed"] is None else bytes(row["checkpoint_sealed"]),
    )
    plain = open_json(bytes(row["payload_sealed"]), "payload_sealed", job_id, tenancy.vault(row["tenant_id"]))
    return context, KINDS[row["kind"]].payload().load(plain)
