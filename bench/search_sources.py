"""A search over five HTTP sources, each with its own delay, beside the slowest of them asked directly; one search at a time.

What the platform adds is its own: submitting, dispatching, the sources' jobs, and waking the one who waits.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from rich.progress import Progress

from bench.engine import Engine, until
from bench.figures import spread
from bench.ground import Ground
from bench.service import client_of, start_web, wait_for
from bench.wire import Connection
from cli.processes import free_port

DELAYS_MS = (20, 40, 80, 120, 200)
WARM_UP = 10
PAUSE_SECONDS = 0.06
"""Between two searches: as long as an idle dispatcher may sleep, and never in step with it."""
BODY = {"q": "harbour", "limit": 20, "timeout_ms": 5000}
_LOOPBACK = {"NEXUS_SEARCH_PRIVATE_NETWORKS": "127.0.0.0/8"}


def measure(ground: Ground, searches: int, progress: Progress) -> dict[str, Any]:
    """Seconds of the slowest source asked directly, of the search, and what that adds to the call before it."""
    task = progress.add_task("search-sources", total=searches + WARM_UP)
    settings = ground.settings.model_copy(update={"search_private_networks": "127.0.0.0/8"})
    with Engine(settings, ground.home / "log") as engine:
        engine.environment.update(_LOOPBACK)
        port = free_port()
        engine.start("sources", (sys.executable, "-m", "bench.search_sources", str(port)), {})
        sources = wait_for(f"http://127.0.0.1:{port}", "/")
        _, base_url = start_web(engine)
        with client_of(ground, engine, base_url) as client:
            for delay in DELAYS_MS:
                body = {"name": f"after-{delay}", "url": f"{sources}/{delay}", "timeout_ms": 5000}
                client.post("/search/sources", body, key=f"source-{delay}")
            ground.tenancy.platform.fetch("DELETE FROM workers", {})
            engine.worker("completions", "notifications", "search", "webhooks", pool="threads", concurrency=16)
            until(lambda: bool(ground.tenancy.platform.fetch("SELECT 1 FROM workers", {})), 60, "the worker")
            engine.dispatcher()
            rows = asyncio.run(_all(sources, base_url, client.headers, searches + WARM_UP, progress, task))[WARM_UP:]
    return {
        "searches": searches,
        "delays_ms": DELAYS_MS,
        "slowest": spread([row[0] for row in rows]),
        "search": spread([row[1] for row in rows]),
        "added": spread([row[1] - row[0] for row in rows]),
        "partial": sum(row[2] for row in rows),
    }


async def _all(
    sources: str, base_url: str, headers: dict[str, str], searches: int, progress: Progress, task: Any
) -> list[tuple[float, float, bool]]:
    asked = {**BODY, "sources": [f"after-{delay}" for delay in DELAYS_MS]}
    rows = []
    for _ in range(searches):
        direct, _ = await _timed(sources, f"/{max(DELAYS_MS)}", {}, BODY)
        await asyncio.sleep(PAUSE_SECONDS)
        took, answer = await _timed(base_url, "/api/v1/search", headers, asked)
        await asyncio.sleep(PAUSE_SECONDS)
        rows.append((direct, took, answer["partial"] or answer["total"] != len(DELAYS_MS)))
        progress.advance(task)
    return rows


async def _timed(base_url: str, path: str, headers: dict[str, str], body: dict[str, Any]) -> tuple[float, Any]:
    """Seconds from opening a connection to the whole answer, and the answer."""
    began = time.monotonic()
    async with await Connection.open(base_url) as connection:
        content = await connection.body(await connection.request("POST", path, headers, body))
        return time.monotonic() - began, json.loads(content)


async def serve(port: int) -> None:
    """Sources by the milliseconds that they take: `POST /120` answers with a hit after 120 ms."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
            await reader.readexactly(int(fields.get("content-length", 0)))
            delay = head.split(" ", 2)[1].strip("/") or "0"
            await asyncio.sleep(int(delay) / 1000)
            hit = {"id": f"hit-{delay}", "title": f"After {delay} ms", "snippet": "The harbour."}
            body = json.dumps({"hits": [hit]}).encode()
            lines = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
            writer.write(lines.encode() + body)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
