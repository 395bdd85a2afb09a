"""How finished jobs leave: by whole months, whose table is dropped, and one by one only what must leave sooner.

A finished job stands in the part of its month of submission (`migrations/job_months.py`). The month is dropped once all in
it are past their retention; until then an expired job is there, unread (`jobs.rows.KEPT`). Kinds that are kept for less
time than the longest would hold their space for most of that, so their jobs are deleted as they expire.
"""

from __future__ import annotations

from typing import LiteralString

import psycopg
import structlog

from jobs.kinds import KINDS
from jobs.rows import FINISHED
from tenancy.database import Database

_EXPIRE: LiteralString = f"""
WITH gone AS (
    DELETE FROM jobs
     WHERE {FINISHED}
       AND id IN (SELECT id FROM jobs WHERE {FINISHED} AND kind = ANY(%(kinds)s) AND expires_at < now() LIMIT 1000)
    RETURNING id, tenant_id, idempotency_key
), freed AS (
    DELETE FROM job_keys k USING gone g
     WHERE k.tenant_id = g.tenant_id AND k.key = g.idempotency_key AND k.job_id = g.id
)
SELECT count(*) AS jobs FROM gone
"""

# OFFSET 0 keeps the planner from joining with all jobs: each key, oldest first, is looked up by its job's id.
_FREE_KEYS: LiteralString = """
WITH oldest AS (
    SELECT job_id_floor(to_timestamp(right(min(c.relname), 7), 'YYYY_MM')::timestamp) AS id
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'jobs_finished'::regclass AND c.relname ~ '[0-9]{4}_[0-9]{2}$'
)
DELETE FROM job_keys WHERE (tenant_id, key) IN (
    SELECT k.tenant_id, k.key FROM job_keys k
     WHERE k.job_id < (SELECT id FROM oldest) AND NOT EXISTS (SELECT FROM jobs j WHERE j.id = k.job_id OFFSET 0)
     ORDER BY k.job_id LIMIT 10000)
RETURNING 1
"""

log = structlog.get_logger(__name__)


def short_lived() -> list[str]:
    """Kinds whose jobs are kept for less time than the longest."""
    longest = max(kind.retention for kind in KINDS.values())
    return [kind.name for kind in KINDS.values() if kind.retention < longest]


def expire_short_lived(platform: Database) -> int:
    """Delete up to 1,000 jobs past their retention, of kinds that are not kept for as long as others; returns how many."""
    kinds = short_lived()
    return int(platform.fetch(_EXPIRE, {"kinds": kinds})[0]["jobs"]) if kinds else 0


def free_keys(platform: Database) -> int:
    """Remove up to 10,000 idempotency keys of jobs that left with their month; returns how many."""
    return len(platform.fetch(_FREE_KEYS, {}))


def turn_months(platform: Database) -> None:
    """Make the months up to the one after next, and drop those whose jobs are all past their retention.

    Both need a lock on the table for a moment. If they cannot have it soon, nothing is done: there is time.
    """
    try:
        made = [row["part"] for row in platform.fetch("SELECT make_job_months() AS part", {})]
        dropped = [row["part"] for row in platform.fetch("SELECT drop_job_months() AS part", {})]
    except psycopg.errors.LockNotAvailable:
        log.warning("jobs.months_postponed")
        return
    if made or dropped:
        log.info("jobs.months_turned", made=made, dropped=dropped)
