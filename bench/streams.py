"""Completions that stream at the same time through one worker and one web process, beside calling their provider directly.

They begin one after another, as clients come, until so many stream at once; each says a word twice a second. What the platform
adds to the first word is its own: submitting, dispatching, running, and the way of the word over Redis to the client.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from typing import Any

from rich.progress import Progress

from bench.doubles import TOKEN_SECONDS, TOKENS
from bench.engine import Engine, until
from bench.figures import spread
from bench.ground import Ground
from bench.service import allow_connections, client_of, start_web, wait_for
from bench.waits import Peak
from bench.wire import Connection
from cli.processes import free_port

FIRST_SECONDS = 0.5
LIMIT_SECONDS = 120.0
DIRECT = 20
"""Calls of the provider that the others are held against."""

BODY = {"messages": [{"role": "user", "content": "Count."}], "model": "gpt-5.4-mini", "stream": True}


def measure(ground: Ground, clients: int, progress: Progress) -> dict[str, Any]:
    """Seconds that the first word comes later than from the provider itself, and the worker's peak memory in MiB."""
    task = progress.add_task("streams", total=clients)
    allow_connections()
    with Engine(ground.settings, ground.home / "log") as engine:
        port = free_port()
        engine.start("provider", (sys.executable, "-m", "bench.doubles", str(port), str(FIRST_SECONDS)), {})
        provider = wait_for(f"http://127.0.0.1:{port}", "/")
        _, base_url = start_web(engine)
        with client_of(ground, engine, base_url) as client:
            ground.tenancy.platform.fetch("DELETE FROM workers", {})
            worker = engine.worker("completions", pool="threads", concurrency=clients, OPENAI_API_KEY="sk-bench",
                                   OPENAI_BASE_URL=f"{provider}/v1")  # fmt: skip
            until(lambda: bool(ground.tenancy.platform.fetch("SELECT 1 FROM workers", {})), 60, "the worker")
            engine.dispatcher()
            client.wait(client.post("/llm/completions", {**BODY, "stream": False})["id"], 30)
            direct = asyncio.run(_direct(provider))
            with Peak(worker.pid) as peak:
                firsts = asyncio.run(_all(base_url, client.headers, clients, progress, task))
    return {
        "clients": clients,
        "tokens_per_second": clients / TOKEN_SECONDS,
        "direct_seconds": direct,
        "added": spread([each - direct for each in firsts]),
        "peak_mib": peak.mib,
    }


async def _direct(provider: str) -> float:
    return statistics.median([await _first_of_provider(provider) for _ in range(DIRECT)])


async def _first_of_provider(provider: str) -> float:
    """Seconds to the first word when nobody stands between."""
    began = time.monotonic()
    async with await Connection.open(provider) as connection:
        await connection.request("POST", "/v1/chat/completions", {}, BODY)
        while b"content" not in await connection.reader.readline():
            pass
    return time.monotonic() - began


async def _all(base_url: str, headers: dict[str, str], clients: int, progress: Progress, task: Any) -> list[float]:
    """Seconds to the first word of each, all streaming at the end of the beginnings."""
    apart = TOKENS * TOKEN_SECONDS / clients
    running = []
    for _ in range(clients):
        running.append(asyncio.create_task(_one(base_url, headers)))
        await asyncio.sleep(apart)
        progress.advance(task)
    return await asyncio.wait_for(asyncio.gather(*running), LIMIT_SECONDS)


async def _one(base_url: str, headers: dict[str, str]) -> float:
    began, first, text = time.monotonic(), 0.0, ""
    async with await Connection.open(base_url) as connection:
        await connection.request("POST", "/api/v1/llm/completions", headers, BODY)
        event = ""
        async for line in connection.lines():
            if line.startswith("event: "):
                event = line[7:]
            elif line.startswith("data: ") and event == "text":
                first = first or time.monotonic() - began
                text += json.loads(line[6:])["text"]
            elif line.startswith("data: ") and event == "completion":
                if json.loads(line[6:])["text"] != text:
                    raise AssertionError("the words are not the answer")
                return first
    raise EOFError("the stream ended before its completion")
