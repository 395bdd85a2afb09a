"""PostgreSQL restarts, crashes and freezes under load: nothing is lost or done twice, and the API says the truth.

These tests have a server of their own. Its commits wait for the log as in production; only the flush to the disk is left
out (`fsync`), which matters when the machine dies and not when the server does.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid4

import httpx2
import psutil
import psycopg
import pytest
from psycopg import sql

from bench.engine import Engine, until
from bench.tenant_client import TenantClient
from cli.embedded.postgres import EmbeddedPostgres
from cli.embedded.valkey import EmbeddedValkey
from cli.processes import free_port
from config.settings import ENGINE_ROLE, Settings
from domain.identity.principals import system
from jobs.submit import NewJob, submit
from tenancy.access import PLATFORM_PATIENCE_SECONDS, Tenancy
from tenancy.bootstrap import Prepared, prepare
from tenancy.database import Row
from tests.brokers import Broker
from tests.conftest import Cluster, settings_for
from tests.faults.conftest import make_tenant
from tests.faults.test_workers import mails, running, sent

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("postgres")]

SERVER = {
    "fsync": "off", "wal_writer_delay": "10s", "wal_writer_flush_after": "1GB", "bgwriter_lru_maxpages": "0", "autovacuum": "off",
    "checkpoint_timeout": "1h",
}  # fmt: skip
"""What keeps relaxed commits in memory, so that a crash forgets all that it may forget: nothing brings the log to the disk by the way."""

RECOVERY_SECONDS = 20.0
LEASE_SECONDS = 3.0
GUNICORN = (sys.executable, "-c", "import sys; from gunicorn.app.wsgiapp import run; sys.exit(run())")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL that these tests stop and kill."""
    postgres = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), SERVER)
    postgres.start()
    yield postgres
    postgres.stop()


@pytest.fixture(scope="module")
def platform(server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A prepared platform on that server, whose broker is still to be named."""
    home = tmp_path_factory.mktemp("platform")
    settings = settings_for(Cluster(server, EmbeddedValkey(home), home), "nexus_platform", home)
    prepare(settings)
    return settings


@pytest.fixture
def settings(platform: Settings, server: EmbeddedPostgres, cluster: Cluster, broker: Broker) -> Settings:
    """The platform with this test's broker."""
    own = isinstance(broker, EmbeddedValkey)
    return settings_for(
        Cluster(server, cluster.valkey, platform.home), "nexus_platform", platform.home, BROKER_URL=broker.url,
        REDIS_URL=broker.url if own else cluster.valkey.url, NEXUS_LEASE_SECONDS=LEASE_SECONDS, NEXUS_PORT=free_port(),
        NEXUS_LOG_LEVEL="info",
    )  # fmt: skip


@pytest.fixture
def client(engine: Engine, settings: Settings) -> Iterator[TenantClient]:
    """All of the platform's processes, and a client with a tenant that has a database of its own."""
    engine.start("web", (*GUNICORN, "-c", "web/gunicorn.py", "web.app:create_app()"), {})
    engine.dispatcher()
    engine.worker("notifications", pool="threads", concurrency=4, name="io")
    engine.worker("default", "provisioning", name="cpu")
    until(lambda: answers(settings.base_url), 30, "the API")
    with TenantClient.create(settings.base_url) as made:
        yield made


def answers(base_url: str) -> bool:
    """Whether the API is up."""
    try:
        return httpx2.get(f"{base_url}/health").status_code == 200
    except httpx2.TransportError:
        return False


def crash(server: EmbeddedPostgres, number: signal.Signals) -> None:
    """End the server by a signal and wait until all its processes have gone."""
    pid = server.pid
    assert pid is not None
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    os.kill(pid, number)
    until(lambda: all(_gone(process) for process in family), 20, "the end of the server")


def _gone(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@dataclass(slots=True)
class Load:
    """Submits pings and messages in turn until it is told to stop, and keeps asking for what was accepted before.

    Whatever the database does, an answer is the truth or `503` as problem+json.
    """

    client: TenantClient
    accepted: dict[UUID, str] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    untruths: list[str] = field(default_factory=list)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=act) for act in (self._submit, self._submit, self._read)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(60)

    def _submit(self) -> None:
        """What got no answer or `503` is sent again with its key, as a client should."""
        while not self._stopped.is_set():
            message = len(self.accepted) % 2
            path = "/notifications/send" if message else "/jobs"
            body = (
                {"to": "guest@example.com", "subject": "Room", "text": "Ready."}
                if message
                else {"kind": "system.ping", "payload": {"seconds": 0.05}}
            )
            key = str(uuid4())
            while (answer := self._ask("POST", path, body, key)) is None:
                time.sleep(0.1)
            self.accepted[UUID(answer["id"])] = answer["kind"]
            time.sleep(0.01)

    def _read(self) -> None:
        finished: dict[UUID, str] = {}
        while not self._stopped.is_set():
            for job_id in list(self.accepted)[-5:]:
                answer = self._ask("GET", f"/jobs/{job_id}")
                if answer is None:
                    continue
                if finished.setdefault(job_id, answer["state"]) == "succeeded" != answer["state"]:
                    self.untruths.append(f"{job_id} had succeeded and is {answer['state']}")
                finished[job_id] = answer["state"]
            time.sleep(0.02)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None, key: str | None = None) -> Any:
        headers = self.client.headers if key is None else {**self.client.headers, "Idempotency-Key": key}
        try:
            response = self.client.http.request(method, path, headers=headers, json=body)
        except httpx2.TransportError as error:
            self.untruths.append(f"{method} {path}: {type(error).__name__}")
            return None
        self.statuses[response.status_code] += 1
        if response.status_code in {200, 202}:
            return response.json()
        honest = (
            response.status_code == 503
            and response.headers["Content-Type"] == "application/problem+json"
            and response.json()["code"] == "service_unavailable"
            and "Retry-After" in response.headers
        )
        if not honest:
            self.untruths.append(f"{method} {path}: {response.status_code} {response.text[:300]}")
        return None


