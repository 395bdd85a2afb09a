"""Pausing, resuming and draining, as `nexus queues`, `nexus kinds` and `nexus tenants` share it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, TypeVar

import click

from cli.client import Client
from cli.errors import TimedOut
from cli.output import note, print_details, print_json

R = TypeVar("R")

PATH = "/api/v1/operator"
POLL_SECONDS = 1.0

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
reason_option = click.option("--reason", default="", metavar="TEXT", help="Why, for whoever finds it paused.")


def drain_options(command: Callable[..., R]) -> Callable[..., R]:
    """--wait and --timeout of a drain."""
    wait = click.option("--wait", is_flag=True, help="Wait until nothing is in flight.")
    timeout = click.option(
        "--timeout", type=click.FloatRange(min=0.1), metavar="SECONDS", help="Wait no longer; the exit code is 1 then."
    )
    return wait(timeout(command))


def hold(client: Client, place: str, verb: str, reason: str) -> Any:
    """`pause` or `drain` the queue, kind or tenant at `place`, as `queues/search`; returns the pause."""
    return client.post(f"{PATH}/{place}/{verb}", {"reason": reason})


def release(client: Client, place: str, name: str, *, as_json: bool) -> None:
    """Resume what is at `place` and say so."""
    client.post(f"{PATH}/{place}/resume")
    if as_json:
        print_json({"name": name, "paused": False})
    else:
        click.echo(f"{name} goes on")


def wait_drained(client: Client, pause: Any, timeout: float | None) -> Any:
    """Watch until nothing of the pause is in flight, telling each change; returns the pause as it is then.

    Raises `TimedOut` after `timeout` seconds, and when it was resumed meanwhile, since then it would never be drained.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    told = None
    while not pause["drained"]:
        if pause["in_flight"] != told:
            told = pause["in_flight"]
            note(f"{pause['name']}: {told} in flight")
        if deadline is not None and time.monotonic() >= deadline:
            raise TimedOut(f"{pause['name']} is not drained; it stays paused")
        time.sleep(POLL_SECONDS)
        found = client.get(f"{PATH}/pauses")["items"]
        same = [one for one in found if (one["scope"], one["name"]) == (pause["scope"], pause["name"])]
        if not same:
            raise TimedOut(f"{pause['name']} was resumed meanwhile")
        pause = same[0]
    return pause


def show(pause: Any, *, as_json: bool) -> None:
    """Print one pause."""
    if as_json:
        print_json(pause)
    else:
        print_details(pause)


def path_part(name: str) -> str:
    """The name, as a part of a path. What cannot be one must not lead to another route: raises `click.UsageError`."""
    if not re.fullmatch(r"[0-9A-Za-z._-]{1,100}", name) or set(name) == {"."}:
        raise click.UsageError(f"{name!r} is no name of a queue or a kind")
    return name


def state_of(pause: Any) -> str:
    """A word for a column: `active`, `paused`, `draining` or `drained`."""
    if pause is None:
        return "active"
    if pause["drain"]:
        return "drained" if pause["drained"] else "draining"
    return "paused"
