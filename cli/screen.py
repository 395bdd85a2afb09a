"""The screen of `nexus top`: what was seen as tables, side by side where there is room."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cli.output import clean
from cli.pauses import state_of

Seen = Mapping[str, Any]
BUSIEST = 8
"""Rows of a table at most: a screen is not a report."""

_LEFT = frozenset({"state", "queue", "job", "tenant", "kind", "provider", "code", "worker", "progress"})
_LATE_SECONDS = 60.0
_MANY_FAIL = 0.1


@dataclass(frozen=True, slots=True)
class Before:
    """An earlier look, and its moment on the steady clock."""

    seen: Seen
    at: float


def draw(seen: Seen, before: Before | None = None, seconds: float = 0.0, height: int = 50) -> RenderableType:
    """One screen of what the operators' routes answered. With an earlier look, counts are also shown by the second.

    Tables that would not fit a screen of `height` lines are cut, the most important last.
    """
    rows = max(3, min(BUSIEST, (height - len(seen["queues"]) - 14) // 3))
    speed = _Speed(before, seconds)
    due, flying, rate = (
        sum(queue[name] for queue in seen["queues"]) for name in ("due", "in_flight", "rate_per_minute")
    )
    slots = sum(worker["slots"] for worker in seen["workers"])
    head = f"{due:,} due   {flying:,} in flight   {rate / 60:,.1f} per second   {slots} slots of {len(seen['workers'])} workers"
    return Group(
        Text(head, style="bold"),
        _queues(seen["queues"]),
        _beside(_kinds(seen["kinds"], rows), _tenants(seen["tenants"], speed, rows)),
        _beside(_providers(seen["providers"], speed, rows), _failures(seen["failures"], speed, rows)),
        _jobs(seen["workers"], rows),
    )


@dataclass(frozen=True, slots=True)
class _Speed:
    before: Before | None
    seconds: float

    def of(self, where: str, row: Mapping[str, Any], count: str, *names: str) -> float | None:
        """By how much a row's count has grown each second; None with nothing to compare with."""
        if self.before is None or self.seconds <= 0:
            return None
        earlier = [each for each in self.before.seen[where] if all(each[name] == row[name] for name in names)]
        return max(0.0, float(row[count]) - sum(float(each[count]) for each in earlier)) / self.seconds


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold cyan", box=box.SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(columns):
        left = number == 0 or name in _LEFT
        table.add_column(name, justify="left" if left else "right", no_wrap=True, overflow="ellipsis")
    return table


def _beside(*tables: Table) -> Table:
    grid = Table.grid(padding=(0, 3))
    for _ in tables:
        grid.add_column()
    grid.add_row(*tables)
    return grid


def _queues(queues: list[Any]) -> Table:
    table = _table("queues", "name", "state", "due", "waiting", "in flight", "oldest due", "per second", "slots")
    for each in queues:
        state = "deaf" if each["deaf"] else state_of(each["pause"])
        late = each["oldest_due_seconds"] > _LATE_SECONDS
        table.add_row(
            each["name"], state, f"{each['due']:,}", f"{each['waiting']:,}", f"{each['in_flight']:,}",
            f"{each['oldest_due_seconds']:.1f} s", f"{each['rate_per_minute'] / 60:,.1f}", str(each["slots"]),
            style="red" if each["deaf"] or late else "",
        )  # fmt: skip
    return table


def _kinds(kinds: list[Any], rows: int) -> Table:
    table = _table("busiest kinds", "name", "state", "per second", "mean", "failed")
    for each in sorted(kinds, key=lambda each: (-each["rate_per_minute"], -each["runs"], each["name"]))[:rows]:
        share = each["failures"] / each["runs"] if each["runs"] else 0.0
        mean = "" if each["mean_seconds"] is None else f"{each['mean_seconds'] * 1000:,.1f} ms"
        table.add_row(
            each["name"], state_of(each["pause"]), f"{each['rate_per_minute'] / 60:,.1f}", mean, f"{share:.1%}",
            style="yellow" if share > _MANY_FAIL else "",
        )  # fmt: skip
    return table


def _tenants(tenants: list[Any], speed: _Speed, rows: int) -> Table:
    table = _table("tenants at work", "tenant", "running", "per second", "attempts")
    for each, rate in _fastest(tenants, lambda row: speed.of("tenants", row, "attempts", "id"))[:rows]:
        table.add_row(escape(clean(each["name"])[:24]), str(each["running"]), _rate(rate), f"{each['attempts']:,}")
    return table


def _providers(providers: list[Any], speed: _Speed, rows: int) -> Table:
    table = _table("providers", "provider", "per second", "mean", "failed", "circuits")
    for each, rate in _fastest(providers, lambda row: speed.of("providers", row, "calls", "provider"))[:rows]:
        share = each["failures"] / each["calls"] if each["calls"] else 0.0
        mean = f"{each['seconds'] / each['calls'] * 1000:,.1f} ms" if each["calls"] else ""
        is_bad = share > _MANY_FAIL or each["circuits_open"]
        circuits = f"{each['circuits_open']} open" if each["circuits_open"] else "closed"
        table.add_row(each["provider"], _rate(rate), mean, f"{share:.1%}", circuits, style="yellow" if is_bad else "")
    return table


def _failures(failures: list[Any], speed: _Speed, rows: int) -> Table:
    table = _table("failures", "kind", "code", "per second", "in all")
    for each, rate in _fastest(failures, lambda row: speed.of("failures", row, "attempts", "kind", "code"))[:rows]:
        table.add_row(each["kind"], each["code"], _rate(rate), f"{each['attempts']:,}", style="red" if rate else "")
    return table


def _jobs(workers: list[Any], rows: int) -> Table:
    table = _table("what runs, the oldest first", "worker", "job", "kind", "attempt", "seconds", "progress")
    running = [(worker["name"], job) for worker in workers for job in worker["jobs"]]
    for name, job in sorted(running, key=lambda each: each[1]["started_at"])[:rows]:
        progress = job["progress"]
        told = "" if progress is None else f"{progress['done']}/{progress['total'] or '?'} {progress['message']}"
        seconds = time.time() - datetime.fromisoformat(job["started_at"]).timestamp()
        table.add_row(name, job["id"], job["kind"], str(job["attempt"]), f"{seconds:.1f}", escape(clean(told)))
    return table


def _fastest(
    rows: list[Any], rate: Callable[[Mapping[str, Any]], float | None]
) -> list[tuple[Mapping[str, Any], float | None]]:
    """With their speed, the fastest first; those of one speed as they came."""
    return sorted(((row, rate(row)) for row in rows), key=lambda each: -(each[1] or 0.0))


def _rate(rate: float | None) -> str:
    return "" if rate is None else f"{rate:,.1f}"
