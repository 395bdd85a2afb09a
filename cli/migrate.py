"""`nexus migrate`: bring the tenants' databases to this version's schema, in waves. For operators."""

from __future__ import annotations

import uuid
from typing import Any

import click

from cli import watch as following
from cli.client import Client
from cli.credentials import Connection, connected
from cli.keys import finish, operators_client, wait_option
from cli.login import choose, list_tenants
from cli.output import print_details, print_json, print_table
from cli.pauses import PATH, as_json_option

FLEET = f"{PATH}/fleet"
COLUMNS = ("tier", "version", "tenants", "databases")
DRIFT_COLUMNS = ("tenant", "what", "part", "name", "expected", "actual")


@click.group(
    epilog="""\b
Examples:
  nexus migrate status
  nexus migrate run --canary Acme
  nexus migrate pause
  nexus migrate resume
  nexus migrate drift Acme
"""
)
def migrate() -> None:
    """Show, run, pause and resume migrations of the tenants' databases; find drift."""


@migrate.command()
@as_json_option
@connected
def status(connection: Connection, as_json: bool) -> None:
    """Show which databases are at which revision, and the latest wave."""
    with connection.as_user() as client:
        found = client.get(FLEET)
    if as_json:
        print_json(found)
        return
    print_table(COLUMNS, [[row[column] for column in COLUMNS] for row in found["revisions"]])
    click.echo(f"newest {found['newest']}: {found['current']} databases, {found['behind']} behind")
    if found["wave"] is not None:
        click.echo()
        _show(found["wave"])


@migrate.command()
@click.option(
    "--canary", "canaries", multiple=True, metavar="NAME|ID", help="Migrate its database first; may be repeated."
)
@wait_option
@as_json_option
@connected
def run(connection: Connection, canaries: tuple[str, ...], wait: bool, as_json: bool) -> int:
    """Start a wave: canary, cohorts, the rest."""
    with connection.as_user() as client:
        body = {"canaries": _ids(client, canaries)}
        job = client.post(f"{FLEET}/migrate", body, idempotency_key=str(uuid.uuid4()))
        return finish(operators_client(client), job, wait=wait, as_json=as_json)


@migrate.command()
@as_json_option
@connected
def pause(connection: Connection, as_json: bool) -> None:
    """Let the wave end after the database that it is at."""
    with connection.as_user() as client:
        _print(client.post(f"{FLEET}/pause"), as_json=as_json)


@migrate.command()
@as_json_option
@connected
def resume(connection: Connection, as_json: bool) -> None:
    """Let a wave go on that was paused or was stopped by a failure."""
    with connection.as_user() as client:
        _print(client.post(f"{FLEET}/resume"), as_json=as_json)


@migrate.command()
@click.argument("tenants", nargs=-1, metavar="[NAME|ID]...")
@as_json_option
@connected
def drift(connection: Connection, tenants: tuple[str, ...], as_json: bool) -> int:
    """Compare the databases of TENANTS, or all, with the template; the exit code is 1 if any differs."""
    with connection.as_user() as client:
        job = client.post(f"{FLEET}/drift", {"tenant_ids": _ids(client, tenants)}, idempotency_key=str(uuid.uuid4()))
        inside = operators_client(client)
        job = following.show(following.follow(inside, job["id"]))
    found = job["result"]
    if found is None:
        print_details(job["error"] or {"state": job["state"]})
        return 1
    if as_json:
        print_json(found)
    else:
        rows = [
            [each[column] for column in ("tenant_id", "what", "part", "name", "expected", "actual")]
            for each in found["items"]
        ]
        print_table(DRIFT_COLUMNS, rows)
        counted = f"{found['databases']} compared, {len(found['behind'])} behind, {len(found['unread'])} not readable"
        click.echo(f"{counted}: {found['differences']} differences")
    return 1 if found["differences"] or found["unread"] else 0


def _ids(client: Client, wanted: tuple[str, ...]) -> list[str]:
    tenants = list_tenants(client) if wanted else []
    chosen: list[Any] = [choose(tenants, each) for each in wanted]
    return [tenant["id"] for tenant in chosen]


def _print(wave: Any, *, as_json: bool) -> None:
    if as_json:
        print_json(wave)
    else:
        _show(wave)


def _show(wave: Any) -> None:
    print_details({name: value for name, value in wave.items() if name != "failures"})
    for failure in wave["failures"]:
        click.echo(f"{failure['stage']}: {failure['tenant_id']}: {failure['code']}: {failure['detail']}")
