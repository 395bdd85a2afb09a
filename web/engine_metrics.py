"""The engine's figures for `/metrics`, as the platform database shows them: the same from whichever process is asked."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from config.telemetry import measures
from config.telemetry.counters import Labels
from jobs.backlog import backlogs
from jobs.kinds import KINDS, QUEUES
from jobs.runtimes import queue_rates, runtimes
from tenancy.access import Tenancy
from web.errors import DATABASE_AWAY
from web.health import engine_state
from web.metric_families import by_label, family, single
from web.platform_metrics import families


class EngineCollector(Collector):
    """Reads leader and workers when Prometheus asks. Says nothing of them while the database is away."""

    def __init__(self, tenancy: Tenancy):
        self._tenancy = tenancy

    def collect(self) -> Iterator[Metric]:
        """The engine's gauges."""
        try:
            state = engine_state(self._tenancy)
        except DATABASE_AWAY:
            yield single(measures.DATABASE_UP, 0)
            return
        yield single(measures.DATABASE_UP, 1)
        yield by_label(measures.WORKER_SLOTS, state.slots)
        yield by_label(measures.WORKERS, state.workers)
        yield by_label(measures.QUEUE_PAUSED, {queue: queue in state.paused for queue in QUEUES})
        yield by_label(measures.QUEUE_DEAF, {queue: queue in state.deaf for queue in QUEUES})
        yield from self._backlogs()
        yield from self._kinds()
        yield from families(self._tenancy)
        if state.leader_age is not None:
            yield single(measures.LEADER_AGE, state.leader_age)

    def _backlogs(self) -> Iterator[Metric]:
        jobs: dict[Labels, float] = {}
        oldest: dict[str, float] = {}
        for backlog in backlogs(self._tenancy.platform):
            jobs[backlog.queue, "due"] = backlog.due
            jobs[backlog.queue, "waiting"] = backlog.waiting
            jobs[backlog.queue, "in_flight"] = backlog.in_flight
            oldest[backlog.queue] = backlog.oldest_due_seconds
        yield family(measures.JOBS, jobs)
        yield by_label(measures.OLDEST_DUE, oldest)

    def _kinds(self) -> Iterator[Metric]:
        known = {name: each for name, each in runtimes(self._tenancy.platform).items() if name in KINDS}
        yield by_label(measures.ATTEMPTS, {name: each.runs for name, each in known.items()})
        yield by_label(measures.ATTEMPT_FAILURES, {name: each.failures for name, each in known.items()})
        yield by_label(measures.MEAN_SECONDS, {name: each.mean_seconds for name, each in known.items()})
        yield by_label(measures.QUEUE_RATE, queue_rates(known))
