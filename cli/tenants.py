"""`nexus tenants`: create, list and show the tenants of whoever is logged in; for operators, steer them."""

from __future__ import annotations

import math
import re
import uuid
from typing import Any

import click

from cli import pauses, tenant_life
from cli import watch as following
from cli.client import Client
from cli.credentials import Connection, connected
from cli.errors import CommandFailed
from cli.isolation import verify_isolation
from cli.login import choose, list_tenants
from cli.output import print_details, print_json, print_table

PATH = "/api/v1/tenants"
COLUMNS = ("id", "name", "tier", "state", "created_at")

NONE = "none"

_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class OrNone(click.ParamType[Any]):
    """A number, or `none` for no bound."""

    name = "number"

    def __init__(self, number: type[int] | type[float]):
        self._number = number

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number, or `NONE`."""
        if value == NONE:
            return NONE
        try:
            number = self._number(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor {NONE}", param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is no number that can be meant", param, ctx)
        return number


@click.group(
    epilog="""\b
Examples:
  nexus tenants create Acme --tier dedicated
  nexus tenants list --json | jq -r '.items[].id'
  nexus tenants show Acme
  nexus tenants export Acme --output acme.zip
  nexus tenants restore Acme --file acme.zip
  nexus tenants delete Acme
  nexus tenants verify-isolation Acme

\b
Examples for operators:
  nexus tenants pause Acme --reason "its import runs wild"
  nexus tenants resume Acme
  nexus tenants limits Acme --weight 2 --max-running 50 --rate 20
  nexus tenants limits Acme --max-running none
  nexus tenants verify-isolation --all
"""
)
def tenants() -> None:
    """Create, list and show tenants, suspend, export, restore and delete them; pause them and set their limits."""


@tenants.command()
@click.argument("name")
@click.option(
    "--tier",
    type=click.Choice(["dedicated", "pooled", "external"]),
    help="A database of its own, the shared one, or on its own server.",
)
@click.option(
    "--database-url",
    envvar="NEXUS_TENANT_DATABASE_URL",
    help="For the tier external; better in NEXUS_TENANT_DATABASE_URL, for it holds a password.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the tenant as JSON for scripts.")
@connected
def create(connection: Connection, name: str, tier: str | None, database_url: str | None, as_json: bool) -> int:
    """Create the tenant NAME and wait until it is provisioned."""
    body: dict[str, Any] = {"name": name} if tier is None else {"name": name, "tier": tier}
    if tier == "external" and database_url is not None:
        body["database"] = {"url": database_url}
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


@tenants.command()
@click.argument("tenant", metavar="NAME|ID")
@click.option("--weight", type=OrNone(float), metavar="N|none", help="Its share beside others that wait; none is 1.")
@click.option("--max-running", type=OrNone(int), metavar="N|none", help="Jobs at once.")
@click.option("--rate", "rate_per_second", type=OrNone(float), metavar="N|none", help="Jobs begun per second.")
@click.option("--burst", type=OrNone(int), metavar="N|none", help="Of the rate, how many at once.")
@pauses.as_json_option
@connected
def limits(connection: Connection, tenant: str, as_json: bool, **changes: Any) -> None:
    """Show a tenant's limits, or change those that are given."""
    given = {name: None if value == NONE else value for name, value in changes.items() if value is not None}
    with connection.as_user() as client:
        path = f"{pauses.PATH}/tenants/{_id_of(client, tenant)}/limits"
        reply = client.send("GET", path)
        if given:
            kept = {name: reply.body[name] for name in changes}
            if "rate_per_second" in given and "burst" not in given:
                kept["burst"] = None  # the new rate gets a burst of its own
            body = {name: value for name, value in (kept | given).items() if value is not None}
            reply = client.send("PUT", path, body=body, headers={"If-Match": reply.headers["etag"]})
    if as_json:
        print_json(reply.body)
    else:
        print_details(reply.body)


def _id_of(client: Client, tenant: str) -> str:
    """The id of a tenant that was named. Raises `CommandFailed`."""
    if _ID.fullmatch(tenant):
        return tenant
    found = choose(list_tenants(client), tenant)
    if found is None:
        raise CommandFailed(f"there is no tenant {tenant!r}")
    return str(found["id"])


tenant_life.add_life(tenants, _id_of)
tenants.add_command(verify_isolation)
pauses.add_steering(
    tenants,
    "a tenant",
    lambda client, name: f"tenants/{_id_of(client, name)}",
    click.argument("name", metavar="NAME|ID"),
)
tenant_life.add_resume(tenants)
