"""Many clients that wait on one web process: streams of events, then long polls. Its memory, and how late they learn it.

Each client waits for a job of its own. The jobs' times to run lie a little apart, as jobs of many tenants end; a client
is late by what passes from its job's end, as its row tells, until the client holds the answer.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

import psutil
from rich.progress import Progress

from bench.engine import Engine
from bench.figures import spread
from bench.ground import Ground
from bench.peers.base import PROCESSES
from bench.service import allow_connections, client_of, start_web
from bench.tenant_client import TenantClient
from bench.wire import Connection
from domain.identity.principals import system
from jobs.submit import INSERT, NewJob, insert_parameters

OPEN_SECONDS = 6.0
OPEN_SECONDS_EACH = 0.01
"""One client opens after another; so long after the last of them the first job is due. A long poll lasts 30 seconds at most."""

APART_SECONDS = 0.01
LIMIT_SECONDS = 90.0
LONGEST_POLL = 30

_ENDS: LiteralString = """
SELECT id, extract(epoch FROM finished_at)::float8 AS at FROM jobs WHERE id = ANY(%(ids)s) AND state = 'succeeded'
"""

Wait = Callable[[str, dict[str, str], UUID], Coroutine[Any, Any, float]]


def measure(ground: Ground, clients: int, progress: Progress) -> dict[str, Any]:
    """For streams and for long polls: MiB of the web process while all are open, and seconds of being late."""
    task = progress.add_task("waiters", total=2)
    allow_connections()
    found: dict[str, Any] = {"clients": clients}
    for name, wait in (("streams", _stream), ("long_polls", _poll)):
        progress.update(task, description=f"waiters: {clients:,} {name}")
        with Engine(ground.settings, ground.home / "log") as engine:
            web, base_url = start_web(engine)
            with client_of(ground, engine, base_url) as client:
                engine.worker("default", concurrency=PROCESSES)
                engine.dispatcher()
                empty = _pss(web.pid)
                first = datetime.now(UTC) + timedelta(seconds=OPEN_SECONDS + OPEN_SECONDS_EACH * clients)
                ids = _insert(ground, client, clients, first)
                received, held = asyncio.run(_all(wait, base_url, client.headers, ids, web.pid, first))
        ends = {row["id"]: float(row["at"]) for row in ground.tenancy.platform.fetch(_ENDS, {"ids": ids})}
        late = [at - ends[job_id] for job_id, at in zip(ids, received, strict=True)]
        found[name] = {"late": spread(late), "empty_mib": empty, "pss_mib": held}
        progress.advance(task)
    return found


def _insert(ground: Ground, client: TenantClient, clients: int, first: datetime) -> list[UUID]:
    principal = system("bench", client.tenant_id)
    rows = [
        insert_parameters(
            ground.tenancy,
            NewJob("system.ping", {}, principal, run_at=first + timedelta(seconds=APART_SECONDS * number)),
        )
        for number in range(clients)
    ]
    ground.tenancy.platform.fetch_many([(INSERT, row) for row in rows])
    return [row["id"] for row in rows]


async def _all(
    wait: Wait, base_url: str, headers: dict[str, str], ids: Sequence[UUID], pid: int, first: datetime
) -> tuple[list[float], float]:
    """When each client had its answer, and the web's MiB just before the first job's time."""
    waiting = []
    for job_id in ids:
        waiting.append(asyncio.create_task(wait(base_url, headers, job_id)))
        await asyncio.sleep(OPEN_SECONDS_EACH * 0.8)
    await asyncio.sleep((first - datetime.now(UTC)).total_seconds() - 0.5)
    early = [each for each in waiting if each.done()]
    if early:
        raise AssertionError(f"{len(early)} of {len(ids)} clients were answered too early: {early[0].exception()!r}")
    held = await asyncio.to_thread(_pss, pid)
    return await asyncio.wait_for(asyncio.gather(*waiting), LIMIT_SECONDS), held


async def _stream(base_url: str, headers: dict[str, str], job_id: UUID) -> float:
    async with await Connection.open(base_url) as connection:
        await connection.request("GET", f"/api/v1/jobs/{job_id}/events", headers)
        async for line in connection.lines():
            if line.startswith("data: ") and json.loads(line[6:])["state"] == "succeeded":
                return time.time()
    raise EOFError(f"the stream of {job_id} ended before its job")


async def _poll(base_url: str, headers: dict[str, str], job_id: UUID) -> float:
    async with await Connection.open(base_url) as connection:
        while True:
            answer = await connection.request("GET", f"/api/v1/jobs/{job_id}?wait={LONGEST_POLL}", headers)
            if json.loads(await connection.body(answer))["state"] == "succeeded":
                return time.time()


def _pss(pid: int) -> float:
    """MiB of a program with its children, shared pages by share."""
    process = psutil.Process(pid)
    each = [one.memory_full_info() for one in (process, *process.children(recursive=True))]
    return sum(float(getattr(memory, "pss", memory.rss)) for memory in each) / 2**20