@pytest.mark.timeout(180)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL])
def test_a_server_that_ends_under_load_costs_nothing_but_time(
    server: EmbeddedPostgres,
    engine: Engine,
    client: TenantClient,
    tenancy: Tenancy,
    settings: Settings,
    how: signal.Signals,
) -> None:
    """SIGINT is a restart in order, SIGQUIT and SIGKILL are crashes."""
    with Load(client) as load:
        until(lambda: len(load.accepted) > 60, 30, "the first jobs")
        crash(server, how)
        until(lambda: load.statuses[503] > 5, 10, "answers without a database")
        time.sleep(2)
        server.start()
        before = len(load.accepted)
        recovery = until(lambda: len(load.accepted) > before + 20, RECOVERY_SECONDS, "the API's return")
    recovery += until(lambda: unfinished(tenancy, client.tenant_id) == 0, RECOVERY_SECONDS, "all jobs", pause=0.1)
    print(f"{len(load.accepted)} jobs, {dict(load.statuses)}, recovered in {recovery:.1f} s")
    assert load.untruths == []
    assert all(process.poll() is None for process in engine._started)
    assert recovery < RECOVERY_SECONDS
    rows = tenancy.platform.fetch(
        "SELECT id, state FROM jobs WHERE tenant_id = %(id)s AND request_id IS NOT NULL AND parent_id IS NULL"
        " AND kind <> 'tenant.provision'",
        {"id": client.tenant_id},
    )
    assert {row["id"]: row["state"] for row in rows} == dict.fromkeys(load.accepted, "succeeded")
    messages = {job_id for job_id, kind in load.accepted.items() if kind == "notification.deliver"}
    taken = sent(tenancy, client.tenant_id)
    assert {job_id: taken.get(job_id) for job_id in messages} == {key: ["succeeded"] for key in messages}
    assert {path.stem for path in mails(settings.home / "outbox")} >= {str(job_id) for job_id in messages}
    for job_id in list(load.accepted)[:10]:
        assert client.get(f"/jobs/{job_id}")["state"] == "succeeded"


