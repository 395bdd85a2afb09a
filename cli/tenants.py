"""`nexus tenants`: create, list and show the tenants of whoever is logged in."""

from __future__ import annotations

import re
import uuid
from typing import Any

import click

from cli import watch as following
from cli.credentials import Connection, connected
from cli.login import choose, list_tenants
from cli.output import print_details, print_json, print_table

PATH = "/api/v1/tenants"
COLUMNS = ("id", "name", "tier", "state", "created_at")

_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@click.group(
    epilog="""\b
Examples:
  nexus tenants create Acme --tier dedicated
  nexus tenants list --json | jq -r '.items[].id'
  nexus tenants show Acme
"""
)
def tenants() -> None:
    """Create, list and show tenants."""


@tenants.command()
@click.argument("name")
@click.option("--tier", type=click.Choice(["dedicated", "pooled"]), help="A database of its own, or the shared one.")
@click.option("--json", "as_json", is_flag=True, help="Print the tenant as JSON for scripts.")
@connected
def create(connection: Connection, name: str, tier: str | None, as_json: bool) -> int:
    """Create the tenant NAME and wait until it is provisioned."""
    body = {"name": name} if tier is None else {"name": name, "tier": tier}
    with connection.as_user() as client:
        job = client.post(PATH, body, idempotency_key=str(uuid.uuid4()))
        tenant_id = job["tenant_id"]
        with client.within(tenant_id) as inside:
            job = following.show(following.follow(inside, job["id"]))
            tenant = inside.get(f"{PATH}/{tenant_id}")
    if as_json:
        print_json(tenant)
    else:
        print_details(tenant if job["error"] is None else {**tenant, "error": job["error"]})
    return 0 if job["state"] == "succeeded" else 1


@tenants.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
@connected
def list_all(connection: Connection, as_json: bool) -> None:
    """List your tenants; an operator sees all."""
    with connection.as_user() as client:
        found = list_tenants(client)
    if as_json:
        print_json({"items": found, "next_cursor": None})
    else:
        print_table(COLUMNS, [[tenant[column] for column in COLUMNS] for tenant in found])


@tenants.command()
@click.argument("tenant", metavar="NAME|ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
@connected
def show(connection: Connection, tenant: str, as_json: bool) -> None:
    """Show a tenant."""
    with connection.as_user() as client:
        if _ID.fullmatch(tenant):
            found: Any = client.get(f"{PATH}/{tenant}")
        else:
            found = choose(list_tenants(client), tenant)
    if as_json:
        print_json(found)
    else:
        print_details(found)
