"""Figures of many processes as one: added up, never lost by an outage of the database, read in one round trip."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from uuid import UUID

import psutil
import pytest

from config.settings import Settings
from config.telemetry import counters
from config.telemetry.counters import Reading
from config.telemetry.measures import CIRCUITS_OPEN, CPU_SECONDS, PROVIDER_CALLS, PROVIDER_SECONDS, RESIDENT_BYTES
from domain.ids import new_id
from jobs.budget_standings import note
from jobs.figures import figures
from jobs.readings import Reporter, forget_gone
from tenancy.access import Tenancy
from tenancy.database import Database

NAME = f"test-{new_id().hex[-12:]}"
"""A provider, and a process, of this run of these tests alone."""


@pytest.fixture(autouse=True)
def _clean(engine_tenancy: Tenancy) -> Iterator[None]:
    counters.take()
    yield
    counters.take()
    for statement in (
        "DELETE FROM readings WHERE labels && ARRAY[%(name)s]", "DELETE FROM processes WHERE name = %(name)s",
    ):  # fmt: skip
        engine_tenancy.platform.fetch(statement, {"name": NAME})  # type: ignore[arg-type]


def calls(platform: Database) -> float:
    """Calls of this test's provider, as all processes tell."""
    found = figures(platform, by_tenant=False).readings.get((PROVIDER_CALLS.name, (NAME, "send", "ok")))
    return 0.0 if found is None else found.total


def test_what_processes_count_adds_up(engine_tenancy: Tenancy, web_tenancy: Tenancy) -> None:
    reporters = [Reporter(engine_tenancy.platform, NAME) for _ in range(2)]
    for number, reporter in enumerate(reporters, 1):
        counters.count(PROVIDER_CALLS, NAME, "send", "ok", by=number)
        counters.observe(PROVIDER_SECONDS, 0.02 * number, NAME, "send")
        reporter.write(time.monotonic())
    found = figures(web_tenancy.platform, by_tenant=False)
    seconds = found.readings[PROVIDER_SECONDS.name, (NAME, "send")]
    assert calls(web_tenancy.platform) == 3
    assert (seconds.count, round(seconds.total, 2), seconds.buckets) == (2, 0.06, [0, 1, 1, *[0] * 10])
    assert found.processes[NAME,] == 2
    assert found.gauges[RESIDENT_BYTES.name][NAME,] > 2e6


def test_processes_that_write_at_once_neither_lose_nor_block(engine_tenancy: Tenancy) -> None:
    def write(number: int) -> None:
        for each in range(20):
            names = [f"op{(number * 7 + each + place) % 5}" for place in range(5)]
            keys = {(PROVIDER_CALLS.name, (NAME, name, "ok")): Reading(1, 1.0) for name in names}
            counters.put_back(keys)
            Reporter(engine_tenancy.platform, NAME).write(0.0)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    Reporter(engine_tenancy.platform, NAME).write(0.0)
    found = figures(engine_tenancy.platform, by_tenant=False).readings
    assert sum(each.total for (_, labels), each in found.items() if labels[0] == NAME and len(labels) == 3) == 400


def test_an_outage_of_the_database_loses_no_processor_time(settings: Settings, engine_tenancy: Tenancy) -> None:
    away = Database(settings.engine_dsn.replace("/nexus_test", "/nexus_nowhere"), pool_size=1, application_name="test")
    used = sum(psutil.Process().cpu_times()[:2])
    reporter = Reporter(away, NAME)
    with pytest.raises(Exception, match="nexus_nowhere"):
        reporter.write(time.monotonic())
    away.dispose()
    reporter._platform = engine_tenancy.platform
    reporter.write(time.monotonic())
    told = figures(engine_tenancy.platform, by_tenant=False).readings[CPU_SECONDS.name, (NAME,)].total
    assert told >= used > 0


def test_an_outage_of_the_database_loses_no_count(settings: Settings, engine_tenancy: Tenancy) -> None:
    away = Database(settings.engine_dsn.replace("/nexus_test", "/nexus_nowhere"), pool_size=1, application_name="test")
    counters.count(PROVIDER_CALLS, NAME, "send", "ok", by=4)
    with pytest.raises(Exception, match="nexus_nowhere"):
        Reporter(away, NAME).write(time.monotonic())
    counters.count(PROVIDER_CALLS, NAME, "send", "ok")
    Reporter(engine_tenancy.platform, NAME).write(time.monotonic())
    assert calls(engine_tenancy.platform) == 5
    away.dispose()


def test_a_reporter_writes_by_itself_and_withdraws_at_its_end(engine_tenancy: Tenancy) -> None:
    reporter = Reporter(engine_tenancy.platform, NAME)
    reporter.start()
    counters.count(PROVIDER_CALLS, NAME, "send", "ok")
    deadline = time.monotonic() + 30
    while not calls(engine_tenancy.platform):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    counters.count(PROVIDER_CALLS, NAME, "send", "ok")
    reporter.stop()
    assert calls(engine_tenancy.platform) == 2
    assert (NAME,) not in figures(engine_tenancy.platform, by_tenant=False).processes


def test_a_process_that_says_nothing_is_soon_not_counted_and_then_forgotten(engine_tenancy: Tenancy) -> None:
    platform = engine_tenancy.platform
    Reporter(platform, NAME).write(0.0)
    platform.fetch("UPDATE processes SET seen_at = now() - interval '31 seconds' WHERE name = %(name)s", {"name": NAME})
    assert (NAME,) not in figures(platform, by_tenant=False).processes
    forget_gone(platform)
    assert platform.fetch("SELECT 1 FROM processes WHERE name = %(name)s", {"name": NAME}) == []


def test_gauges_of_live_processes_add_up(engine_tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "_gauges", [(CIRCUITS_OPEN.name, lambda: {(NAME,): 2.0})])
    for _ in range(2):
        Reporter(engine_tenancy.platform, NAME).write(0.0)
    assert figures(engine_tenancy.platform, by_tenant=False).gauges[CIRCUITS_OPEN.name][NAME,] == 4


def test_standings_of_budgets_are_kept_by_tenant_and_only_for_their_period(
    engine_tenancy: Tenancy, web_tenancy: Tenancy, make_tenant: Callable[..., UUID]
) -> None:
    spent, half, over, none = (make_tenant() for _ in range(4))
    standing = {"budgets": 2, "exhausted": 1, "used_share": 1.25, "valid_until": "2999-01-01T00:00:00+00:00"}
    note(spent, standing)
    note(half, {**standing, "exhausted": 0, "used_share": 0.5, "valid_until": None})
    note(over, {**standing, "valid_until": "2020-01-01T00:00:00+00:00"})
    note(none, {**standing, "budgets": 0})
    Reporter(engine_tenancy.platform, NAME).write(0.0)

    found = figures(web_tenancy.platform, by_tenant=True)
    shares = {row["tenant"]: row["used_share"] for row in found.each_budget}
    ours = {str(each) for each in (spent, half, over, none)}
    assert {tenant: share for tenant, share in shares.items() if tenant in ours} == {str(spent): 1.25, str(half): 0.5}
    assert (found.budget_used_share, found.budgets_exhausted >= 1, found.budgets >= 4) == (1.25, True, True)

    note(spent, {**standing, "budgets": 0})
    Reporter(engine_tenancy.platform, NAME).write(0.0)
    assert str(spent) not in {row["tenant"] for row in figures(web_tenancy.platform, by_tenant=True).each_budget}
