"""A measure with its values, in Prometheus's words."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from config.telemetry.counters import Labels
from config.telemetry.measures import Measure


def family(measure: Measure, values: Mapping[Labels, float]) -> Metric:
    """A gauge or a counter with a sample for each combination of labels."""
    made = (CounterMetricFamily if measure.kind == "counter" else GaugeMetricFamily)(
        measure.name, measure.text, labels=measure.labels
    )
    for labels, value in values.items():
        made.add_metric(labels, value)
    return made


def single(measure: Measure, value: float) -> Metric:
    """One without labels."""
    return family(measure, {(): value})


def by_label(measure: Measure, values: Mapping[str, float]) -> Metric:
    """One with a single label."""
    return family(measure, {(label,): value for label, value in values.items()})
