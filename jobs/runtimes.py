"""How long jobs take and how many end, by kind and by tenant.

Written by the workers; read by the dispatcher, to size batches and to be fair, and to be shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

from jobs.kinds import KINDS, QUEUES
from tenancy.database import RELAXED, Database

_OBSERVE: LiteralString = """
INSERT INTO kind_runtimes AS k (kind, mean_seconds, runs, failures, measured_at, updated_at)
SELECT o.kind, o.mean, o.runs, o.failures, now(), now()
  FROM unnest(%(kinds)s::text[], %(means)s::float8[], %(runs)s::int[], %(failures)s::int[])
    AS o (kind, mean, runs, failures) ORDER BY o.kind
ON CONFLICT (kind) DO UPDATE
   SET mean_seconds = k.mean_seconds + (1 - power(0.9, least(excluded.runs, 100))) * (excluded.mean_seconds - k.mean_seconds),
       runs = k.runs + excluded.runs, failures = k.failures + excluded.failures, updated_at = now()
"""

RATE_SECONDS = 30.0
"""How far back a rate looks: an older run weighs less, one of that age a third."""

MEASURE_RATES: LiteralString = """
WITH locked AS (SELECT kind FROM kind_runtimes ORDER BY kind FOR UPDATE)
UPDATE kind_runtimes k
   SET measured_runs = k.runs, measured_at = now(),
       rate_per_minute = CASE WHEN k.measured_at < now() THEN
           k.rate_per_minute + (1 - exp(-extract(epoch FROM now() - k.measured_at) / %(window)s))
         * (60 * (k.runs - k.measured_runs) / extract(epoch FROM now() - k.measured_at) - k.rate_per_minute)
           ELSE k.rate_per_minute END
  FROM locked WHERE k.kind = locked.kind
"""
"""One of the leader's measurements (`jobs.backlog`): the rate, from what was counted since the last one.

Locks in the order in which the workers write.
"""


_CHARGE: LiteralString = """
INSERT INTO tenant_runtimes AS t (tenant_id, queue, runs, seconds, updated_at)
SELECT o.tenant_id, o.queue, o.runs, o.seconds, now()
  FROM unnest(%(tenants)s::uuid[], %(queues)s::text[], %(runs)s::int[], %(seconds)s::float8[])
    AS o (tenant_id, queue, runs, seconds) ORDER BY o.tenant_id, o.queue
ON CONFLICT (tenant_id, queue) DO UPDATE
   SET runs = t.runs + excluded.runs, seconds = t.seconds + excluded.seconds, updated_at = now()
"""

_USAGE: LiteralString = """
SELECT tenant_id, queue, runs, seconds FROM tenant_runtimes
 WHERE updated_at > now() - make_interval(secs => %(seconds)s)
"""

Usage = dict[tuple[UUID, str], tuple[int, float]]
"""Runs, and the seconds that they took together, by tenant and queue."""


@dataclass(frozen=True, slots=True)
class Observed:
    """Attempts of one kind that ended: how many, in how many seconds together, and how many of them failed."""

    runs: int = 0
    seconds: float = 0.0
    failures: int = 0

    def plus(self, seconds: float, *, failed: bool) -> Observed:
        """With one more."""
        return Observed(self.runs + 1, self.seconds + seconds, self.failures + failed)


@dataclass(frozen=True, slots=True)
class Runtime:
    """What is known of a kind that has run. The mean is in seconds; `runs` and `failures` count attempts since ever."""

    kind: str
    mean_seconds: float
    runs: int
    failures: int
    rate_per_minute: float


def observe(platform: Database, observed: Mapping[str, Observed], usage: Usage) -> None:
    """Take in what ended, by kind and by tenant.

    A kind's mean is exponentially weighted: each run moves it by a tenth of the difference.
    """
    parameters = {
        "kinds": list(observed),
        "means": [each.seconds / each.runs for each in observed.values()],
        "runs": [each.runs for each in observed.values()],
        "failures": [each.failures for each in observed.values()],
    }
    charges = {
        "tenants": [tenant_id for tenant_id, _ in usage],
        "queues": [queue for _, queue in usage],
        "runs": [runs for runs, _ in usage.values()],
        "seconds": [total for _, total in usage.values()],
    }
    platform.fetch_many([(_OBSERVE, parameters), (_CHARGE, charges)], RELAXED)


def usage_since(platform: Database, seconds: float) -> Usage:
    """All that tenants ever used, in those queues where something of theirs ended in the last `seconds`."""
    rows = platform.fetch(_USAGE, {"seconds": seconds})
    return {(row["tenant_id"], row["queue"]): (row["runs"], row["seconds"]) for row in rows}


def means(platform: Database) -> dict[str, float]:
    """Mean runtime in seconds by kind, for kinds that have run."""
    rows = platform.fetch("SELECT kind, mean_seconds FROM kind_runtimes", {})
    return {row["kind"]: row["mean_seconds"] for row in rows}


def runtimes(platform: Database) -> dict[str, Runtime]:
    """All that is known, by kind, for kinds that have run."""
    rows = platform.fetch("SELECT kind, mean_seconds, runs, failures, rate_per_minute FROM kind_runtimes", {})
    return {row["kind"]: Runtime(**row) for row in rows}


def queue_rates(known: Mapping[str, Runtime]) -> dict[str, float]:
    """Attempts that end per minute, by queue."""
    rates = dict.fromkeys(QUEUES, 0.0)
    for runtime in known.values():
        if runtime.kind in KINDS:
            rates[KINDS[runtime.kind].queue] += runtime.rate_per_minute
    return rates
