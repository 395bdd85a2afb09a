"""The table of aims."""

from __future__ import annotations

from typing import Any

import pytest

from bench.summary import Row, rows

MET: dict[str, Any] = {
    "throughput": {"ratios": {"nexus_deep": 8.0, "nexus_single": 1.0}, "deep_to_huey": 1.01},
    "latency": {"nexus": {"to_running": {"p95": 0.024}}, "stock_celery": {"to_running": {"p95": 0.013}}},
    "fairness": {"ratio": 2.0, "backlog": 100_000, "alone": {"p95": 0.01}, "beside": {"p95": 0.02}},
    "waits": {"jobs": 500, "ratio": 1.5, "peak_mib": 399.0},
    "streams": {"clients": 300, "added": {"p95": 0.049}, "peak_mib": 499.0},
    "growth": {"finished": 1_000_000, "tenants": 2000, "ratio": {"together": 1.3}},
    "waiters": {
        "clients": 1000,
        "streams": {"late": {"p95": 0.19}, "pss_mib": 299.0},
        "long_polls": {"late": {"p95": 0.1}, "pss_mib": 200.0},
    },
    "recovery": {"seconds": [16.0, 20.0]},
    "search_sources": {"search": {"p95": 0.25}, "slowest": {"p95": 0.2}},
    "search": {"seconds": {"keyword": {"p95": 0.049}, "hybrid": {"p95": 0.099}}, "recall": 0.95},
}

SHORT: list[tuple[str, dict[str, Any]]] = [
    ("no-op drain, deep", {"throughput": {"ratios": {"nexus_deep": 7.99, "nexus_single": 1.0}, "deep_to_huey": 2.0}}),
    ("no-op drain, deep", {"throughput": {"ratios": {"nexus_deep": 9.0, "nexus_single": 1.0}, "deep_to_huey": 0.9}}),
    ("one id", {"throughput": {"ratios": {"nexus_deep": 9.0, "nexus_single": 0.99}, "deep_to_huey": 2.0}}),
    ("latency", {"latency": {"nexus": {"to_running": {"p95": 0.03}}, "stock_celery": {"to_running": {"p95": 0.02}}}}),
    ("latency", {"latency": {"nexus": {"to_running": {"p95": 0.01}}, "stock_celery": {"to_running": {"p95": 0.004}}}}),
    ("quiet", {"fairness": {**MET["fairness"], "ratio": 2.01}}),
    ("waiting 2 s", {"waits": {"jobs": 500, "ratio": 1.51, "peak_mib": 100.0}}),
    ("waiting 2 s", {"waits": {"jobs": 500, "ratio": 1.1, "peak_mib": 400.0}}),
    ("first word", {"streams": {"clients": 300, "added": {"p95": 0.05}, "peak_mib": 100.0}}),
    ("first word", {"streams": {"clients": 300, "added": {"p95": 0.01}, "peak_mib": 500.0}}),
    ("history", {"growth": {**MET["growth"], "ratio": {"together": 1.31}}}),
    ("long polls", {"waiters": {**MET["waiters"], "long_polls": {"late": {"p95": 0.2}, "pss_mib": 200.0}}}),
    ("long polls", {"waiters": {**MET["waiters"], "streams": {"late": {"p95": 0.1}, "pss_mib": 300.0}}}),
    ("shared database", {"search": {**MET["search"], "recall": 0.94}}),
    ("shared database", {"search": {**MET["search"], "seconds": {"keyword": {"p95": 0.05}, "hybrid": {"p95": 0.09}}}}),
    ("shared database", {"search": {**MET["search"], "seconds": {"keyword": {"p95": 0.04}, "hybrid": {"p95": 0.1}}}}),
    ("five sources", {"search_sources": {"search": {"p95": 0.26}, "slowest": {"p95": 0.2}}}),
    ("SIGKILL", {"recovery": {"seconds": [12.0, 20.1]}}),
]


def found(figures: dict[str, Any], word: str) -> Row:
    """The one row whose name holds the word."""
    (row,) = [row for row in rows(figures) if word in row.what]
    return row


def test_every_aim_stands_in_the_table_and_is_met_at_its_very_bound() -> None:
    assert {row.verdict for row in rows(MET)} == {"yes"}
    assert len(rows(MET)) == len(rows({}))


@pytest.mark.parametrize(("word", "figures"), SHORT)
def test_an_aim_that_is_missed_by_a_little_is_missed(word: str, figures: dict[str, Any]) -> None:
    assert found({**MET, **figures}, word).verdict == "no"


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    figures = {name: part for name, part in MET.items() if name != "growth"}

    assert found(figures, "history").verdict == "not measured"
    assert sum(row.met is None for row in rows(figures)) == 1
