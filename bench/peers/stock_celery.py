"""Stock Celery with its defaults and the Redis result backend, doing nothing: what a team without our engine would run.

The worker is `celery -A bench.peers.stock_celery worker --pool=prefork`. Broker and results have a database of their own.
"""

from __future__ import annotations

import json
import os
import smtplib
import sys
import time
from datetime import datetime
from email.message import EmailMessage
from typing import Any, cast
from uuid import uuid4

import redis
from celery import Celery

from bench.peers.base import PROCESSES

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


@app.task(name="stock.moment")
def moment() -> dict[str, float]:
    """When it ran, in seconds since 1970."""
    return {"started": time.time()}


@app.task(name="stock.mail")
def mail(port: int, to: str) -> None:
    """One mail over a connection of its own, as examples of Celery show it."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "news@example.com", to, "News"
    message.set_content("It is here.")
    with smtplib.SMTP("127.0.0.1", port) as server:
        server.send_message(message)


def worker(*options: str) -> tuple[str, ...]:
    """The command line of a worker, with the options that ours have."""
    return (sys.executable, "-m", "celery", "-A", __name__, "worker", "--pool=prefork", f"--concurrency={PROCESSES}",
            "-Q", QUEUE, "-n", "stock@%h", "--without-gossip", "--without-mingle", *options)  # fmt: skip


class StockCelery:
    """Publishes pings to the broker at `url` (redis://…) and reads when each was done. `options` go to its worker."""

    def __init__(self, url: str, *options: str):
        self.url = url
        self.variables = {BROKER_VARIABLE: url}
        self.commands = (worker(*options),)
        self._app = Celery("stock", broker=url, backend=url, set_as_current=False)
        self._app.conf.task_default_queue = QUEUE

    def publish(self, jobs: int) -> None:
        """Forget everything and queue `jobs` pings."""
        with redis.Redis.from_url(self.url, single_connection_client=True) as connection:
            connection.flushdb()
        with self._app.producer_pool.acquire() as producer:
            for _ in range(jobs):
                self._app.send_task("stock.ping", kwargs={"message": "pong"}, task_id=str(uuid4()), producer=producer)

    def publish_mails(self, mails: int, port: int) -> None:
        """Forget everything and queue `mails` mails to the server on that port of loopback."""
        with redis.Redis.from_url(self.url, single_connection_client=True) as connection:
            connection.flushdb()
        with self._app.producer_pool.acquire() as producer:
            for number in range(mails):
                self._app.send_task("stock.mail", args=(port, f"u{number}@example.com"), producer=producer)

    def done(self) -> list[float]:
        """By the results."""
        with redis.Redis.from_url(self.url, single_connection_client=True) as connection:
            keys = list(connection.scan_iter("celery-task-meta-*", count=5000))
            values = cast("list[Any]", connection.mget(keys)) if keys else []
        return [_moment(json.loads(value)["date_done"]) for value in values if value is not None]

    def waiting(self) -> int:
        """Pings that no worker has taken."""
        with redis.Redis.from_url(self.url, single_connection_client=True) as connection:
            return int(cast("int", connection.llen(QUEUE)))

    def send_moment(self, task_id: str | None = None) -> str:
        """Queue one `stock.moment`; returns its id."""
        return str(self._app.send_task("stock.moment", task_id=task_id or str(uuid4())).id)

    def outcome(self, task_id: str) -> tuple[float, float] | None:
        """When a `stock.moment` started and when it was done, or nothing as long as it has not."""
        with redis.Redis.from_url(self.url, single_connection_client=True) as connection:
            value = cast("Any", connection.get(f"celery-task-meta-{task_id}"))
        if value is None:
            return None
        kept = json.loads(value)
        return float(kept["result"]["started"]), _moment(kept["date_done"])

    def close(self) -> None:
        """Close the connections."""
        self._app.close()


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
