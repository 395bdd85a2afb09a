"""`nexus schedules`: jobs that are submitted again and again."""

from __future__ import annotations

import re
import uuid
from typing import Any

import click

from cli.credentials import Connection, connected
from cli.options import as_json_option, read_payload
from cli.output import note, print_details, print_json, print_table

PATH = "/api/v1/schedules"
LIST_COLUMNS = ("id", "name", "kind", "cron", "timezone", "next_at", "disabled_reason")


@click.group(
    epilog="""\b
Examples:
  nexus schedules create "morning ping" system.ping "30 7 * * MON-FRI" --timezone Europe/Berlin
  nexus schedules create hourly search.query @hourly --payload @query.json --missed all
  nexus schedules preview "0 9 * * MON-FRI" --timezone America/New_York
  nexus schedules pause 0198f0aa-0000-7000-8000-000000000001
"""
)
def schedules() -> None:
    """Create, list, show, preview, run, pause, resume and delete schedules."""


@schedules.command(
    epilog="""\b
CRON is minute, hour, day of the month, month and day of the week, or @hourly, @daily, @weekly, @monthly, @yearly.
The payload is JSON, @file, or - for standard input.
"""
)
@click.argument("name")
@click.argument("kind")
@click.argument("cron")
@click.option("--payload", default="{}", metavar="JSON|@FILE|-", help="What the jobs work on.")
@click.option("--timezone", default="UTC", show_default=True, metavar="ZONE", help="Whose wall clock counts.")
@click.option(
    "--missed", type=click.Choice(["skip", "last", "all"]), help="What to do about periods missed in an outage."
)
@click.option("--priority", type=click.IntRange(-100, 100), help="Of the jobs; higher runs first.")
@as_json_option
@connected
def create(
    connection: Connection,
    name: str,
    kind: str,
    cron: str,
    payload: str,
    timezone: str,
    missed: str | None,
    priority: int | None,
    as_json: bool,
) -> None:
    """Create the schedule NAME, which submits jobs of KIND whenever CRON fires."""
    body: dict[str, Any] = {
        "name": name, "kind": kind, "cron": cron, "timezone": timezone, "payload": read_payload(payload),
    }  # fmt: skip
    body |= {key: value for key, value in {"missed": missed, "priority": priority}.items() if value is not None}
    with connection.as_tenant() as client:
        _print(client.post(PATH, body, idempotency_key=str(uuid.uuid4())), as_json)


@schedules.command("list")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="Schedules per page.")
@click.option("--cursor", help="The next page, as the last one named it.")
@as_json_option
@connected
def list_schedules(connection: Connection, limit: int, cursor: str | None, as_json: bool) -> None:
    """List schedules, the newest first."""
    with connection.as_tenant() as client:
        page = client.get(PATH, limit=limit, cursor=cursor)
    if as_json:
        print_json(page)
        return
    print_table(LIST_COLUMNS, [[schedule[column] for column in LIST_COLUMNS] for schedule in page["items"]])
    if page["next_cursor"] is not None:
        note(f"more: --cursor {page['next_cursor']}")


@schedules.command()
@click.argument("schedule_id")
@as_json_option
@connected
def show(connection: Connection, schedule_id: str, as_json: bool) -> None:
    """Show a schedule with its payload and its next firings."""
    with connection.as_tenant() as client:
        _print(client.get(_path(schedule_id)), as_json)


@schedules.command()
@click.argument("cron")
@click.option("--timezone", default="UTC", show_default=True, metavar="ZONE", help="Whose wall clock counts.")
@click.option("--count", type=click.IntRange(1, 50), default=5, show_default=True, help="How many firings.")
@as_json_option
@connected
def preview(connection: Connection, cron: str, timezone: str, count: int, as_json: bool) -> None:
    """Show when CRON would fire next."""
    body = {"cron": cron, "timezone": timezone, "count": count}
    with connection.as_tenant() as client:
        found = client.post(f"{PATH}/preview", body)
    if as_json:
        print_json(found)
    else:
        print_table(("at", "local"), [[firing["at"], firing["local"]] for firing in found["items"]])


@schedules.command()
@click.argument("schedule_id")
@as_json_option
@connected
def run(connection: Connection, schedule_id: str, as_json: bool) -> None:
    """Submit a schedule's job now; its periods stay as they are."""
    with connection.as_tenant() as client:
        job = client.post(f"{_path(schedule_id)}/run", idempotency_key=str(uuid.uuid4()))
    _print(job, as_json)


@schedules.command()
@click.argument("schedule_id")
@as_json_option
@connected
def pause(connection: Connection, schedule_id: str, as_json: bool) -> None:
    """Let a schedule rest; nothing makes up for the pause."""
    with connection.as_tenant() as client:
        _print(client.post(f"{_path(schedule_id)}/pause"), as_json)


@schedules.command()
@click.argument("schedule_id")
@as_json_option
@connected
def resume(connection: Connection, schedule_id: str, as_json: bool) -> None:
    """Set a resting schedule going again, in your name."""
    with connection.as_tenant() as client:
        _print(client.post(f"{_path(schedule_id)}/resume"), as_json)


@schedules.command()
@click.argument("schedule_id")
@connected
def delete(connection: Connection, schedule_id: str) -> None:
    """Delete a schedule; jobs that it has submitted stay."""
    with connection.as_tenant() as client:
        client.send("DELETE", _path(schedule_id))


def _path(schedule_id: str) -> str:
    """The schedule's path. An id that is none must not lead to another route."""
    if not re.fullmatch(r"[0-9A-Fa-f-]{1,64}", schedule_id):
        raise click.UsageError(f"{schedule_id!r} is no schedule id")
    return f"{PATH}/{schedule_id}"


def _print(shown: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(shown)
    else:
        print_details({name: value for name, value in shown.items() if name != "links" and value is not None})
