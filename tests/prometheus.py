"""Prometheus itself, for tests of alerts and dashboards: `promtool` evaluates the rules, the server scrapes.

Where it is not installed the tests are skipped, but fail in CI (`CI=true`) and with `NEXUS_TEST_PROMETHEUS=required`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

RULES = Path(__file__).parents[1] / "deploy" / "prometheus" / "alerts.yml"
STEP_SECONDS = 15
"""Of `deploy/prometheus/prometheus.yml`."""

Scrape = Mapping[str, float]
"""Series in Prometheus's notation, with its value."""

_COUNTED = re.compile(r"_(total|bucket|count|sum)\{")
_UP = 'up{job="nexus",instance="web:8000"}'
_FIRING = re.compile(r"alertname: (\w+), time: (\S+?),")
_LABELS = re.compile(r"Labels:\{(.*?)\}\n")


def require(program: str) -> str:
    """The path of `promtool` or `prometheus`; skips the test where it is not installed, or fails it where it must be."""
    found = shutil.which(program)
    if found is None:
        missing = f"{program} is not installed: apt-get install prometheus"
        if os.environ.get("CI") == "true" or os.environ.get("NEXUS_TEST_PROMETHEUS") == "required":
            pytest.fail(missing, pytrace=False)
        pytest.skip(missing)
    return found


def scraped(text: str | None) -> Scrape:
    """What Prometheus makes of an answer of `/metrics`; of none, it only knows that the target is down."""
    if text is None:
        return {_UP: 0.0}
    found = {_UP: 1.0}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = {**sample.labels, "job": "nexus", "instance": "web:8000"}
            shown = ",".join(f'{name}="{value}"' for name, value in labels.items())
            found[f"{sample.name}{{{shown}}}"] = sample.value
    return found


@dataclass
class History:
    """What a platform's scrapes say over hours: each phase is two of them, between which its counters grew, held for a while."""

    phases: list[tuple[Scrape, Scrape, int]] = field(default_factory=list)

    def went(self, before: Scrape, after: Scrape, minutes: int) -> History:
        """With one more phase: gauges stand as in `after`, counters grow at each step by what they grew between the two."""
        return History([*self.phases, (before, after, minutes * 60 // STEP_SECONDS)])

    @property
    def minutes(self) -> int:
        """How long it is."""
        return sum(steps for *_, steps in self.phases) * STEP_SECONDS // 60

    def series(self) -> list[dict[str, str]]:
        """As `promtool` reads it."""
        names = {name for _, after, _ in self.phases for name in after}
        return [{"series": name, "values": " ".join(self._values(name))} for name in sorted(names)]

    def _values(self, name: str) -> list[str]:
        values: list[str] = []
        reached: float | None = None
        for before, after, steps in self.phases:
            if name not in after:
                values += ["stale", f"_x{steps - 2}"] if reached is not None else [f"_x{steps - 1}"]
                reached = None
                continue
            if _COUNTED.search(name):
                grown = max(0.0, after[name] - before.get(name, 0.0))
                start = after[name] if reached is None else reached + grown
                values.append(f"{start:.6f}+{grown:.6f}x{steps - 1}")
                reached = start + grown * (steps - 1)
            else:
                reached = after[name]
                values.append(f"{reached:.6f}x{steps - 1}")
        return values


def firing(promtool: str, history: History, minutes: Sequence[int], home: Path) -> dict[int, set[tuple[str, str]]]:
    """Which alerts fire at these minutes, each with its labels, by the rules as they are deployed."""
    alerts = [rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    test = {
        "interval": f"{STEP_SECONDS}s",
        "input_series": history.series(),
        # Nothing is expected, so that what fires is told.
        "alert_rule_test": [
            {"eval_time": f"{minute}m", "alertname": alert, "exp_alerts": []} for minute in minutes for alert in alerts
        ],
    }
    file = home / "history.yml"
    file.write_text(
        yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": f"{STEP_SECONDS}s", "tests": [test]})
    )
    done = subprocess.run(
        [promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False, timeout=120
    )
    told = done.stdout + done.stderr
    found: dict[int, set[tuple[str, str]]] = {minute: set() for minute in minutes}
    if done.returncode == 0:
        return found
    for part in re.split(r"(?=alertname: )", told)[1:]:
        match = _FIRING.match(part)
        assert match is not None, told
        minute = next(minute for minute in minutes if _is(match[2], minute))
        found[minute] |= {(match[1], labels) for labels in _LABELS.findall(part)}
    assert any(found.values()), told
    return found


def _is(duration: str, minutes: int) -> bool:
    """Whether a duration as Go writes it, `6h35m0s`, is so many minutes."""
    parts = {unit: int(number) for number, unit in re.findall(r"(\d+)([dhms])", duration)}
    return parts.get("d", 0) * 1440 + parts.get("h", 0) * 60 + parts.get("m", 0) == minutes
