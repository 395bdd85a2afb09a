"""Figures of all processes as rows: each adds what it counted to the sums, and says of itself that it lives.

So one scrape sees every process, wherever it runs and however short it lived. What a killed process had not yet written is lost:
at most `SECONDS` of counting.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, LiteralString

import psutil
import structlog

from config.telemetry import counters
from config.telemetry.counters import Key, Reading
from config.telemetry.measures import CPU_SECONDS, RESIDENT_BYTES
from domain.ids import new_id
from tenancy.database import RELAXED, Database

SECONDS = 2.0
"""How often a process writes what it counted."""

ALIVE_SECONDS = 10.0
"""How often it says that it lives, if it has counted nothing."""

GONE_SECONDS = 30.0
"""A process that has said nothing for this long is gone."""

# Labels travel as JSON, since PostgreSQL's arrays of arrays must all be of one length. Always in the order of the names, so that processes that write at once wait for each other one way.
_ADD: LiteralString = """
INSERT INTO readings AS r (name, labels, count, total, buckets, updated_at)
SELECT n.name, ARRAY(SELECT jsonb_array_elements_text(n.labels)), n.count, n.total,
       CASE WHEN n.buckets IS NOT NULL THEN ARRAY(SELECT jsonb_array_elements_text(n.buckets)::bigint) END, now()
  FROM jsonb_to_recordset(%(readings)s::jsonb) AS n (name text, labels jsonb, count bigint, total float8, buckets jsonb)
 ORDER BY n.name, n.labels
ON CONFLICT (name, labels) DO UPDATE
   SET count = r.count + excluded.count, total = r.total + excluded.total, updated_at = now(),
       buckets = CASE WHEN cardinality(r.buckets) = cardinality(excluded.buckets)
                      THEN ARRAY(SELECT a + b FROM unnest(r.buckets, excluded.buckets) WITH ORDINALITY AS u (a, b, i) ORDER BY i)
                      ELSE excluded.buckets END
"""

_LIVE: LiteralString = """
INSERT INTO processes (id, name, host, pid, gauges, seen_at)
VALUES (%(id)s, %(name)s, %(host)s, %(pid)s, %(gauges)s::jsonb, now())
ON CONFLICT (id) DO UPDATE SET gauges = excluded.gauges, seen_at = now()
"""

_LEAVE: LiteralString = "DELETE FROM processes WHERE id = %(id)s"

_FORGET: LiteralString = "DELETE FROM processes WHERE seen_at < now() - make_interval(secs => %(seconds)s)"

Statement = tuple[LiteralString, Mapping[str, Any]]

_sources: list[Callable[[], list[Statement]]] = []

log = structlog.get_logger(__name__)


def forget_gone(platform: Database) -> None:
    """Remove processes that went without a word."""
    platform.fetch(_FORGET, {"seconds": GONE_SECONDS})


def _as_json(readings: Mapping[Key, Reading]) -> str:
    return json.dumps(
        [
            {"name": name, "labels": labels, "count": each.count, "total": each.total, "buckets": each.buckets}
            for (name, labels), each in readings.items()
        ]
    )


def register_source(take: Callable[[], list[Statement]]) -> None:
    """Have what `take` gives written with the figures of its process. It gives nothing twice."""
    _sources.append(take)


class Reporter:
    """Writes this process's figures from a thread of its own, until it is stopped. A database that is away loses none of them."""

    def __init__(self, platform: Database, process: str):
        self._platform = platform
        self._facts: dict[str, Any] = {
            "id": new_id(),
            "name": process,
            "host": socket.gethostname(),
            "pid": os.getpid(),
        }
        self._process = process
        self._self = psutil.Process()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nexus-reporter", daemon=True)
        self._used = 0.0
        self._seen = float("-inf")
        self._failed = False

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is left and withdraw; gives up soon if the database does not answer."""
        self._stopped.set()
        self._thread.join(2.0)

    def write(self, now: float) -> None:
        """Write what was counted, and say that this process lives."""
        taken = counters.take()
        more = [statement for take in _sources for statement in take()]
        if not taken and not more and now - self._seen < ALIVE_SECONDS:
            return
        used = sum(self._self.cpu_times()[:2])
        told = {**taken, (CPU_SECONDS.name, (self._process,)): Reading(1, used - self._used)}
        gauges = [*counters.gauges(), (RESIDENT_BYTES.name, (self._process,), self._self.memory_info().rss)]
        live = {**self._facts, "gauges": json.dumps(gauges)}
        try:
            self._platform.fetch_many([(_ADD, {"readings": _as_json(told)}), (_LIVE, live), *more], RELAXED)
        except BaseException:
            counters.put_back(taken)
            raise
        self._seen, self._used = now, used

    def _run(self) -> None:
        while True:
            ending = self._stopped.wait(SECONDS)
            try:
                self.write(time.monotonic())
                if ending:
                    self._platform.fetch(_LEAVE, {"id": self._facts["id"]})
                self._failed = False
            except Exception:
                # Said once per outage: figures are not worth a flood of lines.
                log.log(logging.DEBUG if self._failed else logging.WARNING, "readings.unwritten", exc_info=True)
                self._failed = True
            if ending:
                return
