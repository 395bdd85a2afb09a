"""What seeing costs: jobs per second with figures, logs and spans beside none of them, and the time of a scrape beside many tenants.

The contenders take turns on the same servers with the same processes. `bare` counts nothing and logs errors alone, `usual` is what is
installed, `traced` records every span and sends it to a collector that only reads. No-op jobs are the worst case: all of their time is
the engine's. Mails to files are what a provider call costs on top: a line in the log, a count, a time.
"""

from __future__ import annotations

import threading
import time
import timeit
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, LiteralString
from uuid import UUID

from rich.progress import Progress

from bench.engine import Engine, until
from bench.figures import median_ratio, rate, spread
from bench.ground import Ground
from config.telemetry import spans
from domain.identity.principals import system
from domain.ids import new_id
from jobs.submit import INSERT, NewJob, insert_parameters

LIMIT_SECONDS = 300.0
QUEUES = {"system.ping": "default", "notification.deliver": "notifications"}
PAYLOADS: dict[str, dict[str, Any]] = {
    "system.ping": {},
    "notification.deliver": {"to": "bench@example.com", "subject": "Bench", "text": "It is here."},
}

_ENDS: LiteralString = """
SELECT extract(epoch FROM finished_at)::float8 AS at FROM jobs WHERE state = 'succeeded'
"""
_FINISHED: LiteralString = "SELECT count(*) AS jobs FROM jobs WHERE state = 'succeeded'"

_TENANTS: LiteralString = """
INSERT INTO tenants (id, name, tier, state) SELECT id, 'Bench', 'pooled', 'active' FROM unnest(%(ids)s::uuid[]) AS t (id)
"""
_USED: LiteralString = """
INSERT INTO tenant_runtimes (tenant_id, queue, runs, seconds, updated_at)
SELECT t.id, q.queue, 10, 1.5, now() FROM unnest(%(ids)s::uuid[]) AS t (id) CROSS JOIN unnest(%(queues)s::text[]) AS q (queue)
"""
_BUDGETS: LiteralString = """
INSERT INTO llm_budget_standings (tenant_id, budgets, exhausted, used_share, updated_at)
SELECT id, 1, 0, 0.5, now() FROM unnest(%(ids)s::uuid[]) AS t (id)
"""
_READINGS: LiteralString = """
INSERT INTO readings (name, labels, count, total, buckets, updated_at)
SELECT 'nexus_provider_call_seconds', ARRAY['provider' || p, 'operation' || o], 100, 10, array_fill(10::bigint, ARRAY[13]), now()
  FROM generate_series(1, 12) AS p CROSS JOIN generate_series(1, 4) AS o
 UNION ALL
SELECT 'nexus_provider_calls', ARRAY['provider' || p, 'operation' || o, 'outcome' || u], 100, 100, NULL, now()
  FROM generate_series(1, 12) AS p CROSS JOIN generate_series(1, 4) AS o CROSS JOIN generate_series(1, 4) AS u
ON CONFLICT DO NOTHING
"""


def measure(
    ground: Ground, jobs: int, mails: int, rounds: int, tenants: int, scrapes: int, progress: Progress
) -> dict[str, Any]:
    """Rates by workload, contender and round with median ratios to `bare`; milliseconds of a scrape; nanoseconds of a span that is off."""
    tenant_id = ground.tenant()
    counts = {"system.ping": jobs, "notification.deliver": mails}
    task = progress.add_task("telemetry", total=rounds * 3 * len(counts) + 2)
    found: dict[str, Any] = {"tenants": tenants, "counts": counts, "span_off_ns": _span_off()}
    with _sink() as collector:
        contenders = {
            "bare": {"NEXUS_METRICS": "off", "NEXUS_LOG_LEVEL": "error"},
            "usual": {"NEXUS_METRICS": "totals", "NEXUS_LOG_LEVEL": "info"},
            "traced": {"NEXUS_METRICS": "totals", "NEXUS_LOG_LEVEL": "info", "OTEL_EXPORTER_OTLP_ENDPOINT": collector},
        }
        for kind, count in counts.items():
            _drain(ground, tenant_id, kind, min(200, count), contenders["usual"])  # so that its mean runtime is known
            rates: dict[str, list[float]] = {name: [] for name in contenders}
            for number in range(rounds):
                names = list(contenders)
                for name in names[number % 3 :] + names[: number % 3]:
                    rates[name].append(_drain(ground, tenant_id, kind, count, contenders[name]))
                    progress.advance(task)
            ratios = {name: median_ratio(rates[name], rates["bare"]) for name in rates}
            found[kind.replace(".", "_")] = {"rates": rates, "ratios": ratios}
    found["scrape_ms"] = _scrapes(ground, tenants, scrapes)
    progress.advance(task, 2)
    return found


def _drain(ground: Ground, tenant_id: UUID, kind: str, count: int, variables: dict[str, str]) -> float:
    platform = ground.tenancy.platform
    platform.fetch("DELETE FROM jobs", {})
    principal = system("bench", tenant_id)
    for start in range(0, count, 1000):
        batch = [
            (
                INSERT,
                insert_parameters(ground.tenancy, NewJob(kind, PAYLOADS[kind], principal, traceparent=_traceparent())),
            )
            for _ in range(min(1000, count - start))
        ]
        platform.fetch_many(batch)
    with Engine(ground.settings, ground.home / "log") as engine:
        engine.environment |= variables
        worker = engine.worker(QUEUES[kind])
        until(lambda: bool(platform.fetch("SELECT 1 FROM workers", {})), 30, ground.logged("the worker"))
        dispatcher = engine.dispatcher()
        until(lambda: platform.fetch(_FINISHED, {})[0]["jobs"] == count, LIMIT_SECONDS, ground.logged(kind), 0.2)
        engine.stop(dispatcher, worker)
    return rate([row["at"] for row in platform.fetch(_ENDS, {})])


def _traceparent() -> str:
    return f"00-{new_id().hex}-{new_id().hex[16:]}-01"


def _span_off() -> float:
    def once() -> None:
        with spans.span("bench"):
            pass

    return min(timeit.repeat(once, number=100_000, repeat=5)) / 100_000 * 1e9


def _scrapes(ground: Ground, tenants: int, scrapes: int) -> dict[str, Any]:
    """Of an application in this process: what is measured is the work, not the network."""
    from web.app import create_app

    ids = [new_id() for _ in range(tenants)]
    platform = ground.tenancy.platform
    platform.fetch(_TENANTS, {"ids": ids})
    platform.fetch(_USED, {"ids": ids, "queues": ["notifications", "completions"]})
    platform.fetch(_BUDGETS, {"ids": ids})
    platform.fetch(_READINGS, {})
    found: dict[str, Any] = {}
    for metrics in ("totals", "tenants"):
        app = create_app(ground.settings.model_copy(update={"metrics": metrics}))
        client, times = app.test_client(), []
        size = len(client.get("/metrics").data)
        for _ in range(scrapes):
            started = time.perf_counter()
            answer = client.get("/metrics")
            times.append((time.perf_counter() - started) * 1e3)
            if answer.status_code != 200:
                raise RuntimeError(answer.text)
        found[metrics] = {**spread(times), "bytes": size}
        app.extensions["nexus.tenancy"].dispose()
    return found


@contextmanager
def _sink() -> Iterator[str]:
    """The address of a collector that reads and forgets."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
