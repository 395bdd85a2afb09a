"""What a quiet tenant waits beside one with a deep backlog, to what it waits alone; and the same on one queue of stock Celery.

The wait is from submission to running. The noisy tenant's jobs are being drained all the while: a sample counts only if
some were left after it.
"""

from __future__ import annotations

import time
from typing import Any, LiteralString
from uuid import UUID

from rich.progress import Progress

from bench.engine import Engine, until
from bench.figures import percentile, spread
from bench.ground import Ground
from bench.peers.base import PROCESSES
from bench.peers.stock_celery import StockCelery
from bench.throughput import insert_pings
from domain.identity.principals import system
from jobs.submit import NewJob, submit

INTERVAL_SECONDS = 0.05
WARM_UP = 200
"""Jobs before the first sample: the kind's mean runtime is known then, as on any platform that has run."""

LIMIT_SECONDS = 240.0

_WAITS: LiteralString = """
SELECT extract(epoch FROM started_at - created_at)::float8 AS seconds FROM jobs
 WHERE id = ANY(%(ids)s) AND started_at IS NOT NULL
"""
_LEFT: LiteralString = "SELECT count(*) AS jobs FROM jobs WHERE tenant_id = %(tenant_id)s AND state = 'queued'"
_STARTED: LiteralString = "SELECT 1 FROM jobs WHERE tenant_id = %(tenant_id)s AND started_at IS NOT NULL LIMIT 1"


def measure(ground: Ground, backlog: int, peer_backlog: int, samples: int, progress: Progress) -> dict[str, Any]:
    """Seconds of waiting alone and beside `backlog` jobs, their 95th percentiles' ratio, and stock Celery's."""
    task = progress.add_task("fairness", total=4)
    quiet, noisy = ground.tenant(), ground.tenant()
    ground.tenancy.platform.fetch("DELETE FROM jobs", {})
    with Engine(ground.settings, ground.home / "log") as engine:
        engine.worker("default", concurrency=PROCESSES)
        dispatcher = engine.dispatcher()
        insert_pings(ground, quiet, WARM_UP)
        until(lambda: _left(ground, quiet) == 0, LIMIT_SECONDS, ground.logged("the first jobs"), 0.1)
        time.sleep(3.0)  # the leader has read their mean runtime
        alone = _waits(ground, quiet, samples)
        progress.update(task, advance=1, description="fairness: filling")
        engine.stop(dispatcher)
        insert_pings(ground, noisy, backlog)
        engine.dispatcher()
        until(
            lambda: bool(ground.tenancy.platform.fetch(_STARTED, {"tenant_id": noisy})),
            30,
            ground.logged("the backlog"),
        )
        progress.update(task, advance=1, description=f"fairness: beside {backlog:,}")
        beside = _waits(ground, quiet, samples, noisy)
        left = _left(ground, noisy)
    ground.tenancy.platform.fetch("DELETE FROM jobs", {})
    progress.update(task, advance=1, description="fairness: stock Celery")
    peer = _peer(ground, peer_backlog)
    progress.advance(task)
    return {
        "backlog": backlog, "left": left, "alone": spread(alone), "beside": spread(beside),
        "ratio": percentile(beside, 95) / percentile(alone, 95), "stock_celery": {"backlog": peer_backlog, **peer},
    }  # fmt: skip


def _waits(ground: Ground, tenant_id: UUID, samples: int, noisy: UUID | None = None) -> list[float]:
    """Submit jobs one after another, and wait for all. Raises `AssertionError` if the noisy backlog ended before."""
    ids: list[UUID] = []
    for _ in range(samples):
        ids.append(submit(ground.tenancy, NewJob("system.ping", {}, system("bench", tenant_id))).id)
        time.sleep(INTERVAL_SECONDS)
    if noisy is not None and not _left(ground, noisy):
        raise AssertionError("the backlog was drained before the samples were taken: give it more jobs")

    def rows() -> list[Any]:
        return ground.tenancy.platform.fetch(_WAITS, {"ids": ids})

    until(lambda: len(rows()) == samples, LIMIT_SECONDS, ground.logged("the quiet tenant's jobs"), 0.2)
    return [float(row["seconds"]) for row in rows()]


def _left(ground: Ground, tenant_id: UUID) -> int:
    return int(ground.tenancy.platform.fetch(_LEFT, {"tenant_id": tenant_id})[0]["jobs"])


def _peer(ground: Ground, backlog: int) -> dict[str, float]:
    """Seconds that one task waits alone, and behind `backlog` others in the one queue that stock Celery has by default."""
    stock = StockCelery(ground.redis_database(1))
    stock.publish(0)
    with Engine(ground.settings, ground.home / "log") as engine:
        worker = engine.start("stock", stock.commands[0], stock.variables)
        _peer_wait(stock)
        alone = _peer_wait(stock)
        engine.stop(worker)
        stock.publish(backlog)
        engine.start("stock", stock.commands[0], stock.variables)
        until(lambda: stock.waiting() < backlog, 30, "stock Celery's worker")
        beside = _peer_wait(stock)
    stock.close()
    return {"alone": alone, "beside": beside}


def _peer_wait(stock: StockCelery) -> float:
    sent = time.time()
    task_id = stock.send_moment()
    until(lambda: stock.outcome(task_id) is not None, LIMIT_SECONDS, "stock Celery's task", 0.05)
    times = stock.outcome(task_id)
    if times is None:
        raise LookupError(f"the result of {task_id} vanished")
    return times[0] - sent
