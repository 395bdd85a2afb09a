"""What all processes count, and what tenants and budgets come to, in Prometheus's words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from config.settings import Settings
from config.telemetry.counters import Labels, Reading
from config.telemetry.measures import MEASURES, Measure
from jobs.figures import Figures, figures
from tenancy.access import Tenancy


def families(tenancy: Tenancy) -> Iterator[Metric]:
    """All of them. Raises what a database raises that is away."""
    by_tenant = tenancy.settings.metrics == "tenants"
    found = figures(tenancy.platform, by_tenant=by_tenant)
    for measure in MEASURES.values():
        yield _counted(measure, found) if measure.kind != "gauge" else _gauge(
            measure.name, measure.text, measure.labels, found.gauges.get(measure.name, {})
        )  # fmt: skip
    yield _gauge("nexus_processes", "Live processes that write figures", ("process",), found.processes)
    yield _gauge("nexus_tenants", "Tenants", ("tier", "state"), found.tenants)
    yield _gauge(
        "nexus_tenants_at_work", "Tenants that had a job end in the last five minutes", (), {(): found.at_work}
    )
    yield from _budgets(found)
    yield from _backups(found, tenancy.settings)
    if by_tenant:
        yield from _tenants(found)


def _budgets(found: Figures) -> Iterator[Metric]:
    yield _gauge(
        "nexus_llm_budgets", "Budgets for models of tenants that asked one within a day", (), {(): found.budgets}
    )
    yield _gauge("nexus_llm_budgets_exhausted", "Those of them that are spent", (), {(): found.budgets_exhausted})
    yield _gauge("nexus_llm_budget_used_share", "Used share of the fullest", (), {(): found.budget_used_share})


def _backups(found: Figures, settings: Settings) -> Iterator[Metric]:
    wanted = {("platform",): settings.platform_backup_hours * 3600, ("tenants",): settings.backup_hours * 3600}
    yield _gauge(
        "nexus_backup_age_seconds",
        "Of the last good backup; of tenants, the oldest of those",
        ("whose",),
        found.backup_ages,
    )
    yield _gauge(
        "nexus_backup_interval_seconds", "How often one is to be made, where any are", ("whose",),
        {labels: seconds for labels, seconds in wanted.items() if seconds > 0},
    )  # fmt: skip
    yield _gauge("nexus_tenants_backup_behind", "Tenants whose last good backup is late", (), found.backups_behind)


def _tenants(found: Figures) -> Iterator[Metric]:
    labels = ("tenant", "queue")
    attempts = CounterMetricFamily("nexus_tenant_attempts", "Attempts of a tenant that ended", labels=labels)
    seconds = CounterMetricFamily("nexus_tenant_busy_seconds", "What they took together", labels=labels)
    for row in found.each:
        attempts.add_metric((row["tenant"], row["queue"]), row["runs"])
        seconds.add_metric((row["tenant"], row["queue"]), row["seconds"])
    yield from (attempts, seconds)
    shares: dict[Labels, float] = {(row["tenant"],): row["used_share"] for row in found.each_budget}
    yield _gauge("nexus_tenant_llm_budget_used_share", "Used share of a tenant's fullest budget", ("tenant",), shares)


def _counted(measure: Measure, found: Figures) -> Metric:
    mine = {labels: reading for (name, labels), reading in found.readings.items() if name == measure.name}
    if measure.kind == "counter":
        counter = CounterMetricFamily(measure.name, measure.text, labels=measure.labels)
        for labels, reading in (mine or _untouched(measure)).items():
            counter.add_metric(labels, reading.total)
        return counter
    histogram = HistogramMetricFamily(measure.name, measure.text, labels=measure.labels)
    for labels, reading in mine.items():
        bounds = [*map(str, measure.buckets), "+Inf"]
        reached = accumulate(reading.buckets or ())
        histogram.add_metric(labels, list(zip(bounds, reached, strict=False)), reading.total)
    return histogram


def _untouched(measure: Measure) -> Mapping[Labels, Reading]:
    """A counter without labels is there from the beginning, at 0, so that its first step is seen as one."""
    return {} if measure.labels else {(): Reading()}


def _gauge(name: str, text: str, labels: Labels, values: Mapping[Labels, float]) -> Metric:
    gauge = GaugeMetricFamily(name, text, labels=labels)
    for of, value in values.items():
        gauge.add_metric(of, value)
    return gauge
