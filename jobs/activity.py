"""What goes on just now, for an operator who looks on: whose jobs run, which providers are asked, what fails and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from config.telemetry.counters import Reading
from config.telemetry.measures import CIRCUITS_OPEN, FAILED_ATTEMPTS, PROVIDER_CALLS, PROVIDER_SECONDS
from jobs.figures import Figures, figures
from tenancy.database import Database
from tenancy.scopes import operator_scope

SHOWN = 20
"""Tenants and failures that are told of, the most recent and the most frequent."""

# What a tenant has running is told by the workers' rows: the API's account sees no jobs without naming their tenant.
_TENANTS: LiteralString = """
WITH running AS (
    SELECT (j ->> 'tenant_id')::uuid AS tenant_id, count(*)::int AS jobs
      FROM worker_jobs w CROSS JOIN LATERAL jsonb_array_elements(w.jobs) AS j GROUP BY 1
), used AS (
    SELECT tenant_id, sum(runs)::bigint AS attempts, sum(seconds)::float8 AS busy_seconds, max(updated_at) AS last_at
      FROM tenant_runtimes GROUP BY tenant_id
)
SELECT t.id, t.name, coalesce(r.jobs, 0) AS running, coalesce(u.attempts, 0)::bigint AS attempts,
       coalesce(u.busy_seconds, 0) AS busy_seconds
  FROM tenants t LEFT JOIN used u ON u.tenant_id = t.id LEFT JOIN running r ON r.tenant_id = t.id
 WHERE r.jobs > 0 OR u.last_at > now() - interval '5 minutes'
 ORDER BY r.jobs DESC NULLS LAST, u.last_at DESC NULLS LAST, t.id LIMIT %(shown)s
"""


@dataclass(frozen=True, slots=True)
class TenantActivity:
    """A tenant at work: jobs that run, attempts that ever ended and the seconds that they took together."""

    id: UUID
    name: str
    running: int
    attempts: int
    busy_seconds: float


@dataclass(frozen=True, slots=True)
class ProviderActivity:
    """What was ever asked of a provider; `circuits_open` counts accounts that are left alone for now."""

    provider: str
    calls: int
    failures: int
    seconds: float
    circuits_open: int


@dataclass(frozen=True, slots=True)
class Failures:
    """Attempts of a kind that ever failed with a code."""

    kind: str
    code: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Activity:
    """All of it. Counts are since ever: whoever looks twice knows how fast they grow."""

    tenants: list[TenantActivity]
    providers: list[ProviderActivity]
    failures: list[Failures]


def activity(platform: Database) -> Activity:
    """Look once; for operators, which the caller has checked."""
    rows = platform.fetch(_TENANTS, {"shown": SHOWN}, operator_scope())
    found = figures(platform, by_tenant=False)
    return Activity([TenantActivity(**row) for row in rows], _providers(found), _failures(found))


def _providers(found: Figures) -> list[ProviderActivity]:
    told: dict[str, dict[str, Any]] = {}

    def of(provider: str) -> dict[str, Any]:
        return told.setdefault(provider, {"calls": 0, "failures": 0, "seconds": 0.0, "circuits_open": 0})

    for labels, reading in _of(found, PROVIDER_CALLS.name):
        of(labels[0])["calls"] += round(reading.total)
        of(labels[0])["failures"] += 0 if labels[2] == "ok" else round(reading.total)
    for labels, reading in _of(found, PROVIDER_SECONDS.name):
        of(labels[0])["seconds"] += reading.total
    for labels, value in found.gauges.get(CIRCUITS_OPEN.name, {}).items():
        of(labels[0])["circuits_open"] += round(value)
    return [ProviderActivity(name, **values) for name, values in sorted(told.items())]


def _failures(found: Figures) -> list[Failures]:
    every = [Failures(kind, code, round(reading.total)) for (kind, code), reading in _of(found, FAILED_ATTEMPTS.name)]
    return sorted(every, key=lambda each: (-each.attempts, each.kind, each.code))[:SHOWN]


def _of(found: Figures, name: str) -> list[tuple[tuple[str, ...], Reading]]:
    return [(labels, reading) for (of, labels), reading in found.readings.items() if of == name]
