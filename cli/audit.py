"""`nexus audit`: who changed what, and whether the record of it still holds."""

from __future__ import annotations

import re
import sys
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from cli import watch as following
from cli.client import Client
from cli.credentials import Connection, connected
from cli.errors import CommandFailed
from cli.keys import operators_client
from cli.output import clean, print_details, print_json, print_table
from domain.audit import files

TENANT, PLATFORM = "/api/v1/audit", "/api/v1/admin/audit"
COLUMNS = ("occurred_at", "actor", "action", "resource", "address", "sequence")
PIECE = 5000
"""Entries that one request verifies."""
PAGE = 200

_HEAD = re.compile(r"[0-9]{1,15}:[0-9a-f]{64}")

platform_option = click.option(
    "--platform", is_flag=True, help="The platform's own: logins and what operators do. For operators."
)


@click.group(
    epilog="""\b
Examples:
  nexus audit list --action api_key.created
  nexus audit list --limit 1000 --json | jq -r '[.occurred_at, .actor, .action] | @tsv'
  nexus audit verify
  nexus audit verify --head 1204:5c1f…
  nexus audit verify --platform
  nexus audit export --output audit.ndjson
  nexus audit export --platform --output platform.ndjson
  nexus audit verify audit.ndjson --head 1204:5c1f…   without the platform
"""
)
def audit() -> None:
    """List who changed what; verify that the record was not tampered with."""


@audit.command("list")
@click.option("--actor", metavar="user:ID|key:ID|…", help="Only what this one did.")
@click.option("--action", metavar="NAME", help="Only this, as role.updated.")
@click.option("--resource", metavar="TYPE:ID", help="Only what happened to this one.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="The newest so many.")
@platform_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document per line for scripts.")
@connected
def list_entries(connection: Connection, limit: int, platform: bool, as_json: bool, **filters: str | None) -> None:
    """List entries, the newest first."""
    path, left, cursor, rows = PLATFORM if platform else TENANT, limit, None, []
    with _client(connection) as client:
        while left > 0:
            found = client.get(path, limit=min(left, PAGE), cursor=cursor, **filters)
            for entry in found["items"]:
                if as_json:
                    print_json(entry)
                else:
                    rows.append([entry[name] for name in COLUMNS])
            left, cursor = left - len(found["items"]), found["next_cursor"]
            if cursor is None:
                break
    if not as_json:
        print_table(COLUMNS, rows)


@audit.command()
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--head", metavar="SEQUENCE:HASH", help="One that an earlier run printed: the chain must still hold it.")
@platform_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
@connected
def verify(connection: Connection, file: Path | None, head: str | None, platform: bool, as_json: bool) -> int:
    """Verify the whole chain of entries: the platform's, or that in FILE, an export, for which no platform is asked.

    Exit code 1 if anything was altered, removed or put elsewhere.
    """
    if head is not None and not _HEAD.fullmatch(head):
        raise click.BadParameter("is SEQUENCE:HASH, as an earlier run printed it", param_hint="--head")
    if file is not None and platform:
        raise click.UsageError("a file says itself whose chain it holds; leave --platform out")
    if file is not None:
        verdict = _verify_file(file, head)
    else:
        with _client(connection) as client:
            verdict = _verify(client, PLATFORM if platform else TENANT, head)
    if as_json:
        print_json(verdict)
    else:
        for fault in verdict["faults"]:
            place = "" if fault["sequence"] is None else f" at {fault['sequence']}"
            click.echo(clean(f"{fault['code']}{place}: {fault['detail']}"))
        click.echo(f"verified {verdict['checked']} entries, head {verdict['head']}")
    return 0 if verdict["ok"] else 1


@audit.command()
@click.option("--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The file to write.")
@platform_option
@connected
def export(connection: Connection, output: Path, platform: bool) -> int:
    """Write a whole chain into a file that anybody can verify."""
    if output.exists():
        raise CommandFailed(f"{output} is there already")
    with _client(connection) as client:
        exports = f"{PLATFORM if platform else TENANT}/exports"
        job = client.post(exports, idempotency_key=str(uuid.uuid4()))
        follower = operators_client(client) if platform else client
        job = following.show(following.follow(follower, job["id"]))
        if job["state"] == "succeeded":
            with output.open("xb") as file:
                client.download(f"{exports}/{job['id']}", file)
        print_details(job["result"] or job["error"] or {"state": job["state"]})
    return 0 if job["state"] == "succeeded" else 1


def _verify_file(path: Path, head: str | None) -> dict[str, Any]:
    """What an export is found to be. Raises `BadParameter` for a file that is none."""
    try:
        with path.open(encoding="utf-8") as lines:
            reading = files.begin(lines.readline())
            found = list(files.verify(reading, lines, None if head is None else files.parse_link(head)))
    except (files.NoAuditFile, UnicodeDecodeError) as error:
        raise click.BadParameter(str(error), param_hint="FILE") from None
    faults = [{**asdict(each), "entry_id": None if each.entry_id is None else str(each.entry_id)} for each in found]
    last = files.written(reading.last)
    return {"ok": not faults, "checked": reading.checked, "head": last, "waiting": 0, "faults": faults}


def _verify(client: Client, path: str, head: str | None) -> dict[str, Any]:
    """The pieces' verdicts as one."""
    checked, after, faults = 0, 0, []
    with click.progressbar(length=0, label="verifying", file=sys.stderr) as bar:
        while True:
            piece: dict[str, Any] = client.get(f"{path}/verify", after=after, limit=PIECE, head=head)
            checked += piece["checked"]
            faults += piece["faults"]
            bar.length = checked + piece["waiting"]
            bar.update(piece["checked"])
            if piece["next"] is None:
                break
            after = piece["next"]
    return {"ok": not faults, "checked": checked, "head": piece["head"], "waiting": piece["waiting"], "faults": faults}


def _client(connection: Connection) -> Client:
    """In the name of the user who logged in, with the tenant that was chosen then."""
    login = connection.login()
    return connection.as_user(None if login is None else login.tenant_id)
