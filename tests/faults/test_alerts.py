"""Each alert fires when what it watches is broken, and none while all is well: real processes, real scrapes, Prometheus's own rules."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psutil
import psycopg
import pytest
import yaml
from psycopg import sql

from bench.engine import Engine, until
from bench.service import start_web
from bench.tenant_client import TenantClient
from config.settings import Settings
from domain.identity.principals import system
from jobs.backlog import DEAF_SECONDS
from jobs.kinds import QUEUES
from jobs.submit import NewJob, submit
from tenancy.access import Tenancy
from tenancy.scopes import operator_scope
from tests.conftest import Cluster
from tests.contracts.llm_double import LlmDouble, llm_double
from tests.faults.conftest import held
from tests.prometheus import RULES, History, Scrape, firing, require, scraped

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

WELL_MINUTES, BROKEN_MINUTES = 40, 370
"""An alert waits for six hours."""

IO, CPU = ("completions", "notifications", "search", "webhooks"), ("billing", "provisioning", "default")


@pytest.fixture
def models() -> Iterator[LlmDouble]:
    """The vendor of the completions."""
    with llm_double() as running:
        yield running


@pytest.fixture(autouse=True)
def _resumed(settings: Settings) -> Iterator[None]:
    """Other tests of this run find nothing paused."""
    yield
    web = Tenancy(settings, "web")
    web.platform.fetch("DELETE FROM dispatch_pauses", {}, operator_scope())
    web.dispose()


@contextmanager
def without_database(cluster: Cluster, settings: Settings) -> Iterator[None]:
    """For the block, the platform's database takes no connection, and those that were there are cut."""
    name = settings.owner_dsn.partition("?")[0].rpartition("/")[2]
    allow = sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {}")
    with psycopg.connect(cluster.postgres.superuser_dsn, autocommit=True) as connection:
        connection.execute(allow.format(sql.Identifier(name), sql.SQL("false")))
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
            (name,),
        )
        try:
            yield
        finally:
            connection.execute(allow.format(sql.Identifier(name), sql.SQL("true")))


class Platform:
    """The processes that are broken, and what a scrape says."""

    def __init__(self, engine: Engine, tmp_path: Path):
        self.web, self.url = start_web(engine)
        self.dispatcher = engine.dispatcher()
        self.cpu = engine.worker(*CPU, concurrency=4, name="worker-cpu")
        self.io = engine.worker(*IO, pool="threads", concurrency=8, name="worker-io")
        self.beat = engine.beat(tmp_path / "schedule")

    def scrape(self) -> Scrape:
        """As Prometheus would see it now."""
        try:
            return scraped(httpx2.get(f"{self.url}/metrics", timeout=10.0).raise_for_status().text)
        except httpx2.TransportError:
            return scraped(None)

    def value(self, series: str) -> float | None:
        """Of one series, by its name and labels without those of the target."""
        mark = ',job="nexus",instance="web:8000"}'
        return self.scrape().get(series[:-1] + mark if series.endswith("}") else f"{series}{{{mark[1:]}")


