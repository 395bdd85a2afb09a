"""`nexus keys`: which master keys are in use, and new keys for a tenant or for all."""

from __future__ import annotations

import uuid
from typing import Any

import click

from cli import watch as following
from cli.client import Client
from cli.credentials import Connection, connected
from cli.login import choose, list_tenants
from cli.output import note, print_details, print_json, print_table
from cli.pauses import PATH, as_json_option

COLUMNS = (
    "id",
    "state",
    "data_keys",
    "signing_keys",
    "second_factors",
    "archives",
    "retired_at",
    "origin",
    "removable",
)

wait_option = click.option("--wait/--no-wait", default=True, show_default=True, help="Follow the job to its end.")


@click.group(
    epilog="""\b
Examples:
  nexus keys rotate Acme           a new data key for a tenant; everything is sealed anew under it
  nexus keys status                the master keys, and which of them may leave NEXUS_MASTER_KEYS
  nexus keys rewrap                put all data and signing keys under the first master key
"""
)
def keys() -> None:
    """Show master keys, rewrap under the active one, rotate a tenant's data key."""


@keys.command()
@as_json_option
@connected
def status(connection: Connection, as_json: bool) -> None:
    """List the master keys with what still stands under each. For operators."""
    with connection.as_user() as client:
        found = client.get(f"{PATH}/keys")
    if as_json:
        print_json(found)
        return
    print_table(
        COLUMNS,
        [
            [
                key["id"], "active" if key["active"] else "in ring" if key["in_ring"] else "missing",
                key["data_keys"], key["signing_keys"], key["second_factors"], key["archives"], key["retired_at"],
                "yes" if key["origin"] else "", "yes" if key["removable"] else "",
            ]
            for key in found["items"]
        ],
    )  # fmt: skip


@keys.command()
@wait_option
@as_json_option
@connected
def rewrap(connection: Connection, wait: bool, as_json: bool) -> int:
    """Put every data and signing key under the active master key. For operators."""
    with connection.as_user() as client:
        job = client.post(f"{PATH}/keys/rewrap", idempotency_key=str(uuid.uuid4()))
        return finish(operators_client(client), job, wait=wait, as_json=as_json)


@keys.command()
@click.argument("tenant", metavar="NAME|ID")
@wait_option
@as_json_option
@connected
def rotate(connection: Connection, tenant: str, wait: bool, as_json: bool) -> int:
    """Give TENANT a new data key and seal everything anew under it."""
    with connection.as_user() as client:
        chosen: Any = choose(list_tenants(client), tenant)
        tenant_id = chosen["id"]
        with client.within(tenant_id) as inside:
            job = inside.post(f"/api/v1/tenants/{tenant_id}/rotate-keys", idempotency_key=str(uuid.uuid4()))
            return finish(inside, job, wait=wait, as_json=as_json)


def operators_client(client: Client) -> Client:
    """A client that selects the operator's tenant, where what operators start runs."""
    return client.within(next(tenant["id"] for tenant in list_tenants(client) if tenant["is_operator"]))


def finish(client: Client, job: Any, *, wait: bool, as_json: bool) -> int:
    """Follow the job, if that is wanted, and print what it came to; returns the exit code."""
    if wait:
        job = following.show(following.follow(client, job["id"]))
    else:
        note(f"nexus jobs watch {job['id']}")
    if as_json:
        print_json(job)
    else:
        print_details({"job": job["id"], "state": job["state"], **(job["error"] or job["result"] or {})})
    return 1 if job["state"] in {"failed", "cancelled"} else 0
