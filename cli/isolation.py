"""`nexus tenants verify-isolation`: a report on what keeps tenants apart; exit code 1 if anything does not."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import click

from cli import watch as following
from cli.client import Client
from cli.credentials import Connection, connected
from cli.errors import CommandFailed
from cli.login import choose, list_tenants
from cli.output import note, print_json, print_table

PATH = "/api/v1"
COLUMNS = ("check", "result", "tried", "found")


@click.command("verify-isolation")
@click.argument("tenant", metavar="NAME|ID", required=False)
@click.option("--all", "every", is_flag=True, help="Every active tenant and the platform, for operators.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON for scripts.")
@connected
def verify_isolation(connection: Connection, tenant: str | None, every: bool, as_json: bool) -> int:
    """Try a tenant's accounts on what belongs to others, and read the databases' catalogs for gaps.

    Ends with 1 and names each gap if there is one.
    """
    if (tenant is None) is not every:
        raise click.UsageError("Name one tenant, or give --all.")
    with connection.as_user() as client:
        job = _verify_all(client) if tenant is None else _verify(client, tenant)
    if job["state"] != "succeeded":
        raise CommandFailed(f"the report could not be made: {(job['error'] or {}).get('code', job['state'])}")
    report = job["result"]
    if as_json:
        print_json(report)
    else:
        print_table(
            COLUMNS, [[check["name"], check["result"], check["tried"], check["found"]] for check in _shown(report)]
        )
        note(f"{report['passed']} checks passed, {report['failed']} failed, {report['skipped']} could not be tried")
    return 0 if report["isolated"] else 1


def _verify(client: Client, tenant: str) -> following.Job:
    tenant_id = _id_of(client, tenant)
    job = client.post(f"{PATH}/tenants/{tenant_id}/verify-isolation", idempotency_key=str(uuid.uuid4()))
    with client.within(tenant_id) as inside:
        return following.show(following.follow(inside, job["id"]))


def _verify_all(client: Client) -> following.Job:
    job = client.post(f"{PATH}/admin/verify-isolation", idempotency_key=str(uuid.uuid4()))
    with client.within(job["tenant_id"]) as inside:
        return following.show(following.follow(inside, job["id"]))


def _id_of(client: Client, tenant: str) -> str:
    try:
        return str(uuid.UUID(tenant))
    except ValueError:
        found = choose(list_tenants(client), tenant)
    if found is None:
        raise CommandFailed(f"there is no tenant {tenant!r}")
    return str(found["id"])


def _shown(report: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The checks, with those of single tenants after them."""
    of_tenants = [
        {**check, "name": f"{each['tenant_id']} {check['name']}"}
        for each in report.get("gaps", ())
        for check in each["checks"]
    ]
    return [*report["checks"], *of_tenants]
