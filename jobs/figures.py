"""What `/metrics` shows of the platform as a whole, read in one round trip: sums over all processes, tenants and budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

from config.telemetry.counters import Key, Labels, Reading, summed
from jobs.backup_standing import BEHIND
from jobs.readings import GONE_SECONDS
from tenancy.database import Database
from tenancy.scopes import operator_scope

_READINGS: LiteralString = "SELECT name, labels, count, total, buckets FROM readings ORDER BY name, labels"

_PROCESSES: LiteralString = """
SELECT name, gauges FROM processes WHERE seen_at > now() - make_interval(secs => %(gone)s)
"""

_TENANTS: LiteralString = (
    "SELECT tier, state, count(*)::int AS tenants FROM tenants GROUP BY tier, state ORDER BY tier, state"
)

_AT_WORK: LiteralString = """
SELECT count(DISTINCT tenant_id)::int AS tenants FROM tenant_runtimes WHERE updated_at > now() - interval '5 minutes'
"""

_BUDGETS: LiteralString = """
SELECT coalesce(sum(budgets), 0)::int AS budgets, coalesce(sum(exhausted), 0)::int AS exhausted,
       coalesce(max(used_share), 0) AS used_share
  FROM llm_budget_standings WHERE (valid_until IS NULL OR valid_until > now()) AND updated_at > now() - interval '1 day'
"""

_BACKUPS: LiteralString = """
SELECT labels[1] AS whose, extract(epoch FROM now())::float8 - total AS age FROM readings WHERE name = 'nexus_backup_good_at'
"""

_EACH_TENANT: LiteralString = (
    "SELECT tenant_id::text AS tenant, queue, runs, seconds FROM tenant_runtimes ORDER BY tenant_id, queue"
)

_EACH_BUDGET: LiteralString = """
SELECT tenant_id::text AS tenant, used_share FROM llm_budget_standings
 WHERE (valid_until IS NULL OR valid_until > now()) AND updated_at > now() - interval '1 day' ORDER BY tenant_id
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """`gauges` are added up over the live processes, by name and labels; `processes` counts those by name. `tenants` is by tier and
    state, `at_work` how many had a job end in the last five minutes. `backup_ages` (seconds) are of the last good backup, of the
    platform and of the tenant whose is the oldest, `backups_behind` is how many tenants' are late. `each` and `each_budget` have a row for each tenant.
    """

    readings: Mapping[Key, Reading]
    gauges: Mapping[str, Mapping[Labels, float]]
    processes: Mapping[Labels, float]
    tenants: Mapping[Labels, float]
    at_work: int
    budgets: int
    budgets_exhausted: int
    budget_used_share: float
    backup_ages: Mapping[Labels, float]
    backups_behind: Mapping[Labels, float]
    each: Sequence[Mapping[str, Any]]
    each_budget: Sequence[Mapping[str, Any]]


def figures(platform: Database, *, by_tenant: bool) -> Figures:
    """Read them all. Raises what a database raises that is away."""
    asked: list[tuple[LiteralString, dict[str, Any]]] = [
        (_READINGS, {}), (_PROCESSES, {"gone": GONE_SECONDS}), (_TENANTS, {}), (_AT_WORK, {}), (_BUDGETS, {}), (_BACKUPS, {}),
    ]  # fmt: skip
    if by_tenant:
        asked += [(_EACH_TENANT, {}), (_EACH_BUDGET, {})]
    readings, processes, tenants, (at_work,), (budget,), backups, *each = platform.fetch_many(asked, operator_scope())
    known = {
        (row["name"], tuple(row["labels"])): Reading(row["count"], row["total"], row["buckets"]) for row in readings
    }
    return Figures(
        readings=known,
        gauges=_gauges(processes),
        processes=summed(((row["name"],), 1.0) for row in processes),
        tenants={(row["tier"], row["state"]): row["tenants"] for row in tenants},
        at_work=at_work["tenants"],
        budgets=budget["budgets"],
        budgets_exhausted=budget["exhausted"],
        budget_used_share=budget["used_share"],
        backup_ages={(row["whose"],): row["age"] for row in backups},
        backups_behind={labels: each.total for (name, labels), each in known.items() if name == BEHIND},
        each=each[0] if each else (),
        each_budget=each[1] if each else (),
    )


def _gauges(processes: Sequence[Mapping[str, Any]]) -> dict[str, dict[Labels, float]]:
    said: dict[str, list[tuple[Labels, float]]] = {}
    for row in processes:
        for name, labels, value in row["gauges"]:
            said.setdefault(name, []).append((tuple(labels), value))
    return {name: summed(values) for name, values in said.items()}
