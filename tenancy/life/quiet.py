"""Shutting everybody out of a tenant's data, and knowing that they are out.

1. The state `migrating` begins: requests are refused, jobs that would begin wait (`tenant_unavailable`).
2. What runs is waited for.
3. The tenant is *closed*: whoever opens its data by a record read from now on is refused. Records are remembered for
   `CACHE_SECONDS`, so that long is waited, and then for every transaction that began before: PostgreSQL says which there are.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, LiteralString

from domain.errors import Permanent, Transient
from tenancy.database import tenant_scope
from tenancy.directory import CACHE_SECONDS, TenantRecord
from tenancy.holding import Hold

Wait = Callable[[float], None]
"""Sleeps for seconds; raises when the job should stop."""

_BEGIN: LiteralString = """
UPDATE tenants SET state = 'migrating', version = version + 1,
       transition = CASE WHEN state = 'migrating' THEN transition ELSE %(what)s::jsonb || jsonb_build_object('from', state) END
 WHERE id = %(id)s
   AND (state = ANY(%(begins)s) OR state = 'migrating' AND transition ->> 'what' = %(name)s AND transition ->> 'job' = %(job)s)
RETURNING version
"""
_CLOSE: LiteralString = """
UPDATE tenants SET transition = transition || '{"closed": true}'::jsonb, version = version + 1
 WHERE id = %(id)s AND version = %(version)s RETURNING version
"""
_RUNNING: LiteralString = """
SELECT count(*) AS jobs FROM jobs WHERE tenant_id = %(id)s AND state = 'running' AND left(kind, 7) <> 'tenant.'
"""
_OLDER: LiteralString = """
SELECT 1 FROM pg_stat_activity
 WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid() AND xact_start < %(moment)s LIMIT 1
"""
DRAIN_SECONDS, TRANSACTION_SECONDS = 600.0, 120.0


def begin(hold: Hold, name: str, job_id: object, begins: frozenset[str], **told: Any) -> dict[str, Any]:
    """Enter `migrating` for this job, or find it entered by an earlier attempt; returns the transition.

    Raises `Permanent` (`illegal_transition`) for a tenant in another state, or in the middle of something else.
    """
    what = json.dumps({"what": name, "job": str(job_id), **told})
    if not hold.take(_BEGIN, what=what, name=name, job=str(job_id), begins=sorted(begins)):
        state = hold.tenancy.record(hold.tenant_id).state
        raise Permanent(f"The tenant is {state}: {name.replace('_', ' ')} cannot begin.", code="illegal_transition")
    return hold.tenancy.record(hold.tenant_id).transition or {}


def is_done(record: TenantRecord, job_id: object) -> bool:
    """Whether this job has ended its work already: its last write was made, and its worker died before it could say so.

    People may have worked in the tenant since, so it must not begin anew.
    """
    return record.settings.get("done") == str(job_id)


def close(hold: Hold, wait: Wait) -> None:
    """Wait for what runs, close the tenant, and wait until nobody can be in its data any more.

    Raises `Transient` (`tenant_busy`) if a job or a transaction does not end in time.
    """
    waited = 0.0
    while hold.tenancy.platform.fetch(_RUNNING, {"id": hold.tenant_id})[0]["jobs"]:
        if waited > DRAIN_SECONDS:
            raise Transient("Jobs of the tenant are still running.", code="tenant_busy", retry_after=60.0)
        wait(0.5)
        waited += 0.5
    hold.version = hold.update(_CLOSE)["version"]
    wait(CACHE_SECONDS + 0.5)
    _outlast(hold, wait)


def _outlast(hold: Hold, wait: Wait) -> None:
    """Until every transaction in the tenant's database that began before now, under the account that it is used by, has ended."""
    with hold.tenancy.database(hold.tenancy.record(hold.tenant_id)) as database:
        scope = tenant_scope(hold.tenant_id)
        moment = database.fetch("SELECT clock_timestamp() AS now", {}, scope)[0]["now"]
        waited = 0.0
        while database.fetch(_OLDER, {"moment": moment}, scope):
            if waited > TRANSACTION_SECONDS:
                raise Transient("A transaction in the tenant's database does not end.", code="tenant_busy")
            wait(0.2)
            waited += 0.2
