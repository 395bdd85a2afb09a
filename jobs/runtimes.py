"""How long jobs of each kind take: written by the workers, read by the dispatcher to size batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import LiteralString

from tenancy.database import Database

_OBSERVE: LiteralString = """
INSERT INTO kind_runtimes AS k (kind, mean_seconds, runs, updated_at)
SELECT o.kind, o.mean, o.runs, now()
  FROM unnest(%(kinds)s::text[], %(means)s::float8[], %(runs)s::int[]) AS o (kind, mean, runs) ORDER BY o.kind
ON CONFLICT (kind) DO UPDATE
   SET mean_seconds = k.mean_seconds + (1 - power(0.9, least(excluded.runs, 100))) * (excluded.mean_seconds - k.mean_seconds),
       runs = k.runs + excluded.runs, updated_at = now()
"""


def observe(platform: Database, observed: Mapping[str, tuple[int, float]]) -> None:
    """Take in, for each kind, how many runs there were and how many seconds they took together.

    The mean is exponentially weighted: each run moves it by a tenth of the difference.
    """
    parameters = {
        "kinds": list(observed),
        "means": [total / runs for runs, total in observed.values()],
        "runs": [runs for runs, _ in observed.values()],
    }
    platform.fetch(_OBSERVE, parameters)


def means(platform: Database) -> dict[str, float]:
    """Mean runtime in seconds by kind, for kinds that have run."""
    rows = platform.fetch("SELECT kind, mean_seconds FROM kind_runtimes", {})
    return {row["kind"]: row["mean_seconds"] for row in rows}
