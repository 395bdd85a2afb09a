"""Every figure that processes count for themselves: its name, what it means, its labels. `/metrics` shows them by these words.

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


MEASURES: dict[str, Measure] = {}


def _counter(name: str, text: str, *labels: str) -> Measure:
    return _known(Measure("counter", name, text, labels))


def _histogram(name: str, text: str, *labels: str) -> Measure:
    return _known(Measure("histogram", name, text, labels, SECONDS))


def _gauge(name: str, text: str, *labels: str) -> Measure:
    return _known(Measure("gauge", name, text, labels))


def _known(measure: Measure) -> Measure:
    return MEASURES.setdefault(measure.name, measure)


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
