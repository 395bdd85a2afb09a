"""Dramatiq with its Redis broker and Redis results: `dramatiq --processes 2`, with its own default of 8 threads in each."""

from __future__ import annotations

import os
import sys
import time
from typing import Any, cast

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from bench.peers.base import PROCESSES, QUEUE, URL_VARIABLE

RESULTS = "results"


def ping() -> dict[str, Any]:
    """A no-op. Dramatiq keeps no time of a message's end, so the result tells it."""
    return {"message": "pong", "done_at": time.time()}


def connect(url: str) -> tuple[Any, Any, Any]:
    """The broker, the store of results and the actor."""
    made = RedisBroker(url=url)
    results = RedisBackend(url=url, namespace=RESULTS, use_namespace_prefix_keys=True)
    made.add_middleware(Results(backend=results))
    actor = dramatiq.actor(broker=made, actor_name="ping", queue_name=QUEUE, store_results=True)(ping)
    return made, results, actor


broker, _, _ = connect(os.environ.get(URL_VARIABLE, "redis://unset"))


class DramatiqPeer:
    """Publishes through the Redis at `url`, whose database is its own."""

    def __init__(self, url: str):
        self.variables = {URL_VARIABLE: url}
        self.commands = ((sys.executable, "-m", "dramatiq", f"{__name__}:broker", "--processes", str(PROCESSES)),)
        self._broker, self._results, self._actor = connect(url)

    def publish(self, jobs: int) -> None:
        """Forget everything and queue pings."""
        self._broker.client.flushdb()
        for _ in range(jobs):
            self._actor.send()

    def waiting(self) -> int:
        """Messages that were not acknowledged."""
        return int(self._broker.client.hlen(f"dramatiq:{QUEUE}.msgs"))

    def done(self) -> list[float]:
        """By the results."""
        client = self._results.client
        keys = list(client.scan_iter(f"{RESULTS}:*", count=5000))
        with client.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.lindex(key, 0)
            kept = cast("list[bytes]", pipeline.execute())
        return [float(self._results.unwrap_result(self._results.encoder.decode(value))["done_at"]) for value in kept]

    def close(self) -> None:
        """Close the connections."""
        self._broker.client.close()
        self._results.client.close()
