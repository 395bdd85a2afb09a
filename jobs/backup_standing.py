"""How old the last good backups are: looked up where they stand, and kept as figures, so that no scrape asks a bucket.

A look that fails leaves the figure as it is, which grows older by itself.
"""

from __future__ import annotations

from typing import LiteralString

from tenancy.access import Tenancy
from tenancy.database import Database
from tenancy.recovery.store import Store, moment_of

GOOD_AT, BEHIND = "nexus_backup_good_at", "nexus_tenants_backup_behind"
"""Names of readings: seconds since 1970 of the last good backup, by whose it is; how many tenants are behind."""

LATE = 1.5
"""A backup is late when it is older than so many of the intervals that were asked for. `deploy/prometheus/alerts.yml` says the same."""

_KEEP: LiteralString = """
INSERT INTO readings (name, labels, count, total, updated_at) VALUES (%(name)s, %(labels)s, 0, %(total)s, now())
ON CONFLICT (name, labels) DO UPDATE SET total = excluded.total, updated_at = now()
"""
_SINCE: LiteralString = (
    "SELECT extract(epoch FROM coalesce(min(created_at), now()))::float8 AS at FROM tenants WHERE is_operator"
)
_TENANTS: LiteralString = """
SELECT extract(epoch FROM coalesce(min(good_at), now()))::float8 AS oldest,
       count(*) FILTER (WHERE good_at < now() - make_interval(secs => %(late)s))::int AS behind
  FROM (SELECT coalesce((SELECT max(a.taken_at) FROM tenant_archives a
                          WHERE a.tenant_id = t.id AND a.kind = 'backup' AND a.state = 'ready'), t.created_at) AS good_at
          FROM tenants t
         WHERE t.state IN ('active', 'suspended') AND coalesce((t.preferences ->> 'backups')::boolean, true)) AS each
"""


def look_at_the_platforms(tenancy: Tenancy) -> None:
    """Note when the last good backup of the platform was taken; of one that never had any, when the platform was made.

    Raises what the bucket raises.
    """
    store = Store(tenancy.settings, tenancy.ring)
    good = next((each for each in store.newest_first() if store.is_good(each)), None)
    at = tenancy.platform.fetch(_SINCE, {})[0]["at"] if good is None else moment_of(good).timestamp()
    _keep(tenancy.platform, GOOD_AT, ["platform"], at)


def look_at_the_tenants(tenancy: Tenancy) -> None:
    """Note when the last backup was taken of the tenant whose is the oldest, and how many tenants are behind."""
    found = tenancy.platform.fetch(_TENANTS, {"late": tenancy.settings.backup_hours * 3600 * LATE})[0]
    _keep(tenancy.platform, GOOD_AT, ["tenants"], found["oldest"])
    _keep(tenancy.platform, BEHIND, [], found["behind"])


def _keep(platform: Database, name: str, labels: list[str], total: float) -> None:
    platform.fetch(_KEEP, {"name": name, "labels": labels, "total": total})
