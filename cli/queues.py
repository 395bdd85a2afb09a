"""`nexus queues`: what waits and how fast it goes; pause, resume, drain. For operators."""

from __future__ import annotations

import click

from cli.credentials import Connection, connected
from cli.output import print_json, print_table
from cli.pauses import (
    PATH,
    as_json_option,
    drain_options,
    hold,
    path_part,
    reason_option,
    release,
    show,
    state_of,
    wait_drained,
)

COLUMNS = ("name", "state", "due", "waiting", "in_flight", "oldest_due_s", "rate_per_min", "workers", "slots", "deaf")


@click.group(
    epilog="""\b
Examples:
  nexus queues list
  nexus queues pause notifications --reason "the mail provider is down"
  nexus queues drain billing --wait --timeout 300
  nexus queues resume billing
"""
)
def queues() -> None:
    """Show, pause, resume and drain queues."""


@queues.command("list")
@as_json_option
@connected
def list_queues(connection: Connection, as_json: bool) -> None:
    """List the queues over all tenants."""
    with connection.as_user() as client:
        found = client.get(f"{PATH}/queues")
    if as_json:
        print_json(found)
        return
    print_table(
        COLUMNS,
        [
            [
                queue["name"], state_of(queue["pause"]), queue["due"], queue["waiting"], queue["in_flight"],
                f"{queue['oldest_due_seconds']:.1f}", f"{queue['rate_per_minute']:.1f}", queue["workers"],
                queue["slots"], "yes" if queue["deaf"] else "",
            ]
            for queue in found["items"]
        ],
    )  # fmt: skip


@queues.command()
@click.argument("name")
@reason_option
@as_json_option
@connected
def pause(connection: Connection, name: str, reason: str, as_json: bool) -> None:
    """Stop dispatching the queue NAME; what is dispatched or running goes on to its end."""
    place = f"queues/{path_part(name)}"
    with connection.as_user() as client:
        show(hold(client, place, "pause", reason), as_json=as_json)


@queues.command()
@click.argument("name")
@as_json_option
@connected
def resume(connection: Connection, name: str, as_json: bool) -> None:
    """Dispatch the queue NAME again."""
    place = f"queues/{path_part(name)}"
    with connection.as_user() as client:
        release(client, place, name, as_json=as_json)


@queues.command()
@click.argument("name")
@reason_option
@drain_options
@as_json_option
@connected
def drain(connection: Connection, name: str, reason: str, wait: bool, timeout: float | None, as_json: bool) -> None:
    """Pause the queue NAME and, with --wait, watch until nothing of it is in flight."""
    place = f"queues/{path_part(name)}"
    with connection.as_user() as client:
        paused = hold(client, place, "drain", reason)
        show(wait_drained(client, paused, timeout) if wait else paused, as_json=as_json)
