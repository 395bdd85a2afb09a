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
    "api_start": {"import": 0.9, "create": 0.59, "vendor_modules": []},
    "memory": {"total": {"pss": 999.0}},
    "fleet": {
        "tenants": 1001, "provisioning": {"p95": 0.99}, "check": {"seconds": 9.9}, "wave": {"seconds": 59.0},
    },
    "idle_tenants": {"rows": [{"touched": 32, "mib": 100.0}, {"touched": 4000, "mib": 119.0}]},
    "down_tenant": {"ratio": {"beside_away": {"p50": 1.0, "p95": 1.1}}},
    "broadcast": {"ratio": 5.0, "memory_mib": [100.0, 150.0, 109.0]},
    "billing": {
        "ratio": 5.0, "usage": {"events": 1_000_000, "grown_mib": 9.0},
        "webhooks": {"seconds": {"p99": 0.099}, "pressed": {"seconds": {"p99": 0.099}, "rate": 800.0}},
    },
    "telemetry": {"tenants": 1000, "system_ping": {"ratios": {"usual": 0.951}}, "scrape_ms": {"totals": {"p95": 99.0}}},
}  # fmt: skip

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
    ("start of an API", {"api_start": {**MET["api_start"], "create": 0.6}}),
    ("start of an API", {"api_start": {**MET["api_start"], "vendor_modules": ["boto3"]}}),
    ("whole platform", {"memory": {"total": {"pss": 1000.0}}}),
    ("one more dedicated", {"fleet": {**MET["fleet"], "provisioning": {"p95": 1.0}}}),
    ("one more dedicated", {"fleet": {**MET["fleet"], "check": {"seconds": 10.0}}}),
    ("one more dedicated", {"fleet": {**MET["fleet"], "wave": {"seconds": 60.0}}}),
    ("thousands of tenants", {"idle_tenants": {"rows": [{"touched": 32, "mib": 100}, {"touched": 99, "mib": 120}]}}),
    ("database is away", {"down_tenant": {"ratio": {"beside_away": {"p50": 1.0, "p95": 1.11}}}}),
    ("broadcast", {"broadcast": {**MET["broadcast"], "ratio": 4.9}}),
    ("broadcast", {"broadcast": {**MET["broadcast"], "memory_mib": [100.0, 111.0]}}),
    ("subscriptions", {"billing": {**MET["billing"], "ratio": 4.9}}),
    ("subscriptions", {"billing": {**MET["billing"], "usage": {"events": 9, "grown_mib": 10.0}}}),
    ("webhook", {"billing": {**MET["billing"], "webhooks": {**MET["billing"]["webhooks"], "seconds": {"p99": 0.1}}}}),
    (
        "webhook",
        {
            "billing": {
                **MET["billing"],
                "webhooks": {"seconds": {"p99": 0.03}, "pressed": {"seconds": {"p99": 0.1}, "rate": 9.0}},
            }
        },
    ),
    ("metrics and logs", {"telemetry": {**MET["telemetry"], "system_ping": {"ratios": {"usual": 0.95}}}}),
    ("metrics and logs", {"telemetry": {**MET["telemetry"], "scrape_ms": {"totals": {"p95": 100.0}}}}),
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
