"""`/metrics`: every measure that is declared, labels for tenants only where asked, and several processes as one."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from uuid import UUID

import httpx2
import psutil
import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from bench.engine import environment_of, until
from cli.processes import free_port
from config.settings import Settings
from config.telemetry import counters
from config.telemetry.measures import (
    BY_TENANT,
    LEADER_AGE,
    MEASURES,
    PROVIDER_CALLS,
    PROVIDER_SECONDS,
    READ,
    REQUESTS,
)
from jobs.readings import Reporter
from jobs.runtimes import Observed, observe
from tenancy.access import Tenancy
from web.app import create_app

ROOT = Path(__file__).parents[3]
Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def app_with(settings: Settings) -> Iterator[Callable[..., Flask]]:
    """Makes apps whose settings differ from the run's."""
    made: list[Flask] = []

    def make(**changes: object) -> Flask:
        made.append(create_app(settings.model_copy(update=changes)))
        return made[-1]

    yield make
    for app in made:
        app.extensions["nexus.tenancy"].dispose()


def samples(text: str) -> Samples:
    """Every sample by its name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_declared_measure_is_told_with_its_meaning(client: FlaskClient) -> None:
    text = client.get("/metrics").text
    for measure in MEASURES.values():
        name = f"{measure.name}_total" if measure.kind == "counter" else measure.name
        assert f"# HELP {name} {measure.text}" in text
        assert f"# TYPE {name} {measure.kind}" in text
    assert "nexus_unsent_jobs_total 0.0" in text


def test_what_is_told_is_what_is_declared_and_nothing_else(app_with: Callable[..., Flask]) -> None:
    text = app_with(metrics="tenants").test_client().get("/metrics").text
    told = {
        name: kind
        for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE)
        if not name.endswith("_created")
    }
    declared = {
        each.series: each.kind for each in (*READ.values(), *MEASURES.values(), *REQUESTS.values(), *BY_TENANT.values())
    }
    assert {LEADER_AGE.series: LEADER_AGE.kind, **told} == declared  # nobody has led here


def test_what_processes_wrote_is_told_in_prometheus_words(client: FlaskClient, engine_tenancy: Tenancy) -> None:
    counters.take()
    counters.count(PROVIDER_CALLS, "told", "send", "ok", by=3)
    for seconds in (0.02, 0.02, 7.0, 100.0):
        counters.observe(PROVIDER_SECONDS, seconds, "told", "send")
    Reporter(engine_tenancy.platform, "test").write(0.0)
    found = samples(client.get("/metrics").text)
    of = {("provider", "told"), ("operation", "send")}
    assert found["nexus_provider_calls_total", frozenset({*of, ("outcome", "ok")})] == 3
    buckets = {bound: found["nexus_provider_call_seconds_bucket", frozenset({*of, ("le", bound)})] for bound in
               ("0.01", "0.025", "5.0", "10.0", "60.0", "+Inf")}  # fmt: skip
    assert buckets == {"0.01": 0, "0.025": 2, "5.0": 2, "10.0": 3, "60.0": 3, "+Inf": 4}
    assert found["nexus_provider_call_seconds_count", frozenset(of)] == 4
    assert round(found["nexus_provider_call_seconds_sum", frozenset(of)], 2) == 107.04
    engine_tenancy.platform.fetch("DELETE FROM readings WHERE labels[1] = 'told'", {})
    engine_tenancy.platform.fetch("DELETE FROM processes WHERE name = 'test'", {})


def test_tenants_are_named_only_where_the_operator_asked_for_it(
    app_with: Callable[..., Flask], engine_tenancy: Tenancy, pooled_tenant: UUID
) -> None:
    observe(engine_tenancy.platform, {"system.ping": Observed(3, 1.5, 0)}, {(pooled_tenant, "default"): (3, 1.5)})
    plain = app_with().test_client().get("/metrics").text
    assert str(pooled_tenant) not in plain
    assert re.search(
        r'nexus_tenants\{state="active",tier="pooled"\} [1-9]|nexus_tenants\{tier="pooled",state="active"\} [1-9]',
        plain,
    )
    assert re.search(r"nexus_tenants_at_work [1-9]", plain)
    found = samples(app_with(metrics="tenants").test_client().get("/metrics").text)
    ours = frozenset({("tenant", str(pooled_tenant)), ("queue", "default")})
    assert found["nexus_tenant_attempts_total", ours] == 3
    assert found["nexus_tenant_busy_seconds_total", ours] == 1.5


def test_who_wants_no_metrics_has_none(app_with: Callable[..., Flask]) -> None:
    answer = app_with(metrics="off").test_client().get("/metrics")
    assert (answer.status_code, answer.json["code"]) == (404, "route_not_found")  # type: ignore[index]


def test_a_scrape_of_any_of_several_web_processes_tells_of_all(settings: Settings, tmp_path: Path) -> None:
    port = free_port()
    variables = {**os.environ, **environment_of(settings), "NEXUS_PORT": str(port), "NEXUS_HOST": "127.0.0.1", "NEXUS_ANONYMOUS_RATE_LIMIT": "100000/minute",
                 "NEXUS_WEB_WORKERS": "2", "TMPDIR": str(tmp_path)}  # fmt: skip
    command = (sys.executable, "-m", "gunicorn", "-c", "web/gunicorn.py", "web.app:create_app()")
    with (tmp_path / "web.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=log, stderr=log)
    try:
        base = f"http://127.0.0.1:{port}"
        until(lambda: len(psutil.Process(process.pid).children()) == 2, 60, "two processes", 0.1)
        until(lambda: _answers(base), 60, "the API", 0.1)
        asked = 0
        while len(list(tmp_path.glob("nexus-figures-*/counter_*.db"))) < 2 or asked < 40:
            httpx2.get(f"{base}/made-up")  # a connection of its own each time, so that both are asked
            asked += 1
            assert asked < 3000, "one of the processes answers nothing"
        unmatched = (
            "nexus_http_requests_total",
            frozenset({("method", "GET"), ("route", "unmatched"), ("status", "404")}),
        )
        told = [samples(httpx2.get(f"{base}/metrics").text).get(unmatched) for _ in range(10)]
        assert told == [float(asked)] * 10
        os.kill(psutil.Process(process.pid).children()[0].pid, signal.SIGKILL)
        until(lambda: len(psutil.Process(process.pid).children()) == 2, 60, "a new one", 0.1)
        until(lambda: _answers(base), 60, "the API", 0.1)
        assert samples(httpx2.get(f"{base}/metrics").text)[unmatched] == asked, "what the killed one counted stays"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    assert list(tmp_path.glob("nexus-figures-*")) == []


def _answers(base: str) -> bool:
    try:
        return httpx2.get(f"{base}/health", timeout=2.0).is_success
    except httpx2.TransportError:
        return False
