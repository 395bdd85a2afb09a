"""What all processes count, and what tenants and budgets come to, in Prometheus's words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily, Metric

from config.settings import Settings
from config.telemetry import measures
from config.telemetry.counters import Labels, Reading
from config.telemetry.measures import Measure
from jobs.figures import Figures, figures
from tenancy.access import Tenancy
from web.metric_families import by_label, family, single


def families(tenancy: Tenancy) -> Iterator[Metric]:
    """All of them. Raises what a database raises that is away."""
    by_tenant = tenancy.settings.metrics == "tenants"
    found = figures(tenancy.platform, by_tenant=by_tenant)
    for measure in measures.MEASURES.values():
        yield _counted(measure, found)
    yield family(measures.PROCESSES, found.processes)
    yield family(measures.TENANTS, found.tenants)
    yield single(measures.TENANTS_AT_WORK, found.at_work)
    yield single(measures.BUDGETS, found.budgets)
    yield single(measures.BUDGETS_EXHAUSTED, found.budgets_exhausted)
    yield single(measures.BUDGET_USED_SHARE, found.budget_used_share)
    yield from _backups(found, tenancy.settings)
    if by_tenant:
        yield from _tenants(found)


def _backups(found: Figures, settings: Settings) -> Iterator[Metric]:
    wanted = {"platform": settings.platform_backup_hours * 3600, "tenants": settings.backup_hours * 3600}
    yield family(measures.BACKUP_AGE, found.backup_ages)
    yield by_label(measures.BACKUP_INTERVAL, {whose: seconds for whose, seconds in wanted.items() if seconds > 0})
    yield family(measures.TENANTS_BACKUP_BEHIND, found.backups_behind)


def _tenants(found: Figures) -> Iterator[Metric]:
    yield family(measures.TENANT_ATTEMPTS, {(row["tenant"], row["queue"]): row["runs"] for row in found.each})
    yield family(measures.TENANT_BUSY_SECONDS, {(row["tenant"], row["queue"]): row["seconds"] for row in found.each})
    shares = {row["tenant"]: row["used_share"] for row in found.each_budget}
    yield by_label(measures.TENANT_BUDGET_USED_SHARE, shares)


def _counted(measure: Measure, found: Figures) -> Metric:
    if measure.kind == "gauge":
        return family(measure, found.gauges.get(measure.name, {}))
    mine = {labels: reading for (name, labels), reading in found.readings.items() if name == measure.name}
    if measure.kind == "counter":
        return family(measure, {labels: reading.total for labels, reading in (mine or _untouched(measure)).items()})
    histogram = HistogramMetricFamily(measure.name, measure.text, labels=measure.labels)
    for labels, reading in mine.items():
        bounds = [*map(str, measure.buckets), "+Inf"]
        reached = accumulate(reading.buckets or ())
        histogram.add_metric(labels, list(zip(bounds, reached, strict=False)), reading.total)
    return histogram


def _untouched(measure: Measure) -> Mapping[Labels, Reading]:
    """A counter without labels is there from the beginning, at 0, so that its first step is seen as one."""
    return {} if measure.labels else {(): Reading()}
