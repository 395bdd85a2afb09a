"""No-op jobs per second: our durable engine beside Celery, Huey, Dramatiq and Procrastinate, on the same servers, in turns.

Every job waits in its queue before the first worker starts, and the rate is taken from the first to the last end of a
job, so starting up does not count. Ours and Procrastinate's are rows in PostgreSQL with `fsync`; the others keep theirs in
Valkey only. All have two worker processes and store results (Procrastinate has none).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, LiteralString
from uuid import UUID

from rich.progress import Progress

from bench.engine import Engine, until
from bench.figures import median_ratio, rate
from bench.ground import Ground
from bench.peers.base import PROCESSES, Peer
from cli.embedded.postgres import DATABASE
from domain.identity.principals import system
from jobs.submit import INSERT, NewJob, insert_parameters

LIMIT_SECONDS = 120.0
"""What one contender may take for its jobs, worker start included."""

DEEP_FACTOR = 5
"""With full messages ours has so many times the jobs of the others: else it would be measured for half a second."""

REFERENCE = "stock_celery"

_FINISHED: LiteralString = "SELECT count(*) AS jobs FROM jobs WHERE state = 'succeeded'"
_ENDS: LiteralString = """
SELECT extract(epoch FROM finished_at)::float8 AS at FROM jobs WHERE state = 'succeeded'
"""


def measure(ground: Ground, jobs: int, rounds: int, progress: Progress) -> dict[str, Any]:
    """Jobs per second, a figure per contender and round, and the medians of the rounds' ratios to stock Celery.

    Ours always sends task events, because Flower is part of the platform; `stock_celery_events` is stock Celery doing so (`-E`).
    """
    tenant_id = ground.tenant()
    peers = _peers(ground)
    contenders: dict[str, Callable[[], float]] = {
        **{name: lambda peer=peer: _theirs(ground, peer, jobs) for name, peer in peers.items()},  # type: ignore[misc]
        "nexus_single": lambda: _ours(ground, tenant_id, jobs, 1),
        "nexus_deep": lambda: _ours(ground, tenant_id, jobs * DEEP_FACTOR, 64),
    }
    task = progress.add_task("throughput", total=len(contenders) * rounds + 1)
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    try:
        _ours(ground, tenant_id, 200, 64)  # so that the kind's mean runtime is known, as on any platform that has run
        progress.advance(task)
        for number in range(rounds):
            names = list(contenders)
            first = number % len(names)
            for name in names[first:] + names[:first]:
                progress.update(task, description=f"throughput: round {number + 1}, {name}")
                rates[name].append(contenders[name]())
                progress.advance(task)
    finally:
        for peer in peers.values():
            peer.close()
    ratios = {name: median_ratio(rates[name], rates[REFERENCE]) for name in rates}
    settings = {"processes": PROCESSES, "pool": "prefork", "batch_limits": [1, 64], "deep_factor": DEEP_FACTOR}
    return {"jobs": jobs, "rounds": rounds, "rates": rates, "ratios": ratios,
            "deep_to_huey": median_ratio(rates["nexus_deep"], rates["huey"]), "settings": settings}  # fmt: skip


def insert_pings(ground: Ground, tenant_id: UUID, jobs: int) -> None:
    """Insert pings as a bulk submission would, committed a thousand at a time."""
    principal = system("bench", tenant_id)
    for start in range(0, jobs, 1000):
        batch = [
            (INSERT, insert_parameters(ground.tenancy, NewJob("system.ping", {}, principal)))
            for _ in range(min(1000, jobs - start))
        ]
        ground.tenancy.platform.fetch_many(batch)


def _peers(ground: Ground) -> dict[str, Peer]:
    from bench.peers.dramatiq_queue import DramatiqPeer
    from bench.peers.huey_queue import HueyPeer
    from bench.peers.procrastinate_queue import ProcrastinatePeer
    from bench.peers.stock_celery import StockCelery

    return {
        REFERENCE: StockCelery(ground.redis_database(1)),
        "stock_celery_events": StockCelery(ground.redis_database(1), "-E"),
        "huey": HueyPeer(ground.redis_database(2)),
        "dramatiq": DramatiqPeer(ground.redis_database(3)),
        "procrastinate": ProcrastinatePeer(ground.settings.owner_dsn, DATABASE),
    }


def _ours(ground: Ground, tenant_id: UUID, jobs: int, batch_limit: int) -> float:
    platform = ground.tenancy.platform
    platform.fetch("DELETE FROM jobs", {})
    insert_pings(ground, tenant_id, jobs)
    with Engine(ground.settings, ground.home / "log") as engine:
        worker = engine.worker("default", concurrency=PROCESSES)
        until(lambda: bool(platform.fetch("SELECT 1 FROM workers", {})), 30, ground.logged("the worker"))
        dispatcher = engine.dispatcher(NEXUS_BATCH_LIMIT=str(batch_limit))
        until(lambda: platform.fetch(_FINISHED, {})[0]["jobs"] == jobs, LIMIT_SECONDS, ground.logged("our jobs"), 0.2)
        engine.stop(dispatcher, worker)
    return rate([row["at"] for row in platform.fetch(_ENDS, {})])


def _theirs(ground: Ground, peer: Peer, jobs: int) -> float:
    peer.publish(jobs)
    with Engine(ground.settings, ground.home / "log") as engine:
        workers = [engine.start("peer", command, peer.variables) for command in peer.commands]
        until(lambda: peer.waiting() == 0, LIMIT_SECONDS, ground.logged("the peer's queue"), 0.1)
        until(lambda: len(peer.done()) == jobs, LIMIT_SECONDS, ground.logged("the peer's jobs"), 0.2)
        engine.stop(*workers)
    return rate(peer.done())
