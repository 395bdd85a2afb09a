"""Workers that are killed or frozen within a step of making or unmaking a tenant.

The step is stopped where it is by what it really waits for: a lock that another transaction holds, or a bucket that does
not answer.
"""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from bench.engine import Engine, until
from config.settings import Settings
from domain.identity.principals import system
from jobs.control import replay
from jobs.provisioning import ensure_provisioning
from tenancy.access import Tenancy
from tenancy.provisioning import Provisioner
from tenancy.servers import platform_database
from tests.conftest import Cluster
from tests.faults.conftest import held, make_tenant_row, someone_waits_for, state

pytestmark = pytest.mark.faults


@dataclass
class Store:
    """An object store that takes everything, and lets who asks wait when it is told so."""

    arrived: threading.Event = field(default_factory=threading.Event)
    open: threading.Event = field(default_factory=threading.Event)

    def answer(self, _: Request) -> Response:
        self.arrived.set()
        self.open.wait(60)
        return Response(status=200)


@pytest.fixture
def store(httpserver: HTTPServer) -> Iterator[Store]:
    """The platform's object store."""
    double = Store()
    double.open.set()
    httpserver.expect_request(re.compile(".*")).respond_with_handler(double.answer)
    yield double
    double.open.set()


@pytest.fixture
def settings(settings: Settings, store: Store, httpserver: HTTPServer) -> Settings:
    """The platform with its objects in that store."""
    address = httpserver.url_for("").rstrip("/")
    return settings.model_copy(update={"s3_bucket": "platform", "s3_endpoint": address, **S3_KEYS})


S3_KEYS = {"s3_access_key": SecretStr("key"), "s3_secret_key": SecretStr("secret")}


@dataclass(frozen=True)
class Making:
    """A dedicated tenant whose provisioning was submitted or is about to be."""

    settings: Settings
    tenancy: Tenancy
    store: Store
    superuser: str
    tenant_id: UUID
    owner_id: UUID

    @property
    def saga(self) -> Provisioner:
        """A saga of the test's own."""
        return Provisioner(self.settings, self.tenancy, self.tenant_id)

    def submit(self) -> UUID:
        """The job that provisions it."""
        return ensure_provisioning(self.tenancy, self.tenant_id, self.owner_id).id

    def row(self) -> dict[str, Any]:
        """What the platform says of it."""
        query = "SELECT state, settings, dsn_sealed, bucket_sealed FROM tenants WHERE id = %(id)s"
        return self.tenancy.platform.fetch(query, {"id": self.tenant_id})[0]  # type: ignore[arg-type]

    def on_the_server(self) -> tuple[bool, bool]:
        """Whether its role and its database are there."""
        with closing(self.saga) as saga, psycopg.connect(self.superuser) as connection:
            role = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (saga.place.role,)).fetchone()
            base = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (saga.database,)).fetchone()
        return role is not None, base is not None

    def until_held(self, pid: int) -> None:
        """Wait until a step waits for that server process."""
        until(lambda: someone_waits_for(self.superuser, pid), 30, "the step")

    def made_up_to(self, steps: int) -> str:
        """Run the first steps in the test, as an earlier attempt might have; returns the database's name."""
        with closing(self.saga) as saga:
            for _, step in saga.steps()[:steps]:
                step()
            return saga.database


@pytest.fixture
def making(settings: Settings, tenancy: Tenancy, store: Store, cluster: Cluster) -> Making:
    """A dedicated tenant that is still to be made."""
    tenant_id, owner_id = make_tenant_row(settings, "dedicated")
    return Making(settings, tenancy, store, cluster.postgres.superuser_dsn, tenant_id, owner_id)


@pytest.fixture
def dispatcher(engine: Engine) -> None:
    """A dispatcher that nobody kills."""
    engine.dispatcher()


Hold = Callable[[Making], AbstractContextManager[Callable[[], None]]]
"""Makes a step wait for the length of the block, and gives the way to wait until it does."""


