"""Procrastinate on PostgreSQL with psycopg's asynchronous pool, as documented: two `procrastinate worker`.

It keeps a row and events of each job, and no results; when a job was done is its event `succeeded`.
"""

from __future__ import annotations

import os
import sys

import psycopg
from procrastinate import App, PsycopgConnector
from psycopg import sql

from bench.peers.base import PROCESSES, QUEUE, URL_VARIABLE

CONCURRENCY = 8
"""Of each worker: several jobs at once hide the waiting for the database, and make it faster than the default of one."""


async def ping() -> None:
    """A no-op."""


def connect(dsn: str) -> App:
    """The application with its task. It connects when it is opened."""
    made = App(connector=PsycopgConnector(conninfo=dsn))
    made.task(name="ping", queue=QUEUE)(ping)
    return made


app = connect(os.environ.get(URL_VARIABLE, ""))


class ProcrastinatePeer:
    """Publishes to a database of its own on the server of `owner_dsn`, which it makes."""

    def __init__(self, owner_dsn: str, database: str):
        with psycopg.connect(owner_dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier("procrastinate")))
        dsn = owner_dsn.replace(f"/{database}?", "/procrastinate?")
        self.variables = {URL_VARIABLE: dsn}
        command = (sys.executable, "-m", "procrastinate", "--log-level=warning", f"--app={__name__}.app", "worker", f"--queues={QUEUE}",
                   f"--concurrency={CONCURRENCY}")  # fmt: skip
        self.commands = (command,) * PROCESSES
        self._app = connect(dsn)
        self._app.open()
        self._app.schema_manager.apply_schema()
        self._connection = psycopg.connect(dsn, autocommit=True)

    def publish(self, jobs: int) -> None:
        """Forget everything and queue pings."""
        self._connection.execute("TRUNCATE procrastinate_jobs CASCADE")
        for start in range(0, jobs, 1000):
            self._app.tasks["ping"].batch_defer(*({} for _ in range(min(1000, jobs - start))))
        self._connection.execute("VACUUM ANALYZE procrastinate_jobs")

    def waiting(self) -> int:
        """Jobs that have not ended."""
        row = self._connection.execute(
            "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
        ).fetchone()
        return int(row[0]) if row else 0

    def done(self) -> list[float]:
        """By the events."""
        rows = self._connection.execute(
            "SELECT extract(epoch FROM at)::float8 FROM procrastinate_events WHERE type = 'succeeded'"
        ).fetchall()
        return [float(row[0]) for row in rows]

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()
        self._app.close()
