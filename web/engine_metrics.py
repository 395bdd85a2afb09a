"""The engine's figures for `/metrics`, as the platform database shows them: the same from whichever process is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from jobs.backlog import backlogs
from jobs.kinds import KINDS, QUEUES
from jobs.runtimes import queue_rates, runtimes
from tenancy.access import Tenancy
from web.errors import DATABASE_AWAY
from web.health import engine_state
from web.platform_metrics import families


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
        yield from families(self._tenancy)
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
