"""`nexus workers`: who works, and on what. For operators."""

from __future__ import annotations

from typing import Any

import click

from cli.credentials import Connection, connected
from cli.output import print_json, print_table
from cli.pauses import PATH, as_json_option

COLUMNS = ("name", "queues", "slots", "running", "heartbeat_s", "last_claim_at", "state")
JOB_COLUMNS = ("worker", "job", "tenant", "kind", "attempt", "started_at", "progress")


@click.command(
    epilog="""\b
Examples:
  nexus workers
  nexus workers --jobs
  nexus workers --json | jq -r '.items[] | select(.stopping) | .name'
"""
)
@click.option("--jobs", "with_jobs", is_flag=True, help="What they run now, the oldest 20 of each.")
@as_json_option
@connected
def workers(connection: Connection, with_jobs: bool, as_json: bool) -> None:
    """List the workers, or with --jobs what they run."""
    with connection.as_user() as client:
        found = client.get(f"{PATH}/workers")
    if as_json:
        print_json(found)
    elif with_jobs:
        print_table(JOB_COLUMNS, [_job(worker, job) for worker in found["items"] for job in worker["jobs"]])
    else:
        print_table(COLUMNS, [_worker(worker) for worker in found["items"]])


def _worker(worker: Any) -> list[Any]:
    return [
        worker["name"],
        ",".join(worker["queues"]),
        worker["slots"],
        worker["running"],
        f"{worker['heartbeat_age_seconds']:.1f}",
        worker["last_claim_at"],
        "stopping" if worker["stopping"] else "active",
    ]


def _job(worker: Any, job: Any) -> list[Any]:
    progress = job["progress"]
    shown = "" if progress is None else f"{progress['done']}/{progress['total'] or '?'} {progress['message']}".strip()
    return [worker["name"], job["id"], job["tenant_id"], job["kind"], job["attempt"], job["started_at"], shown]
