"""What `nexus tenants` does to a whole tenant: suspend, export, restore, move, delete and take back. Each waits for its job."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from cli import watch as following
from cli.client import Client
from cli.credentials import Connection, connected
from cli.errors import CommandFailed
from cli.login import choose, list_tenants
from cli.output import note, print_details, print_json

PATH = "/api/v1/tenants"

Find = Callable[[Client, str], str]
"""From a name or an id to the id."""

tenant_argument = click.argument("tenant", metavar="NAME|ID")
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")


def add_life(group: click.Group, find: Find) -> None:
    """Give the group its commands."""
    for verb, words in (
        ("suspend", "Suspend a tenant: its data is kept, nobody works in it, its jobs wait."),
        ("undelete", "Take a deleted tenant back within its grace."),
        ("backup", "Make a backup now; what no rule keeps any more is removed."),
    ):
        group.add_command(_plain(verb, words, find))
    _add_delete(group, find)
    _add_export(group, find)
    _add_restore(group, find)
    _add_change_tier(group, find)


def add_resume(group: click.Group) -> None:
    """Let `resume` mean both: a suspended tenant is resumed by its people, a paused one by operators."""
    paused = group.commands["resume"]

    @group.command("resume", help="Resume a suspended tenant; for operators, also one that is paused.")
    @click.argument("name", metavar="NAME|ID")
    @as_json_option
    @click.pass_context
    @connected
    def resume(connection: Connection, context: click.Context, name: str, as_json: bool) -> int:
        with connection.as_user() as client:
            mine = [one for one in list_tenants(client) if name in {one["id"], one["name"]}]
            found = choose(mine, name) if mine else None
            if found is not None and found["state"] == "suspended":
                return _show(_done(client, found["id"], "POST", "resume"), as_json=as_json)
        context.invoke(paused, name=name, as_json=as_json)
        return 0


def _plain(verb: str, words: str, find: Find) -> click.Command:
    @click.command(verb, help=words)
    @tenant_argument
    @as_json_option
    @connected
    def command(connection: Connection, tenant: str, as_json: bool) -> int:
        with connection.as_user() as client:
            return _show(_done(client, find(client, tenant), "POST", verb), as_json=as_json)

    return command


def _add_delete(group: click.Group, find: Find) -> None:
    @group.command(help="Close a tenant, to be erased when its grace is over.")
    @tenant_argument
    @click.option("--yes", is_flag=True, help="Do not ask.")
    @as_json_option
    @connected
    def delete(connection: Connection, tenant: str, yes: bool, as_json: bool) -> int:
        with connection.as_user() as client:
            tenant_id = find(client, tenant)
            if not yes and not click.confirm(
                f"Delete {tenant}? It can be taken back until its grace is over", err=True
            ):
                raise CommandFailed("nothing was deleted")
            return _show(_done(client, tenant_id, "DELETE", None), as_json=as_json)


def _add_export(group: click.Group, find: Find) -> None:
    @group.command(help="Write all of a tenant into one archive, and download it with --output.")
    @tenant_argument
    @click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="The file to write.")
    @as_json_option
    @connected
    def export(connection: Connection, tenant: str, output: Path | None, as_json: bool) -> int:
        if output is not None and output.exists():
            raise CommandFailed(f"{output} is there already")
        with connection.as_user() as client:
            tenant_id = find(client, tenant)
            job = _done(client, tenant_id, "POST", "export")
            if output is not None and job["state"] == "succeeded":
                with client.within(tenant_id) as inside, output.open("xb") as file:
                    size = inside.download(f"{PATH}/{tenant_id}/archives/{job['id']}/content", file)
                note(f"{output}: {size} bytes")
            return _show(job, as_json=as_json)


def _add_restore(group: click.Group, find: Find) -> None:
    @group.command(help="Replace a tenant's data by an archive's: one of its own, or a file that is brought.")
    @tenant_argument
    @click.option("--archive", "archive_id", type=click.UUID, help="An archive that the tenant has.")
    @click.option("--file", "path", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A file.")
    @as_json_option
    @connected
    def restore(
        connection: Connection, tenant: str, archive_id: uuid.UUID | None, path: Path | None, as_json: bool
    ) -> int:
        if (archive_id is None) == (path is None):
            raise click.UsageError("give either --archive or --file")
        with connection.as_user() as client:
            tenant_id = find(client, tenant)
            chosen: Any = archive_id
            if path is not None:
                with client.within(tenant_id) as inside, path.open("rb") as file:
                    chosen = inside.upload(f"{PATH}/{tenant_id}/archives", file)["id"]
            return _show(_done(client, tenant_id, "POST", "restore", {"archive_id": str(chosen)}), as_json=as_json)


def _add_change_tier(group: click.Group, find: Find) -> None:
    @group.command("change-tier", help="Move a pooled tenant into a database of its own.")
    @tenant_argument
    @click.option("--tier", type=click.Choice(["dedicated"]), default="dedicated", show_default=True, help="Where to.")
    @as_json_option
    @connected
    def change_tier(connection: Connection, tenant: str, tier: str, as_json: bool) -> int:
        with connection.as_user() as client:
            return _show(_done(client, find(client, tenant), "POST", "change-tier", {"tier": tier}), as_json=as_json)


def _done(client: Client, tenant_id: str, method: str, verb: str | None, body: Any = None) -> Any:
    """Ask for it and follow the job to its end."""
    with client.within(tenant_id) as inside:
        path = f"{PATH}/{tenant_id}" if verb is None else f"{PATH}/{tenant_id}/{verb}"
        job: Any = inside.send(method, path, body=body, headers={"Idempotency-Key": str(uuid.uuid4())}).body
        return following.show(following.follow(inside, job["id"]))


def _show(job: Any, *, as_json: bool) -> int:
    if as_json:
        print_json(job)
    else:
        print_details({**(job["result"] or {}), **({"error": job["error"]} if job["error"] else {})})
    return 0 if job["state"] == "succeeded" else 1
