"""Every figure of `/metrics`: its name, what it means, its labels. `docs/reference/metrics.md` is written from here.

Labels are bounded: names of providers, operations, codes and queues of our own, never what a tenant chose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Bounds of the buckets for what takes as long as a call of somebody else's server."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A counter only grows, a histogram counts how often what took how long, a gauge is what a process says of this moment."""

    kind: Literal["counter", "histogram", "gauge"]
    name: str
    text: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...] = ()

    @property
    def series(self) -> str:
        """Its name where it is shown: Prometheus's of a counter ends so."""
        return f"{self.name}_total" if self.kind == "counter" else self.name


MEASURES: dict[str, Measure] = {}
"""What every process counts for itself and adds to rows of the platform database."""

REQUESTS: dict[str, Measure] = {}
"""What the API's processes count of their requests, each instance its own."""

READ: dict[str, Measure] = {}
"""What a scrape reads off the platform database."""

BY_TENANT: dict[str, Measure] = {}
"""The same, with a label for each tenant: only with `NEXUS_METRICS=tenants`."""


def _counter(name: str, text: str, *labels: str) -> Measure:
    return _known(MEASURES, Measure("counter", name, text, labels))


def _histogram(name: str, text: str, *labels: str) -> Measure:
    return _known(MEASURES, Measure("histogram", name, text, labels, SECONDS))


def _gauge(name: str, text: str, *labels: str) -> Measure:
    return _known(MEASURES, Measure("gauge", name, text, labels))


def _known(among: dict[str, Measure], measure: Measure) -> Measure:
    return among.setdefault(measure.name, measure)


def _read(name: str, text: str, *labels: str) -> Measure:
    return _known(READ, Measure("gauge", name, text, labels))


def _read_counter(name: str, text: str, *labels: str) -> Measure:
    return _known(READ, Measure("counter", name, text, labels))


PROVIDER_CALLS = _counter(
    "nexus_provider_calls", "Calls of providers that ended, by outcome: ok or the error's code", "provider", "operation", "outcome"
)  # fmt: skip
PROVIDER_SECONDS = _histogram(
    "nexus_provider_call_seconds", "How long calls of providers took", "provider", "operation"
)
CIRCUITS_OPEN = _gauge("nexus_provider_circuits_open", "Accounts that processes leave alone for now", "provider")
BUDGET_REFUSALS = _counter(
    "nexus_llm_refusals", "Calls of models that the tenant's own bounds refused or put off", "reason"
)
DISPATCHED = _counter("nexus_dispatched_jobs", "Jobs handed to the broker", "queue")
UNSENT = _counter("nexus_unsent_jobs", "Jobs that the broker did not take, which wait again")
ROUND_SECONDS = _histogram(
    "nexus_dispatch_round_seconds", "How long the leader's rounds took that dispatched something"
)
FAILED_ATTEMPTS = _counter("nexus_failed_attempts", "Attempts that failed, by the error's code", "kind", "code")
LOST = _counter("nexus_lost_attempts", "Attempts whose worker was lost")
REQUEUED = _counter("nexus_requeued_jobs", "Jobs whose message was lost and sent again")
TICKS = _counter("nexus_ticks", "Ticks of beat that workers took", "tick")
OUTCOMES_FENCED = _counter("nexus_fenced_outcomes", "Outcomes that came after another attempt had taken over", "kind")
CPU_SECONDS = _counter("nexus_process_cpu_seconds", "Processor time of the platform's processes", "process")
RESIDENT_BYTES = _gauge("nexus_process_resident_bytes", "Memory that the platform's processes hold", "process")

DATABASE_UP = _read(
    "nexus_platform_database_up", "1 if the platform database answers; if it does not, nothing else is read"
)
LEADER_AGE = _read(
    "nexus_dispatcher_heartbeat_age_seconds", "Seconds since the leader's last heartbeat; missing if none ever led"
)
WORKERS = _read("nexus_workers", "Live workers", "queue")
WORKER_SLOTS = _read("nexus_worker_slots", "Jobs that live workers can run at once", "queue")
QUEUE_PAUSED = _read("nexus_queue_paused", "1 while operators hold the queue back", "queue")
QUEUE_DEAF = _read("nexus_queue_deaf", "1 while the queue's live, free workers claim nothing", "queue")
JOBS = _read("nexus_jobs", "Live jobs, as the leader last counted: due, waiting, in_flight", "queue", "state")
OLDEST_DUE = _read("nexus_oldest_due_job_seconds", "For how many seconds the oldest due job waits", "queue")
QUEUE_RATE = _read("nexus_queue_rate_per_minute", "Attempts that end, over about a minute", "queue")
ATTEMPTS = _read_counter("nexus_job_attempts", "Attempts that ended", "kind")
ATTEMPT_FAILURES = _read_counter("nexus_job_attempt_failures", "Attempts that failed", "kind")
MEAN_SECONDS = _read("nexus_job_mean_seconds", "Mean time of an attempt", "kind")
PROCESSES = _read("nexus_processes", "Live processes that write figures", "process")
TENANTS = _read("nexus_tenants", "Tenants", "tier", "state")
TENANTS_AT_WORK = _read("nexus_tenants_at_work", "Tenants that had a job end in the last five minutes")
BUDGETS = _read("nexus_llm_budgets", "Budgets for models of tenants that asked one within a day")
BUDGETS_EXHAUSTED = _read("nexus_llm_budgets_exhausted", "Of these budgets, those that are spent")
BUDGET_USED_SHARE = _read("nexus_llm_budget_used_share", "Used share of the fullest of these budgets")
BACKUP_AGE = _read(
    "nexus_backup_age_seconds", "Seconds since the last good backup; of tenants, the oldest of those", "whose"
)
BACKUP_INTERVAL = _read("nexus_backup_interval_seconds", "How often a backup is to be made, where any are", "whose")
TENANTS_BACKUP_BEHIND = _read("nexus_tenants_backup_behind", "Tenants whose last good backup is late")

TENANT_ATTEMPTS = _known(
    BY_TENANT, Measure("counter", "nexus_tenant_attempts", "Attempts of a tenant that ended", ("tenant", "queue"))
)
TENANT_BUSY_SECONDS = _known(
    BY_TENANT,
    Measure(
        "counter", "nexus_tenant_busy_seconds", "Seconds that attempts of a tenant took together", ("tenant", "queue")
    ),
)
TENANT_BUDGET_USED_SHARE = _known(
    BY_TENANT,
    Measure("gauge", "nexus_tenant_llm_budget_used_share", "Used share of a tenant's fullest budget", ("tenant",)),
)

HTTP_REQUESTS = _known(
    REQUESTS, Measure("counter", "nexus_http_requests", "Requests answered", ("route", "method", "status"))
)
HTTP_SECONDS = _known(
    REQUESTS,
    Measure(
        "histogram", "nexus_http_request_seconds", "Time to the head of the answer", ("route", "method"),
        (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
    ),
)  # fmt: skip
