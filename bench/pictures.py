"""The page's pictures, as SVG. The same figures give the same files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.page import LABELS

OURS, THEIRS = "#1f6feb", "#8b949e"


def draw(figures: Mapping[str, Any], folder: Path) -> None:
    """Write a picture for each part that has one."""
    mpl.rcParams.update({"svg.hashsalt": "nexus", "font.size": 10})
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in (("throughput", _throughput), ("latency", _latency), ("growth", _growth)):
        if name in figures:
            figure = picture(figures[name])
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None}, bbox_inches="tight")


def _throughput(found: Any) -> Figure:
    names = sorted(found["rates"], key=lambda name: median(found["rates"][name]))
    figure = _bars(
        [LABELS[name].replace("`", "") for name in names],
        [median(found["rates"][name]) for name in names],
        [OURS if name.startswith("nexus") else THEIRS for name in names],
        "{:,.0f}",
    )
    figure.axes[0].set_xlabel("no-op jobs per second, median of the rounds")
    return figure


def _latency(found: Any) -> Figure:
    bars = [
        (f"{LABELS[name]}, {label} {point}", found[name][step][point] * 1e3, colour)
        for step, label in (("to_finished", "finished"), ("to_running", "running"))
        for point in ("p95", "p50")
        for name, colour in (("stock_celery", THEIRS), ("nexus", OURS))
    ]
    figure = _bars([bar[0] for bar in bars], [bar[1] for bar in bars], [bar[2] for bar in bars], "{:.1f}")
    figure.axes[0].set_xlabel("milliseconds after the submission was answered")
    return figure


def _growth(found: Any) -> Figure:
    steps = list(reversed(found["ratio"]))
    figure = _bars(steps, [found["ratio"][step] for step in steps], [OURS] * len(steps), "{:.2f}×")
    axes = figure.axes[0]
    axes.axvline(1.3, color=THEIRS, linestyle="--")
    axes.set_xlabel(
        f"cost with {found['finished']:,} finished jobs and {found['tenants']:,} tenants, to empty (aim: 1.3)"
    )
    return figure


def _bars(labels: Sequence[str], values: Sequence[float], colours: Sequence[str], form: str) -> Figure:
    figure = Figure(figsize=(9, 0.42 * len(labels) + 0.8))
    axes = figure.subplots()
    drawn = axes.barh(labels, values, color=colours)
    axes.bar_label(drawn, [form.format(value) for value in values], padding=4)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.12)
    return figure
