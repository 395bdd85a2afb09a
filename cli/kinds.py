"""`nexus kinds`: how each kind of job does; pause, resume, drain. For operators."""

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

COLUMNS = ("name", "queue", "state", "mean_s", "runs", "failures", "rate_per_min", "batch_size")


@click.group(
    epilog="""\b
Examples:
  nexus kinds list
  nexus kinds pause completion.create --reason "the provider's price list is wrong"
  nexus kinds resume completion.create
"""
)
def kinds() -> None:
    """Show, pause, resume and drain kinds of job."""


@kinds.command("list")
@as_json_option
@connected
def list_kinds(connection: Connection, as_json: bool) -> None:
    """List the kinds over all tenants."""
    with connection.as_user() as client:
        found = client.get(f"{PATH}/kinds")
    if as_json:
        print_json(found)
        return
    print_table(
        COLUMNS,
        [
            [
                kind["name"], kind["queue"], state_of(kind["pause"]),
                "" if kind["mean_seconds"] is None else f"{kind['mean_seconds']:.3f}", kind["runs"], kind["failures"],
                f"{kind['rate_per_minute']:.1f}", kind["batch_size"],
            ]
            for kind in found["items"]
        ],
    )  # fmt: skip


@kinds.command()
@click.argument("name")
@reason_option
@as_json_option
@connected
def pause(connection: Connection, name: str, reason: str, as_json: bool) -> None:
    """Stop dispatching jobs of the kind NAME; what is dispatched or running goes on to its end."""
    place = f"kinds/{path_part(name)}"
    with connection.as_user() as client:
        show(hold(client, place, "pause", reason), as_json=as_json)


@kinds.command()
@click.argument("name")
@as_json_option
@connected
def resume(connection: Connection, name: str, as_json: bool) -> None:
    """Dispatch jobs of the kind NAME again."""
    place = f"kinds/{path_part(name)}"
    with connection.as_user() as client:
        release(client, place, name, as_json=as_json)


@kinds.command()
@click.argument("name")
@reason_option
@drain_options
@as_json_option
@connected
def drain(connection: Connection, name: str, reason: str, wait: bool, timeout: float | None, as_json: bool) -> None:
    """Pause the kind NAME and, with --wait, watch until none of it is in flight."""
    place = f"kinds/{path_part(name)}"
    with connection.as_user() as client:
        paused = hold(client, place, "drain", reason)
        show(wait_drained(client, paused, timeout) if wait else paused, as_json=as_json)
