"""Stock Celery with its defaults and the Redis result backend, doing nothing: what a team without our engine would run.

The worker is `celery -A bench.peers.stock_celery worker --pool=prefork`. Broker and results have a database of their own.
"""

from __future__ import annotations

import json
import os
from datetime import datetime
from typing import Any, cast
from uuid import uuid4

import redis
from celery import Celery

BROKER_VARIABLE = "BROKER_URL"
"""Celery's own command line reads it too, and it would win over the application's."""
QUEUE = "stock"

app = Celery(
    "stock", broker=os.environ.get(BROKER_VARIABLE), backend=os.environ.get(BROKER_VARIABLE), set_as_current=False
)
app.conf.task_default_queue = QUEUE


@app.task(name="stock.ping")
def ping(message: str = "pong") -> dict[str, str]:
    """What `system.ping` answers."""
    return {"message": message}


class StockCelery:
    """Publishes pings to the broker at `url` (redis://…) and reads when each was done."""

    def __init__(self, url: str):
        self.url = url
        self._app = Celery("stock", broker=url, backend=url, set_as_current=False)
        self._app.conf.task_default_queue = QUEUE

    def publish(self, jobs: int) -> None:
        """Forget everything and queue `jobs` pings."""
        with redis.Redis.from_url(self.url, single_connection_client=True) as connection:
            connection.flushdb()
        with self._app.producer_pool.acquire() as producer:
            for _ in range(jobs):
                self._app.send_task("stock.ping", kwargs={"message": "pong"}, task_id=str(uuid4()), producer=producer)

    def done(self) -> list[datetime]:
        """When each finished ping was done, by its stored result."""
        with redis.Redis.from_url(self.url, single_connection_client=True) as connection:
            keys = list(connection.scan_iter("celery-task-meta-*", count=5000))
            values = cast("list[Any]", connection.mget(keys)) if keys else []
        return [datetime.fromisoformat(json.loads(value)["date_done"]) for value in values if value is not None]

    def waiting(self) -> int:
        """Pings that no worker has taken."""
        with redis.Redis.from_url(self.url, single_connection_client=True) as connection:
            return int(cast("int", connection.llen(QUEUE)))

    def close(self) -> None:
        """Close the connections."""
        self._app.close()