@contextmanager
def locked(making: Making, statement: sql.Composed | str, database: str | None = None) -> Iterator[Callable[[], None]]:
    with held(making.superuser, statement, database) as pid:  # type: ignore[arg-type]  # the tests' own words
        yield lambda: making.until_held(pid)


def hold_begin(making: Making) -> AbstractContextManager[Callable[[], None]]:
    row = sql.SQL("SELECT 1 FROM tenants WHERE id = {} FOR UPDATE").format(making.tenant_id)
    return locked(making, row, platform_database(making.settings))


def hold_role(making: Making) -> AbstractContextManager[Callable[[], None]]:
    with closing(making.saga) as saga:
        return locked(making, sql.SQL("CREATE ROLE {}").format(sql.Identifier(saga.place.role)))


@contextmanager
def hold_database(making: Making) -> Iterator[Callable[[], None]]:
    """Another database is about to take the name."""
    with closing(making.saga) as saga:
        spare, wanted = sql.Identifier(f"spare_{making.tenant_id.hex}"), sql.Identifier(saga.database)
    with psycopg.connect(making.superuser, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(spare))
        try:
            with locked(making, sql.SQL("ALTER DATABASE {} RENAME TO {}").format(spare, wanted)) as until_held:
                yield until_held
        finally:
            connection.execute(sql.SQL("DROP DATABASE {}").format(spare))


def hold_grant(making: Making) -> AbstractContextManager[Callable[[], None]]:
    return locked(making, "LOCK TABLE pg_class IN SHARE MODE", making.made_up_to(3))


@contextmanager
def hold_bucket(making: Making) -> Iterator[Callable[[], None]]:
    making.store.open.clear()
    try:
        yield lambda: until(making.store.arrived.is_set, 30, "the step") and None
    finally:
        making.store.open.set()


def hold_activate(making: Making) -> AbstractContextManager[Callable[[], None]]:
    return locked(making, "LOCK TABLE applied_jobs IN ACCESS EXCLUSIVE MODE", making.made_up_to(5))


@pytest.mark.usefixtures("dispatcher")
@pytest.mark.parametrize("hold", [hold_begin, hold_role, hold_database, hold_grant, hold_bucket, hold_activate])
def test_a_worker_killed_within_a_step_costs_an_attempt_and_no_more(engine: Engine, making: Making, hold: Hold) -> None:
    first = engine.worker("provisioning", concurrency=1, name="first")
    with hold(making) as until_held:
        job_id = making.submit()
        until_held()
        engine.kill(first)
    engine.worker("provisioning", concurrency=1, name="second")
    until(lambda: state(making.tenancy, job_id) == "succeeded", 40, "the job on the other worker")
    assert_made_once(engine, making, job_id)


def assert_made_once(engine: Engine, making: Making, job_id: UUID) -> None:
    """The tenant is active and whole, by the second attempt, and was made active once."""
    assert (making.row()["state"], making.on_the_server()) == ("active", (True, True))
    activations = sum(
        line.count('"step": "activate"') for name in ("first", "second") for line in engine.log(name).splitlines()
    )
    assert activations == 1
    (job,) = making.tenancy.platform.fetch("SELECT attempt FROM jobs WHERE id = %(id)s", {"id": job_id})
    assert job["attempt"] == 2
    others = making.tenancy.platform.fetch("SELECT kind FROM jobs WHERE id <> %(id)s", {"id": job_id})
    assert [other["kind"] for other in others] == ["notification.deliver"]
    with making.tenancy.session(making.tenant_id) as session:
        assert session.connection().exec_driver_sql("SELECT count(*) FROM documents").scalar() == 0