def superuser(server: EmbeddedPostgres) -> psycopg.Connection[Any]:
    """The platform's database as the server's own superuser."""
    return psycopg.connect(server.superuser_dsn.replace("/postgres?", "/nexus_platform?"), autocommit=True)


@pytest.fixture
def relaxed(server: EmbeddedPostgres, settings: Settings) -> Iterator[None]:
    """No commit of the engine waits for the disk, so that none brings the marks before it there by the way.

    And outcomes are held up in the server, so that there are jobs whose effect is done and whose outcome is not.
    """
    role, _ = settings.login_role(ENGINE_ROLE)
    name = sql.Identifier(role)
    with superuser(server) as connection:
        connection.execute(sql.SQL("ALTER ROLE {} SET synchronous_commit = off").format(name))
        connection.execute(
            "CREATE FUNCTION hold_up() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN IF NEW.state = 'succeeded' THEN PERFORM pg_sleep(60); END IF; RETURN NEW; END $$"
        )
        connection.execute("CREATE TRIGGER hold_up BEFORE UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION hold_up()")
    yield
    with superuser(server) as connection:
        connection.execute(sql.SQL("ALTER ROLE {} RESET synchronous_commit").format(name))


@pytest.fixture
def tenant_elsewhere(
    cluster: Cluster, prepared: tuple[Settings, Prepared], settings: Settings, tenancy: Tenancy
) -> UUID:
    """A tenant whose database is on another server: what it commits there says nothing about the platform's log."""
    other = settings_for(cluster, "nexus_platform", settings.home, NEXUS_MASTER_KEYS=settings.master_keys)
    return make_tenant(settings, tenancy, tier="dedicated", server=other)


@pytest.mark.timeout(120)
def test_marks_that_a_crash_forgets_do_no_harm(
    relaxed: None,
    server: EmbeddedPostgres,
    engine: Engine,
    tenancy: Tenancy,
    tenant_elsewhere: UUID,
    settings: Settings,
) -> None:
    """Dispatch and claim do not wait for the disk. Here the effect is there, and the server knows neither of them."""
    ids = []
    for number in range(6):
        payload = {"to": "guest@example.com", "subject": f"Room {number}", "text": "Ready."}
        ids.append(submit(tenancy, NewJob("notification.deliver", payload, system("test", tenant_elsewhere))).id)
    with superuser(server) as connection:
        connection.execute("CHECKPOINT")
    part(server, "walwriter").suspend()  # at the latest every 10 s it writes what lies there
    done: dict[UUID, list[str]] = {key: ["succeeded"] for key in ids}
    processes = [engine.dispatcher(), engine.worker("notifications", pool="threads", concurrency=6)]
    until(lambda: sent(tenancy, tenant_elsewhere) == done, 20, "the effects")
    assert {row["state"] for row in rows_of(tenancy, ids)} == {"running"}
    for process in processes:
        os.killpg(process.pid, signal.SIGSTOP)
    crash(server, signal.SIGQUIT)
    server.start()
    forgotten = rows_of(tenancy, ids)
    with superuser(server) as connection:
        connection.execute("DROP FUNCTION hold_up CASCADE")
    for process in processes:
        os.killpg(process.pid, signal.SIGCONT)
    assert {(row["state"], row["attempt"]) for row in forgotten} == {("queued", 0)}
    until(lambda: {row["state"] for row in rows_of(tenancy, ids)} == {"succeeded"}, RECOVERY_SECONDS, "the jobs")
    assert sent(tenancy, tenant_elsewhere) == done
    assert sorted(path.stem for path in mails(settings.home / "outbox") if UUID(path.stem) in done) == sorted(
        map(str, ids)
    )


