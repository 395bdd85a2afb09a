"""`nexus queues`: what waits and how fast it goes; pause, resume, drain. For operators."""

from __future__ import annotations

import click

from cli.credentials import Connection, connected
from cli.output import print_json, print_table
from cli.pauses import PATH, add_steering, as_json_option, name_argument, state_of

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


add_steering(queues, "the queue NAME", lambda _client, name: f"queues/{name}", name_argument)
