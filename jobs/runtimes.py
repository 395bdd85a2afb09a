"""How long jobs take, by kind and by tenant: written by the workers, read by the dispatcher to size batches and be fair."""

from __future__ import annotations

from collections.abc import Mapping
from typing import LiteralString
from uuid import UUID

from tenancy.database import RELAXED, Database

_OBSERVE: LiteralString = """
INSERT INTO kind_runtimes AS k (kind, mean_seconds, runs, updated_at)
SELECT o.kind, o.mean, o.runs, now()
  FROM unnest(%(kinds)s::text[], %(means)s::float8[], %(runs)s::int[]) AS o (kind, mean, runs) ORDER BY o.kind
ON CONFLICT (kind) DO UPDATE
   SET mean_seconds = k.mean_seconds + (1 - power(0.9, least(excluded.runs, 100))) * (excluded.mean_seconds - k.mean_seconds),
       runs = k.runs + excluded.runs, updated_at = now()
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


def observe(platform: Database, observed: Mapping[str, tuple[int, float]], usage: Usage) -> None:
    """Take in how many runs there were and how many seconds they took together, for each kind and for each tenant.

    A kind's mean is exponentially weighted: each run moves it by a tenth of the difference.
    """
    parameters = {
        "kinds": list(observed),
        "means": [total / runs for runs, total in observed.values()],
        "runs": [runs for runs, _ in observed.values()],
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