@pytest.mark.timeout(120)
def test_an_outage_longer_than_the_lease_costs_running_jobs_no_attempt(
    server: EmbeddedPostgres, engine: Engine, tenancy: Tenancy, ping: Callable[..., UUID]
) -> None:
    """The new leader gives workers the time to renew before it takes their jobs for lost."""
    ids = start_long_jobs(engine, tenancy, ping)
    crash(server, signal.SIGINT)
    time.sleep(LEASE_SECONDS + 1)
    server.start()
    until(lambda: {row["state"] for row in rows_of(tenancy, ids)} == {"succeeded"}, RECOVERY_SECONDS, "the jobs")
    assert {row["attempt"] for row in rows_of(tenancy, ids)} == {1}


@pytest.mark.timeout(120)
def test_a_freeze_longer_than_the_lease_costs_running_jobs_no_attempt(
    server: EmbeddedPostgres, engine: Engine, tenancy: Tenancy, ping: Callable[..., UUID]
) -> None:
    """No connection ends, so the leader goes on where it was; all leases have run out, and nobody could renew them."""
    ids = start_long_jobs(engine, tenancy, ping)
    with frozen(server):
        time.sleep(LEASE_SECONDS + 1)
    until(lambda: {row["state"] for row in rows_of(tenancy, ids)} == {"succeeded"}, RECOVERY_SECONDS, "the jobs")
    assert {row["attempt"] for row in rows_of(tenancy, ids)} == {1}


@pytest.mark.timeout(180)
def test_a_frozen_server_is_given_up_in_bounded_time_and_found_again_when_it_wakes(
    server: EmbeddedPostgres, client: TenantClient
) -> None:
    """More requests than the API has connections: none of them hangs for as long as the server does."""

    def ask(_number: int) -> tuple[int, str]:
        response = client.http.get("/jobs", headers=client.headers)
        return response.status_code, response.headers["Content-Type"]

    with frozen(server), ThreadPoolExecutor(12) as callers:
        started = time.monotonic()
        answers = set(callers.map(ask, range(24)))
        took = time.monotonic() - started
    assert answers == {(503, "application/problem+json")}
    assert took < 3 * PLATFORM_PATIENCE_SECONDS
    until(lambda: ask(0)[0] == 200, RECOVERY_SECONDS, "the API's return")


@contextmanager
def frozen(server: EmbeddedPostgres) -> Iterator[None]:
    """The server and its sessions stand still in the block."""
    assert server.pid is not None
    family = [psutil.Process(server.pid), *psutil.Process(server.pid).children()]
    for process in family:
        process.suspend()
    try:
        yield
    finally:
        for process in family:
            process.resume()


def part(server: EmbeddedPostgres, name: str) -> psutil.Process:
    """The server's process of that name."""
    (found,) = (each for each in psutil.Process(server.pid).children() if f"postgres: {name}" in _title(each))
    return found


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # or a zombie: it has just ended
        return ""


def start_long_jobs(engine: Engine, tenancy: Tenancy, ping: Callable[..., UUID]) -> list[UUID]:
    """Jobs that run for three leases, on a worker that holds them."""
    engine.dispatcher()
    engine.worker("default")
    ids = [ping(seconds=3 * LEASE_SECONDS) for _ in range(2)]
    until(lambda: sorted(running(tenancy)) == sorted(ids), 20, "both jobs running")
    return ids


def rows_of(tenancy: Tenancy, ids: list[UUID]) -> list[Row]:
    """State and attempt of these jobs."""
    return tenancy.platform.fetch("SELECT id, state, attempt FROM jobs WHERE id = ANY(%(ids)s)", {"ids": ids})


def unfinished(tenancy: Tenancy, tenant_id: UUID) -> int:
    """Jobs of the tenant that still have to run."""
    rows = tenancy.platform.fetch(
        "SELECT count(*) AS jobs FROM jobs"
        " WHERE tenant_id = %(id)s AND state NOT IN ('succeeded', 'failed', 'cancelled')",
        {"id": tenant_id},
    )
    return int(rows[0]["jobs"])
