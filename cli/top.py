"""`nexus top`: queues, kinds, tenants, providers, failures, workers and what they run, drawn anew every second. For operators."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

import click

from cli.client import Client
from cli.credentials import Connection, connected
from cli.output import print_json
from cli.pauses import PATH, as_json_option

Seen = Mapping[str, Any]
PLAIN_WIDTH = 160
"""Columns where there is no terminal."""


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
    """Watch queues, kinds, tenants, providers, failures, workers and what they run."""
    from rich.console import Console
    from rich.live import Live

    from cli.screen import Before, draw

    with connection.as_user() as client:
        if as_json:
            print_json(_look(client))
            return
        console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
        first = Before(_look(client), time.monotonic())
        if once or not console.is_terminal:
            console.print(draw(first.seen))
            return
        before = first
        with Live(draw(first.seen), console=console, screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(interval)
                now = Before(_look(client), time.monotonic())
                live.update(draw(now.seen, before, now.at - before.at, console.height), refresh=True)
                before = now


def _look(client: Client) -> Seen:
    lists = {name: client.get(f"{PATH}/{name}")["items"] for name in ("queues", "kinds", "workers")}
    return {**lists, **client.get(f"{PATH}/activity")}