def test_every_alert_fires_when_what_it_watches_is_broken_and_none_before(
    engine: Engine, tenancy: Tenancy, settings: Settings, cluster: Cluster, models: LlmDouble, tmp_path: Path
) -> None:
    promtool = require("promtool")
    tenancy.platform.fetch("DELETE FROM readings", {})
    engine.environment |= {
        "OPENAI_BASE_URL": f"{models.url}/v1",
        "OPENAI_API_KEY": "sk-test",
        "NEXUS_LEASE_SECONDS": "3",
    }
    platform = Platform(engine, tmp_path)
    with TenantClient.create(platform.url, tier="pooled") as client:
        # --- all is well
        until(
            lambda: all(platform.value(f'nexus_workers{{queue="{queue}"}}') == 1 for queue in QUEUES),
            60,
            "the workers",
            0.5,
        )
        until(lambda: bool(platform.value('nexus_ticks_total{tick="tick.billing"}')), 60, "ticks", 0.5)
        client.wait(
            client.post("/llm/completions", {"messages": [{"role": "user", "content": "Hi"}]}, key="1")["id"], 60
        )
        well = platform.scrape()
        until(lambda: platform.scrape()[_ticks()] > well[_ticks()], 60, "one more tick", 0.5)
        history = History().went(well, platform.scrape(), WELL_MINUTES)

        # --- jobs pile up behind a pool that is frozen, a provider fails, a queue is paused, a table is locked
        wanted: dict[str, str] = {}
        before = platform.scrape()
        broken = _freeze_and_flood(platform, tenancy, client)
        _check(promtool, history.went(before, platform.scrape(), 30), {"NexusWorkersLost": ""}, tmp_path)
        before = platform.scrape()
        _pause(tenancy, "billing")
        models.script[:] = ["529"] * 1000
        until(
            lambda: (platform.value('nexus_queue_deaf{queue="default"}') or 0) == 1,
            DEAF_SECONDS + 60,
            "deaf workers",
            0.5,
        )
        for number in range(8):
            client.post("/llm/completions", {"messages": [{"role": "user", "content": "Hi"}]}, key=f"failing-{number}")
        _login_slowly(settings, platform.url)
        until(
            lambda: (platform.value('nexus_provider_circuits_open{provider="openai"}') or 0) > 0, 60, "a circuit", 0.5
        )
        first = history.went(before, platform.scrape(), BROKEN_MINUTES)
        wanted |= {
            "NexusQueueDeaf": 'queue="default"', "NexusBacklogOld": 'queue="default"', "NexusQueuePausedLong": 'queue="billing"',
            "NexusAttemptsFail": 'kind="completion.create"', "NexusProviderFails": 'provider="openai"',
            "NexusCircuitOpen": 'provider="openai"', "NexusSlow": 'route="/api/v1/auth/login"', "NexusBeatSilent": "",
        }  # fmt: skip
    _check(promtool, first, wanted, tmp_path)

    # --- nobody works any more
    for process in (platform.dispatcher, platform.cpu, platform.io, platform.beat):
        engine.kill(process)
    until(lambda: not any(map(_lives, broken)), 30, "the frozen pool's end", 0.1)
    until(lambda: (platform.value("nexus_dispatcher_heartbeat_age_seconds") or 0) > 16, 60, "an old heartbeat", 0.5)
    until(lambda: platform.value('nexus_workers{queue="search"}') == 0, 60, "no worker", 0.5)
    before = platform.scrape()
    unserved = {"NexusNoLeader": "", "NexusQueueUnserved": 'queue="search"', "NexusBeatSilent": ""}
    _check(promtool, history.went(before, platform.scrape(), BROKEN_MINUTES), unserved, tmp_path)

    # --- the database is away, then the API
    with without_database(cluster, settings):
        until(lambda: platform.value("nexus_platform_database_up") == 0, 60, "the database to be away", 0.5)
        before = platform.scrape()
        statuses = {httpx2.get(f"{platform.url}/api/v1/tenants", headers={"Authorization": "Bearer nxs_no.key"}).status_code
                    for _ in range(5)}  # fmt: skip
        statuses |= {_login(platform.url) for _ in range(3)}
        assert 503 in statuses
        away = history.went(before, platform.scrape(), BROKEN_MINUTES)
    _check(promtool, away, {"NexusDatabaseDown": "", "NexusServerErrors": "", "NexusNoLeader": ""}, tmp_path)
    engine.kill(platform.web)
    _check(promtool, history.went(well, platform.scrape(), BROKEN_MINUTES), {"NexusDown": ""}, tmp_path)

    elsewhere = {"NexusBackupOld"}  # tests/faults/test_backup_alerts.py
    seen = {*wanted, *elsewhere, *unserved, "NexusWorkersLost", "NexusDatabaseDown", "NexusServerErrors", "NexusDown"}
    assert seen == {rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]}


def _ticks() -> str:
    return 'nexus_ticks_total{tick="tick.billing",job="nexus",instance="web:8000"}'


def _check(promtool: str, history: History, wanted: dict[str, str], home: Path) -> None:
    """Nothing fires while all is well; in the end all that is wanted does, with these labels."""
    at_well, at_end = WELL_MINUTES - 1, history.minutes - 1
    found = firing(promtool, history, [at_well, at_end], home)
    assert found[at_well] == set()
    for alert, labels in wanted.items():
        assert any(name == alert and labels in told for name, told in found[at_end]), (alert, labels, found[at_end])


def _freeze_and_flood(platform: Platform, tenancy: Tenancy, client: TenantClient) -> list[psutil.Process]:
    """Freeze the processes of a pool while each runs a job, and submit far more than fits; returns them."""
    who = system("test", client.tenant_id)
    for _ in range(6):
        submit(tenancy, NewJob("system.ping", {"seconds": 50}, who))
    query = "SELECT 1 FROM jobs WHERE state = 'running' AND kind = 'system.ping'"
    until(lambda: len(tenancy.platform.fetch(query, {})) >= 4, 60, "four jobs that run")  # type: ignore[arg-type]
    pool = psutil.Process(platform.cpu.pid).children()
    for process in pool:
        process.suspend()
    for _ in range(400):
        submit(tenancy, NewJob("system.ping", {"seconds": 5}, who))
    tenancy.platform.fetch("UPDATE jobs SET run_at = now() - interval '10 minutes' WHERE state = 'queued'", {})
    until(lambda: (platform.value("nexus_lost_attempts_total") or 0) > 3, 60, "attempts that lost their worker", 0.5)
    return pool


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _pause(tenancy: Tenancy, queue: str) -> None:
    web = Tenancy(tenancy.settings, "web")
    web.platform.fetch(
        "INSERT INTO dispatch_pauses (scope, name, paused_by) VALUES ('queue', %(queue)s, 'test')", {"queue": queue},
        operator_scope(),
    )  # fmt: skip
    web.dispose()


def _login(url: str) -> int:
    account = {"email": "nobody@example.com", "password": "not the password"}
    return httpx2.post(f"{url}/api/v1/auth/login", json=account, timeout=60).status_code


def _login_slowly(settings: Settings, url: str) -> None:
    """Have some logins wait for a table that somebody locked."""
    with held(settings.owner_dsn, "LOCK TABLE users IN ACCESS EXCLUSIVE MODE"):
        threads = [threading.Thread(target=_login, args=(url,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(4)
    for thread in threads:
        thread.join()
