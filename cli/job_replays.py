"""Replaying what a filter finds: count, ask, and go on until nothing is left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from cli.client import Client
from cli.output import note, print_json, print_table

PATH = "/api/v1/jobs/replay"


def replay_found(client: Client, chosen: Mapping[str, Any], *, dry_run: bool, yes: bool, as_json: bool) -> int:
    """Show how many jobs the filter `chosen` finds and replay them all, after a yes unless `yes` is given.

    Returns the exit code: 1 if a replay was refused. With `as_json`, a line for the count and one for each job.
    """
    preview = client.post(PATH, {"filter": dict(chosen), "dry_run": True})
    found = {"found": preview["found"], "kinds": preview["kinds"]}
    if as_json:
        print_json(found)
    else:
        print_table(("kind", "jobs"), [*preview["kinds"].items(), ("all", preview["found"])])
    if dry_run or not preview["found"]:
        return 0
    if not yes:
        click.confirm(f"Replay {preview['found']} jobs?", abort=True, err=True)
    replayed = refused = 0
    while True:
        done = client.post(PATH, {"filter": dict(chosen)})
        for item in done["items"]:
            _tell(item, as_json=as_json)
        replayed += done["replayed"]
        refused += len(done["items"]) - done["replayed"]
        # Refused ones are found again: when a round replays nothing new, what is left cannot be replayed.
        if not done["replayed"] or done["found"] <= len(done["items"]):
            break
    note(f"{replayed} replayed, {refused} refused")
    return 1 if refused else 0


def _tell(item: Mapping[str, Any], *, as_json: bool) -> None:
    job, error = item["job"], item["error"]
    if as_json:
        print_json({"replay_of": item["replay_of"], "id": job and job["id"], "code": error and error["code"]})
    elif error is not None:
        note(f"{item['replay_of']}: {error['code']}: {error['detail']}")
