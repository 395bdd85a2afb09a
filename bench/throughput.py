"""No-op jobs per second: our durable engine beside stock Celery, on the same Valkey, with the same pool, in turns.

Every job waits in its queue before the first worker starts, and the rate is taken from the first to the last end of a
job, so starting up does not count. Ours are rows in PostgreSQL with `fsync`; stock Celery keeps its in Redis only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, LiteralString
from uuid import UUID

from rich.progress import Progress

from bench.engine import Engine, celery, until
from bench.ground import Ground
from bench.peers.stock_celery import BROKER_VARIABLE, StockCelery
from domain.identity.principals import system
from jobs.submit import INSERT, NewJob, insert_parameters

CONCURRENCY = 2
LIMIT_SECONDS = 90.0
"""What one contender may take for its jobs, worker start included."""

_FINISHED: LiteralString = "SELECT count(*) AS jobs FROM jobs WHERE state = 'succeeded'"
_RATE: LiteralString = """
SELECT count(*) AS jobs, extract(epoch FROM max(finished_at) - min(finished_at))::float8 AS seconds
  FROM jobs WHERE state = 'succeeded'
"""


@dataclass(frozen=True, slots=True)
class Throughput:
    """Jobs per second, one figure per round, and the median of the rounds' ratios to stock Celery.

    Ours always sends task events, because Flower is part of the platform; `watched` is stock Celery doing the same (`-E`).
    """

    jobs: int
    stock: list[float]
    watched: list[float]
    single: list[float]
    deep: list[float]

    @property
    def single_ratio(self) -> float:
        """One id per message."""
        return median(ours / theirs for ours, theirs in zip(self.single, self.stock, strict=True))

    @property
    def deep_ratio(self) -> float:
        """Up to 64 ids per message."""
        return median(ours / theirs for ours, theirs in zip(self.deep, self.stock, strict=True))

    @property
    def watched_ratio(self) -> float:
        """Stock Celery with task events to itself without."""
        return median(watched / plain for watched, plain in zip(self.watched, self.stock, strict=True))

    @property
    def single_ratio_watched(self) -> float:
        """One id per message, both with task events."""
        return median(ours / theirs for ours, theirs in zip(self.single, self.watched, strict=True))

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        settings = {"concurrency": CONCURRENCY, "pool": "prefork", "batch_limits": [1, 64], "fsync": True}
        ratios = {
            "single_ratio": self.single_ratio,
            "single_ratio_watched": self.single_ratio_watched,
            "deep_ratio": self.deep_ratio,
        }
        return {**asdict(self), **ratios, "settings": settings}


def measure(ground: Ground, jobs: int, rounds: int, progress: Progress) -> Throughput:
    """Run the contenders in turns, `rounds` times."""
    tenant_id = ground.tenant()
    stock = StockCelery(ground.broker_url.removesuffix("/0") + "/1")
    task = progress.add_task("throughput", total=4 * rounds + 1)
    results: dict[str, list[float]] = {"stock": [], "watched": [], "single": [], "deep": []}
    try:
        _ours(ground, tenant_id, 200, 64)  # so that the kind's mean runtime is known, as on any platform that has run
        progress.advance(task)
        for number in range(rounds):
            contenders: list[tuple[str, Callable[[], float]]] = [
                ("stock", lambda: _stock(ground, stock, jobs)),
                ("watched", lambda: _stock(ground, stock, jobs, "-E")),
                ("single", lambda: _ours(ground, tenant_id, jobs, 1)),
                ("deep", lambda: _ours(ground, tenant_id, jobs, 64)),
            ]
            for name, contender in contenders[number % 4 :] + contenders[: number % 4]:
                progress.update(task, description=f"throughput: round {number + 1}, {name}")
                results[name].append(contender())
                progress.advance(task)
    finally:
        stock.close()
    return Throughput(jobs, **results)


def _ours(ground: Ground, tenant_id: UUID, jobs: int, batch_limit: int) -> float:
    platform = ground.tenancy.platform
    platform.fetch("DELETE FROM jobs", {})
    insert_pings(ground, tenant_id, jobs)
    with Engine(ground.settings, ground.home / "log") as engine:
        worker = engine.worker("default", concurrency=CONCURRENCY)
        until(lambda: bool(platform.fetch("SELECT 1 FROM workers", {})), 30, _logged(ground.home, "the worker"))
        dispatcher = engine.dispatcher(NEXUS_BATCH_LIMIT=str(batch_limit))
        until(
            lambda: platform.fetch(_FINISHED, {})[0]["jobs"] == jobs,
            LIMIT_SECONDS,
            _logged(ground.home, "our jobs"),
            0.2,
        )
        engine.stop(dispatcher, worker)
    row = platform.fetch(_RATE, {})[0]
    return float(row["jobs"] - 1) / float(row["seconds"])


def insert_pings(ground: Ground, tenant_id: UUID, jobs: int) -> None:
    """Insert pings as a bulk submission would, committed a thousand at a time."""
    principal = system("bench", tenant_id)
    for start in range(0, jobs, 1000):
        batch = [
            (INSERT, insert_parameters(ground.tenancy, NewJob("system.ping", {}, principal)))
            for _ in range(min(1000, jobs - start))
        ]
        ground.tenancy.platform.fetch_many(batch)


def _stock(ground: Ground, stock: StockCelery, jobs: int, *options: str) -> float:
    stock.publish(jobs)
    with Engine(ground.settings, ground.home / "log") as engine:
        command = (*celery("bench.peers.stock_celery"), "worker", "--pool=prefork", f"--concurrency={CONCURRENCY}",
                   "-Q", "stock", "-n", "stock@%h", "--without-gossip", "--without-mingle", *options)  # fmt: skip
        worker = engine.start("stock", command, {BROKER_VARIABLE: stock.url})
        until(lambda: stock.waiting() == 0, LIMIT_SECONDS, _logged(ground.home, "stock Celery's queue"), 0.1)
        until(lambda: len(stock.done()) == jobs, LIMIT_SECONDS, _logged(ground.home, "stock Celery's results"), 0.2)
        engine.stop(worker)
    done = stock.done()
    return (len(done) - 1) / (max(done) - min(done)).total_seconds()


def _logged(home: Path, what: str) -> str:
    return f"{what} (logs in {home / 'log'})"