@pytest.mark.usefixtures("dispatcher")
def test_a_frozen_worker_that_wakes_leaves_the_tenant_alone_that_another_has_made(
    engine: Engine, making: Making
) -> None:
    first = engine.worker("provisioning", concurrency=1, name="first")
    with hold_database(making) as until_held:
        job_id = making.submit()
        until_held()
        os.killpg(first.pid, signal.SIGSTOP)
    try:
        engine.worker("provisioning", concurrency=1, name="second")
        until(lambda: state(making.tenancy, job_id) == "succeeded", 40, "the job elsewhere")
    finally:
        os.killpg(first.pid, signal.SIGCONT)
    until(lambda: "job.outcome_fenced" in engine.log("first"), 20, "the fenced outcome")
    assert_made_once(engine, making, job_id)


@pytest.mark.usefixtures("dispatcher")
def test_a_provisioning_that_outlives_every_worker_is_undone_and_can_be_begun_anew(
    engine: Engine, making: Making
) -> None:
    """The dead worker's server process still waits to create the database: whoever undoes must end it first."""
    first = engine.worker("provisioning", concurrency=1, name="first")
    with hold_database(making) as until_held:
        job_id = making.submit()
        making.tenancy.platform.fetch("UPDATE jobs SET max_attempts = 1", {})
        until_held()
        engine.kill(first)
        engine.worker("provisioning", concurrency=1, name="second")
        until(lambda: making.row()["state"] == "failed", 40, "the end of the tenant")
        until(lambda: compensated(making), 20, "the end of the undoing")
    assert state(making.tenancy, job_id) == "failed"
    row = making.row()
    assert row["settings"] == {"failure": "worker_lost: provisioning was given up after 1 attempts"}
    assert (row["dsn_sealed"], row["bucket_sealed"], making.on_the_server()) == (None, None, (False, False))

    again = replay(making.tenancy, system("test", making.tenant_id), job_id, None).id
    until(lambda: state(making.tenancy, again) == "succeeded", 30, "the second try")
    assert (making.row()["state"], making.row()["settings"]) == ("active", {})
    assert making.on_the_server() == (True, True)


def compensated(making: Making) -> bool:
    """Whether the undoing has ended well."""
    query = "SELECT 1 FROM jobs WHERE kind = 'tenant.compensate' AND state = 'succeeded'"
    return bool(making.tenancy.platform.fetch(query, {}))  # type: ignore[arg-type]


@pytest.mark.usefixtures("dispatcher")
def test_a_worker_killed_while_it_undoes_leaves_nothing_behind(engine: Engine, making: Making) -> None:
    database = making.made_up_to(5)
    job_id = making.submit()
    making.tenancy.platform.fetch("UPDATE jobs SET state = 'cancelled', finished_at = now()", {})
    first = engine.worker("provisioning", concurrency=1, name="first")
    comment = sql.SQL("COMMENT ON DATABASE {} IS 'held'").format(sql.Identifier(database))
    with locked(making, comment) as until_held:
        until_held()
        assert making.row()["state"] == "failed"
        engine.kill(first)
    engine.worker("provisioning", concurrency=1, name="second")
    until(lambda: compensated(making), 40, "the undoing on the other worker")
    assert (making.row()["state"], making.on_the_server()) == ("failed", (False, False))
    assert making.row()["settings"] == {"failure": "cancelled: provisioning was given up after 0 attempts"}
    assert state(making.tenancy, job_id) == "cancelled"


@pytest.mark.usefixtures("dispatcher")
def test_a_frozen_worker_that_wakes_does_not_revive_the_tenant_that_was_undone(engine: Engine, making: Making) -> None:
    first = engine.worker("provisioning", concurrency=1, name="first")
    with hold_role(making) as until_held:
        job_id = making.submit()
        making.tenancy.platform.fetch("UPDATE jobs SET max_attempts = 1", {})
        until_held()
        os.killpg(first.pid, signal.SIGSTOP)
    try:
        engine.worker("provisioning", concurrency=1, name="second")
        until(lambda: compensated(making), 40, "the undoing")
    finally:
        os.killpg(first.pid, signal.SIGCONT)
    until(lambda: "job.outcome_fenced" in engine.log("first"), 20, "the fenced outcome")
    assert (state(making.tenancy, job_id), making.row()["state"]) == ("failed", "failed")
    assert making.on_the_server() == (False, False)
