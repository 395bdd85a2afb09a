"""Submissions per second over HTTP: ours, durable when answered, beside `send_task` behind a minimal Flask endpoint.

Both are one gunicorn process with greenlets, and both get the same requests over the same connections, in turns. Nobody
takes the jobs: what is measured is the front.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from rich.progress import Progress

from bench.engine import Engine
from bench.figures import median_ratio, spread
from bench.ground import Ground
from bench.peers import celery_web
from bench.peers.stock_celery import StockCelery
from bench.service import client_of, start_web, wait_for
from bench.wire import Connection
from cli.processes import free_port

CONNECTIONS = 16

PING = {"kind": "system.ping", "payload": {}}


def measure(ground: Ground, requests: int, rounds: int, progress: Progress) -> dict[str, Any]:
    """Requests per second and the spread of their answers' times, by contender and round."""
    task = progress.add_task("enqueue", total=2 * rounds)
    stock = StockCelery(ground.redis_database(1))
    found: dict[str, list[dict[str, Any]]] = {"nexus": [], "stock_celery": []}
    with Engine(ground.settings, ground.home / "log") as engine:
        _, ours = start_web(engine)
        port = free_port()
        engine.start("peer-web", celery_web.command(port), stock.variables)
        theirs = wait_for(f"http://127.0.0.1:{port}", "/health")
        with client_of(ground, engine, ours) as client:
            turns = {
                "nexus": (ours, "/api/v1/jobs", client.headers, PING),
                "stock_celery": (theirs, "/tasks", {}, {}),
            }
            for target in turns.values():
                asyncio.run(_load(*target, CONNECTIONS * 4))  # connections to the servers behind are made
            for number in range(rounds):
                for name in sorted(turns, reverse=bool(number % 2)):
                    progress.update(task, description=f"enqueue: round {number + 1}, {name}")
                    found[name].append(asyncio.run(_load(*turns[name], requests)))
                    progress.advance(task)
            stored = ground.tenancy.platform.fetch("SELECT count(*) AS jobs FROM jobs", {})[0]["jobs"]
        stock.publish(0)
        stock.close()
    if stored != rounds * requests + CONNECTIONS * 4:
        raise AssertionError(f"{rounds * requests} submissions were answered, and {stored} jobs are there")
    rates = {name: [each["rate"] for each in rows] for name, rows in found.items()}
    return {"requests": requests, "rounds": rounds, "connections": CONNECTIONS, "rates": rates,
            "seconds": {name: rows[-1]["seconds"] for name, rows in found.items()},
            "ratio": median_ratio(rates["nexus"], rates["stock_celery"])}  # fmt: skip


async def _load(
    base_url: str, path: str, headers: Mapping[str, str], body: Mapping[str, Any], requests: int
) -> dict[str, Any]:
    seconds: list[float] = []

    async def client() -> None:
        async with await Connection.open(base_url) as connection:
            for _ in range(requests // CONNECTIONS):
                sent = time.perf_counter()
                await connection.body(await connection.request("POST", path, headers, body))
                seconds.append(time.perf_counter() - sent)

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CONNECTIONS)))
    return {"rate": len(seconds) / (time.perf_counter() - started), "seconds": spread(seconds)}
