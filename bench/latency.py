"""How soon an idle system starts and finishes a job: ours beside stock Celery, each behind its API, one job at a time.

Both platforms stand idle at once and get a job in turns. The clock starts when the submission was answered, so a job may
have been started, and even finished, before it.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any, LiteralString
from uuid import UUID

from rich.progress import Progress

from bench.engine import Engine, until
from bench.enqueue import PING
from bench.figures import spread
from bench.ground import Ground
from bench.peers import celery_web
from bench.peers.base import PROCESSES
from bench.peers.stock_celery import StockCelery
from bench.peers.stock_celery import worker as stock_worker
from bench.service import client_of, start_web, wait_for
from bench.wire import Connection
from cli.processes import free_port

WARM_UP = 10
LIMIT_SECONDS = 30.0
PAUSE_SECONDS = 0.06
"""Between two jobs: as long as an idle dispatcher may sleep, and never in step with it."""

_TIMES: LiteralString = """
SELECT extract(epoch FROM started_at)::float8 AS started, extract(epoch FROM finished_at)::float8 AS finished
  FROM jobs WHERE id = %(id)s AND state = 'succeeded'
"""


def measure(ground: Ground, jobs: int, progress: Progress) -> dict[str, Any]:
    """Seconds from the answer to running and to finished: median and 95th percentile of each contender."""
    task = progress.add_task("latency", total=jobs + WARM_UP)
    stock = StockCelery(ground.redis_database(1))
    stock.publish(0)
    with Engine(ground.settings, ground.home / "log") as engine:
        _, ours = start_web(engine)
        port = free_port()
        engine.start("peer-web", celery_web.command(port), stock.variables)
        theirs = wait_for(f"http://127.0.0.1:{port}", "/health")
        with client_of(ground, engine, ours) as client:
            engine.worker("default", concurrency=PROCESSES)
            engine.dispatcher()
            engine.start("stock", stock_worker(), stock.variables)
            headers = client.headers
            samples: dict[str, list[tuple[float, float]]] = {"nexus": [], "stock_celery": []}
            for _ in range(jobs + WARM_UP):
                answered, job_id = asyncio.run(_submit(ours, "/api/v1/jobs", headers, PING))
                samples["nexus"].append(_after(answered, _ended(ground, job_id)))
                time.sleep(PAUSE_SECONDS)
                answered, task_id = asyncio.run(_submit(theirs, "/tasks", {}, {}))
                samples["stock_celery"].append(_after(answered, _done(stock, task_id)))
                time.sleep(PAUSE_SECONDS)
                progress.advance(task)
    stock.close()
    found = {
        name: {"to_running": spread([each[0] for each in rows[WARM_UP:]]),
               "to_finished": spread([each[1] for each in rows[WARM_UP:]])}
        for name, rows in samples.items()
    }  # fmt: skip
    return {"jobs": jobs, **found}


async def _submit(base_url: str, path: str, headers: dict[str, str], body: dict[str, Any]) -> tuple[float, str]:
    async with await Connection.open(base_url) as connection:
        answer = await connection.request("POST", path, headers, body)
        content = await connection.body(answer)
        return time.time(), str(json.loads(content)["id"])


def _after(answered: float, times: tuple[float, float]) -> tuple[float, float]:
    return times[0] - answered, times[1] - answered


def _ended(ground: Ground, job_id: str) -> tuple[float, float]:
    def look() -> list[Any]:
        return ground.tenancy.platform.fetch(_TIMES, {"id": UUID(job_id)})

    until(lambda: bool(look()), LIMIT_SECONDS, ground.logged("our job"))
    row = look()[0]
    return float(row["started"]), float(row["finished"])


def _done(stock: StockCelery, task_id: str) -> tuple[float, float]:
    until(lambda: stock.outcome(task_id) is not None, LIMIT_SECONDS, "stock Celery's task")
    times = stock.outcome(task_id)
    if times is None:
        raise LookupError(f"the result of {task_id} vanished")
    return times
