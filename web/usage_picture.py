"""The usage of language models as a picture: cost by day, stacked by model. Plain SVG, without scripts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from html import escape
from typing import Any

WIDTH, HEIGHT = 960, 360
_LEFT, _TOP, _RIGHT, _BOTTOM = 76, 40, 220, 44
_COLORS = ("#3b6fb6", "#d9822b", "#4b9b6e", "#b5484f", "#7a5fa8", "#8c6d4f", "#c06c9e", "#6b7280")
_LOOK = 'role="img" aria-label="Cost of language models by day" font-family="sans-serif" font-size="12" fill="#374151"'
_SERIES = len(_COLORS)


def usage_picture(first: date, last: date, items: Sequence[Mapping[str, Any]]) -> str:
    """An SVG document. Models beyond the eight most expensive are drawn as one."""
    costs: dict[str, int] = defaultdict(int)
    for item in items:
        costs[item["model"]] += int(item["cost_micros"])
    ranked = sorted(costs, key=lambda model: (-costs[model], model))
    names = ranked if len(ranked) <= _SERIES else [*ranked[: _SERIES - 1], "others"]
    by_day: dict[date, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for item in items:
        name = item["model"] if item["model"] in names else "others"
        by_day[item["day"]][name] += int(item["cost_micros"])
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    highest = max((sum(day.values()) for day in by_day.values()), default=0) or 1
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {_LOOK}>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="24" font-size="15">Language models: US dollars by day, {first} to {last} (UTC)</text>',
        *_axis(highest),
        *_bars(days, by_day, names, highest),
        *_labels(days),
        *_legend(names, costs, ranked),
        "</svg>",
    ]
    return "\n".join(parts)


def _axis(highest: int) -> list[str]:
    lines = []
    for step in range(5):
        y = HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * step / 4
        value = highest * step / 4 / 1_000_000
        lines.append(f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e5e7eb"/>')
        lines.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.4g}</text>')
    return lines


def _bars(
    days: Sequence[date], by_day: Mapping[date, Mapping[str, int]], names: Sequence[str], highest: int
) -> list[str]:
    width = (WIDTH - _LEFT - _RIGHT) / len(days)
    bars = []
    for number, day in enumerate(days):
        y = float(HEIGHT - _BOTTOM)
        for name in names:
            cost = by_day.get(day, {}).get(name, 0)
            if cost:
                height = (HEIGHT - _TOP - _BOTTOM) * cost / highest
                y -= height
                bars.append(
                    f'<rect x="{_LEFT + number * width + width * 0.1:.2f}" y="{y:.2f}" width="{width * 0.8:.2f}" '
                    f'height="{height:.2f}" fill="{_COLORS[names.index(name)]}">'
                    f"<title>{day} {escape(name)}: {cost / 1_000_000:.6f} USD</title></rect>"
                )
    return bars


def _labels(days: Sequence[date]) -> list[str]:
    width = (WIDTH - _LEFT - _RIGHT) / len(days)
    every = max(1, len(days) // 8)
    return [
        f'<text x="{_LEFT + (number + 0.5) * width:.1f}" y="{HEIGHT - _BOTTOM + 18}" text-anchor="middle">{day:%d %b}</text>'
        for number, day in enumerate(days)
        if number % every == 0
    ]


def _legend(names: Sequence[str], costs: Mapping[str, int], ranked: Sequence[str]) -> list[str]:
    lines = []
    for number, name in enumerate(names):
        cost = sum(costs[model] for model in ranked if (model if model in names else "others") == name)
        y = _TOP + 10 + number * 20
        x = WIDTH - _RIGHT + 20
        lines.append(f'<rect x="{x}" y="{y}" width="12" height="12" fill="{_COLORS[number]}"/>')
        lines.append(f'<text x="{x + 18}" y="{y + 11}">{escape(name[:20])} {cost / 1_000_000:.4f}</text>')
    return lines
