"""Huey with Redis as storage and for results, both its defaults: `huey_consumer -w 2 -k process`."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from huey import RedisHuey

from bench.peers.base import PROCESSES, QUEUE, URL_VARIABLE


def ping() -> dict[str, Any]:
    """A no-op. Huey keeps no time of a task's end, so the result tells it."""
    return {"message": "pong", "done_at": time.time()}


def connect(url: str) -> tuple[Any, Any]:
    """The application and its task."""
    huey = RedisHuey(QUEUE, url=url)
    return huey, huey.task(name="ping")(ping)


app, _ = connect(os.environ.get(URL_VARIABLE, "redis://unset"))


class HueyPeer:
    """Publishes through the Redis at `url`, whose database is its own."""

    def __init__(self, url: str):
        self.variables = {URL_VARIABLE: url}
        self.commands = ((sys.executable, "-m", "huey.bin.huey_consumer", f"{__name__}.app",
                          "-w", str(PROCESSES), "-k", "process", "-q"),)  # fmt: skip
        self._huey, self._task = connect(url)

    def publish(self, jobs: int) -> None:
        """Forget everything and queue pings."""
        self._huey.storage.conn.flushdb()
        for _ in range(jobs):
            self._task()

    def waiting(self) -> int:
        """Pings in the queue."""
        return int(self._huey.storage.queue_size())

    def done(self) -> list[float]:
        """By the results."""
        kept = self._huey.storage.result_items().values()
        return [float(self._huey.serializer.deserialize(value)["done_at"]) for value in kept]

    def close(self) -> None:
        """Close the connections."""
        self._huey.storage.pool.disconnect()
