"""What a tenant that is idle costs a worker: nothing, once its pool has left the bounded set of pools.

The process that is measured is one of its own, with the real set (`tenancy.engines`), real connections and a real query for
each tenant. It touches as many DSNs as there are tenants; behind them are fewer databases, since a set goes by DSN alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import psutil
from rich.progress import Progress

from bench.ground import Ground
from domain.ids import new_id
from tenancy.database import tenant_scope
from tenancy.engines import TenantEngines

LIMIT, POOL_SIZE = 32, 2


def measure(ground: Ground, tenants: int, databases: int, rounds: int, progress: Progress) -> dict[str, Any]:
    """Resident memory of a fresh process after it has touched more and more tenants, and all of them again."""
    task = progress.add_task("idle tenants", total=databases)
    dsns = []
    for _ in range(databases):
        dsns.append(ground.tenancy.record(ground.tenant("dedicated")).dsn)
        progress.advance(task)
    progress.update(task, description="touching them", total=None)
    return {"limit": LIMIT, "tenants": tenants, "databases": databases, "rows": measured(dsns, tenants, rounds)}


def measured(dsns: list[Any], tenants: int, rounds: int) -> list[dict[str, Any]]:
    """As `touch`, in a process of its own."""
    command = (sys.executable, "-m", "bench.idle_tenants")
    asked = json.dumps({"dsns": dsns, "tenants": tenants, "rounds": rounds})
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=True)
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def touch(dsns: list[str], tenants: int, rounds: int) -> list[dict[str, Any]]:
    """Touch the tenants in turn, several times; what the process holds at several points, the first with a full set."""
    engines = TenantEngines(limit=LIMIT, pool_size=POOL_SIZE, application_name="nexus bench")
    process, scope, rows = psutil.Process(), tenant_scope(new_id()), []
    marks = {min(LIMIT, tenants), tenants // 2, *(tenants * number for number in range(1, rounds + 1))}
    for touched in range(1, rounds * tenants + 1):
        with engines.use(_of(dsns, touched % tenants)) as database:
            database.fetch("SELECT count(*) AS rows FROM documents", {}, scope)
        if touched in marks:
            mib, files = process.memory_info().rss / 2**20, process.num_fds()
            rows.append({"touched": touched, "mib": mib, "pools": len(engines), "open_files": files})
    engines.dispose()
    return rows


def _of(dsns: list[str], number: int) -> str:
    """The DSN of one tenant: another one for each, though some lead to the same database."""
    dsn = dsns[number % len(dsns)]
    return f"{dsn}{'&' if '?' in dsn else '?'}keepalives_idle={10 + number}"


if __name__ == "__main__":
    given = json.loads(sys.stdin.read())
    print(json.dumps(touch(given["dsns"], given["tenants"], given["rounds"])))
