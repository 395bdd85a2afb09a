"""`nexus kinds`: how each kind of job does; pause, resume, drain. For operators."""

from __future__ import annotations

import click

from cli.credentials import Connection, connected
from cli.output import print_json, print_table
from cli.pauses import PATH, add_steering, as_json_option, name_argument, state_of

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


add_steering(kinds, "the kind NAME", lambda _client, name: f"kinds/{name}", name_argument)
