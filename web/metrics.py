"""`/metrics` for Prometheus: this process's requests, and the engine as the platform database shows it.

Labels are bounded: routes by their rule, methods by those we serve, queues by those that kinds name. Each process tells its
own requests, so with several web workers a scrape sees one of them; the engine's figures are the same from all.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from flask import Flask, Response, current_app, g, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from jobs.backlog import backlogs
from jobs.kinds import KINDS, QUEUES
from jobs.runtimes import queue_rates, runtimes
from tenancy.access import Tenancy
from web.auth import public
from web.errors import DATABASE_AWAY
from web.health import engine_state

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class EngineCollector(Collector):
    """Reads leader and workers when Prometheus asks. Says nothing of them while the database is away."""

    def __init__(self, tenancy: Tenancy):
        self._tenancy = tenancy

    def collect(self) -> Iterator[Metric]:
        """The engine's gauges."""
        up = GaugeMetricFamily("nexus_platform_database_up", "1 if the platform database answers")
        try:
            state = engine_state(self._tenancy)
        except DATABASE_AWAY:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield _by_queue("nexus_worker_slots", "Jobs that live workers can run at once", state.slots)
        yield _by_queue("nexus_workers", "Live workers", state.workers)
        yield _by_queue(
            "nexus_queue_paused", "1 while operators hold it back", {queue: queue in state.paused for queue in QUEUES}
        )
        yield _by_queue(
            "nexus_queue_deaf",
            "1 while its live, free workers claim nothing",
            {queue: queue in state.deaf for queue in QUEUES},
        )
        yield from self._backlogs()
        yield from self._kinds()
        if state.leader_age is not None:
            leader = GaugeMetricFamily("nexus_dispatcher_heartbeat_age_seconds", "Since the leader's last heartbeat")
            leader.add_metric([], state.leader_age)
            yield leader

    def _backlogs(self) -> Iterator[Metric]:
        jobs = GaugeMetricFamily("nexus_jobs", "Live jobs, as the leader last counted", labels=["queue", "state"])
        oldest = GaugeMetricFamily(
            "nexus_oldest_due_job_seconds", "How long the oldest due job waits", labels=["queue"]
        )
        for backlog in backlogs(self._tenancy.platform):
            jobs.add_metric([backlog.queue, "due"], backlog.due)
            jobs.add_metric([backlog.queue, "waiting"], backlog.waiting)
            jobs.add_metric([backlog.queue, "in_flight"], backlog.in_flight)
            oldest.add_metric([backlog.queue], backlog.oldest_due_seconds)
        yield jobs
        yield oldest

    def _kinds(self) -> Iterator[Metric]:
        known = {name: each for name, each in runtimes(self._tenancy.platform).items() if name in KINDS}
        attempts = CounterMetricFamily("nexus_job_attempts", "Attempts that ended", labels=["kind"])
        failures = CounterMetricFamily("nexus_job_attempt_failures", "Attempts that failed", labels=["kind"])
        means = GaugeMetricFamily("nexus_job_mean_seconds", "Mean time of an attempt", labels=["kind"])
        for name, runtime in known.items():
            attempts.add_metric([name], runtime.runs)
            failures.add_metric([name], runtime.failures)
            means.add_metric([name], runtime.mean_seconds)
        yield from (attempts, failures, means)
        yield _by_queue("nexus_queue_rate_per_minute", "Attempts that end, over about a minute", queue_rates(known))


def _by_queue(name: str, text: str, values: Mapping[str, float]) -> Metric:
    gauge = GaugeMetricFamily(name, text, labels=["queue"])
    for queue, value in values.items():
        gauge.add_metric([queue], value)
    return gauge


def register(app: Flask, tenancy: Tenancy) -> None:
    """Measure every request, and serve the figures."""
    registry = CollectorRegistry()
    registry.register(EngineCollector(tenancy))
    labels = ("route", "method", "status")
    requests = Counter("nexus_http_requests", "Requests answered", labels, registry=registry)
    seconds = Histogram(
        "nexus_http_request_seconds", "Time to the head of the answer", labels[:2], buckets=BUCKETS, registry=registry
    )
    app.extensions["nexus.metrics"] = registry

    def begin() -> None:
        g.begun = time.perf_counter()

    def finish(response: Response) -> Response:
        route = "unmatched" if request.url_rule is None else request.url_rule.rule
        method = request.method if request.method in METHODS else "other"
        requests.labels(route, method, str(response.status_code)).inc()
        seconds.labels(route, method).observe(time.perf_counter() - g.begun)
        return response

    app.before_request(begin)
    app.after_request(finish)
    app.add_url_rule("/metrics", "metrics", show, methods=["GET"])


@public
def show() -> Response:
    """The figures in Prometheus's text format."""
    registry: CollectorRegistry = current_app.extensions["nexus.metrics"]
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
