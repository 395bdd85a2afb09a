"""A real Prometheus with the deployed configuration scrapes a running platform, takes every rule and answers every panel."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from cli.processes import PlatformProcess, free_port
from tests.prometheus import RULES, require

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("platform")]

DEPLOY = RULES.parents[1]


@pytest.fixture
def ask(platform: PlatformProcess, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Asks Prometheus, which has scraped the platform at least twice."""
    binary, port = require("prometheus"), free_port()
    configuration = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    (scraped,) = configuration["scrape_configs"]
    assert scraped["static_configs"] == [{"targets": ["web:8000"]}]
    scraped["static_configs"] = [{"targets": [platform.base_url.removeprefix("http://")]}]
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    configuration["rule_files"] = [str(RULES)]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    command = (binary, f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'data'}",
               f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn")  # fmt: skip
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)

    def asked(path: str, **parameters: str) -> Any:
        answer = httpx2.get(f"http://127.0.0.1:{port}/api/v1/{path}", params=parameters, timeout=20).json()
        assert answer["status"] == "success", (path, parameters, answer)
        return answer["data"]

    def until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                if condition():
                    return
            except (httpx2.TransportError, ValueError):
                pass  # it is starting, and says so in words
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.3)

    try:
        until(lambda: [each["health"] for each in asked("targets")["activeTargets"]] == ["up"])
        until(lambda: bool(asked("query", query="count_over_time(nexus_platform_database_up[1m]) > 3")["result"]))
        yield asked
    finally:
        process.terminate()
        process.wait(30)


def test_every_rule_is_taken_and_none_fires_on_a_platform_that_is_well(ask: Callable[..., Any]) -> None:
    deadline = time.monotonic() + 60
    while True:
        rules = [rule for group in ask("rules")["groups"] for rule in group["rules"]]
        if all(rule["health"] == "ok" for rule in rules):
            break
        assert time.monotonic() < deadline, [(rule["name"], rule.get("lastError")) for rule in rules]
        time.sleep(0.5)
    assert len(rules) == len([rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]])
    assert {rule["name"] for rule in rules if rule["state"] == "firing"} == set()


def test_every_panel_of_every_dashboard_is_a_question_that_prometheus_understands(
    ask: Callable[..., Any], platform: PlatformProcess
) -> None:
    empty, asked = [], 0
    for path in sorted((DEPLOY / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                asked += 1
                if not ask("query", query=target["expr"])["result"]:
                    empty.append(f"{path.stem}: {panel['title']}")
    assert asked > 30
    # What has not happened here has no series; everything else must have an answer.
    assert {title.partition(": ")[2] for title in empty} <= {
        "Server errors", "Refused: limits, permissions, bad input", "Share of attempts that fail", "Open circuits",
        "Share of calls that fail", "Failures by what came of them", "Calls of models that budgets and limits refused",
        "Calls per second", "Time of a call, 95th percentile", "What had to be mended", "Age of the last good backup",
    }  # fmt: skip
