"""`nexus top`: queues, kinds, workers and what they run, drawn anew every second. For operators."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click

from cli.client import Client
from cli.credentials import Connection, connected
from cli.output import clean, print_json
from cli.pauses import PATH, as_json_option, state_of

Seen = Mapping[str, list[Any]]
BUSIEST = 8
"""Kinds and jobs that are shown: a screen is not a report."""


@click.command(
    epilog="""\b
Examples:
  nexus top                 until Ctrl-C
  nexus top --once --json   one look, for scripts
"""
)
@click.option(
    "--interval", default=1.0, type=click.FloatRange(0.2, 60), show_default=True, help="Seconds between looks."
)
@click.option("--once", is_flag=True, help="Look once, print and end.")
@as_json_option
@connected
def top(connection: Connection, interval: float, once: bool, as_json: bool) -> None:
    """Watch queues, kinds, workers and what they run."""
    from rich.console import Console
    from rich.live import Live

    with connection.as_user() as client:
        if as_json:
            print_json(_look(client))
            return
        console = Console(width=None if sys.stdout.isatty() else 160)
        if once or not console.is_terminal:
            console.print(draw(_look(client)))
            return
        with Live(draw(_look(client)), console=console, screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(interval)
                live.update(draw(_look(client)), refresh=True)


def _look(client: Client) -> Seen:
    return {name: client.get(f"{PATH}/{name}")["items"] for name in ("queues", "kinds", "workers")}


def draw(seen: Seen) -> Any:
    """One screen of `seen` (what `/admin/queues`, `kinds` and `workers` answer), as something that rich prints."""
    from rich.console import Group
    from rich.text import Text

    due, flying, rate = (
        sum(queue[name] for queue in seen["queues"]) for name in ("due", "in_flight", "rate_per_minute")
    )
    slots = sum(worker["slots"] for worker in seen["workers"])
    head = f"{due:,} due   {flying:,} in flight   {rate / 60:,.1f} per second   {slots} slots of {len(seen['workers'])} workers"
    return Group(Text(head, style="bold"), _queues(seen["queues"]), _kinds(seen["kinds"]), _jobs(seen["workers"]))


def _table(title: str, *columns: str) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold cyan", box=box.SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(columns):
        table.add_column(
            name, justify="right" if number and name not in {"state", "queue", "job", "tenant", "progress"} else "left"
        )
    return table


def _queues(queues: list[Any]) -> Any:
    table = _table("queues", "name", "state", "due", "waiting", "in flight", "oldest due", "per second", "slots")
    for each in queues:
        state = "deaf" if each["deaf"] else state_of(each["pause"])
        late = each["oldest_due_seconds"] > 60
        table.add_row(
            each["name"], state, f"{each['due']:,}", f"{each['waiting']:,}", f"{each['in_flight']:,}", f"{each['oldest_due_seconds']:.1f} s",
            f"{each['rate_per_minute'] / 60:,.1f}", str(each["slots"]), style="red" if each["deaf"] or late else "",
        )  # fmt: skip
    return table


def _kinds(kinds: list[Any]) -> Any:
    table = _table("busiest kinds", "name", "state", "per second", "mean", "runs", "failures", "share")
    for each in sorted(kinds, key=lambda each: (-each["rate_per_minute"], -each["runs"], each["name"]))[:BUSIEST]:
        share = each["failures"] / each["runs"] if each["runs"] else 0.0
        mean = "" if each["mean_seconds"] is None else f"{each['mean_seconds'] * 1000:,.1f} ms"
        table.add_row(
            each["name"], state_of(each["pause"]), f"{each['rate_per_minute'] / 60:,.1f}", mean, f"{each['runs']:,}", f"{each['failures']:,}",
            f"{share:.1%}", style="yellow" if share > 0.1 else "",
        )  # fmt: skip
    return table


def _jobs(workers: list[Any]) -> Any:
    table = _table("what runs, the oldest first", "worker", "job", "tenant", "kind", "attempt", "seconds", "progress")
    running = [(worker["name"], job) for worker in workers for job in worker["jobs"]]
    for name, job in sorted(running, key=lambda each: each[1]["started_at"])[:BUSIEST]:
        progress = job["progress"]
        told = "" if progress is None else f"{progress['done']}/{progress['total'] or '?'} {progress['message']}"
        seconds = time.time() - datetime.fromisoformat(job["started_at"]).timestamp()
        table.add_row(
            name, job["id"], job["tenant_id"], job["kind"], str(job["attempt"]), f"{seconds:.1f}", clean(told)
        )
    return table
