"""`nexus jobs`: everything a client can do with jobs."""

from __future__ import annotations

from typing import Any

import click

from cli.credentials import Connection, connected
from cli.job_files import submit_file
from cli.job_output import PATH, follow, path_of, print_job, row_of
from cli.job_replays import replay_found
from cli.options import as_json_option, read_payload, read_time
from cli.output import note, print_json, print_table

LIST_COLUMNS = ("id", "kind", "state", "attempt", "progress", "created_at", "error")
STATES = ("scheduled", "queued", "running", "retrying", "succeeded", "failed", "cancelled")


@click.group(
    epilog="""\b
Examples:
  nexus jobs submit system.ping --payload '{"seconds": 10}' --wait
  nexus jobs submit notification.deliver --payload @message.json --run-at +10m
  echo '{"messages": [{"role": "user", "content": "Hi"}]}' | nexus jobs submit completion.create --payload -
  nexus jobs submit --file jobs.ndjson --idempotency-key import-7
  nexus jobs list --state failed
  nexus jobs replay --failed --kind notification.deliver
  nexus jobs watch 0198f0aa-0000-7000-8000-000000000001
"""
)
def jobs() -> None:
    """Submit, list, show, watch, cancel and replay jobs."""


@jobs.command(
    epilog="""\b
The payload is JSON, @file, or - for standard input. --run-at takes 2026-11-30T08:00:00Z, or +90s, +10m, +2h, +1d.
With --wait the exit code tells the end: 0 succeeded, 1 failed or cancelled.
--file submits many: each line is a job, as {"kind": "system.ping", "payload": {}}; KIND is for lines without one.
"""
)
@click.argument("kind", required=False)
@click.option("--payload", metavar="JSON|@FILE|-", help="What the job works on.  [default: {}]")
@click.option("--file", metavar="FILE|-", help="Many jobs, one JSON object in each line.")
@click.option("--run-at", metavar="TIME", help="Not before then.")
@click.option("--priority", type=click.IntRange(-100, 100), help="Higher runs first.")
@click.option("--unique-key", metavar="KEY", help="Refused while a live job of this kind holds the key.")
@click.option("--replace", is_flag=True, help="Replace the job that holds the key, if it has not begun.")
@click.option("--parent", "parent_id", metavar="ID", help="A live job that this one belongs to.")
@click.option("--after", multiple=True, metavar="ID", help="A job that must finish first. May be given again.")
@click.option("--after-policy", type=click.Choice(["all_succeeded", "all_finished"]), help="What they must come to.")
@click.option("--webhook-endpoint", "webhook_endpoint_id", metavar="ID", help="An endpoint that hears of its end.")
@click.option("--idempotency-key", metavar="KEY", help="Submitting again with this key answers with the first job.")
@click.option("--wait", is_flag=True, help="Follow the job to its end.")
@as_json_option
@connected
def submit(
    connection: Connection,
    kind: str | None,
    payload: str | None,
    file: str | None,
    run_at: str | None,
    replace: bool,
    after: tuple[str, ...],
    idempotency_key: str | None,
    wait: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Submit a job of KIND, or the jobs of a file."""
    optional = {
        **options,
        "run_at": read_time(run_at),
        "after": list(after) or None,
        "on_conflict": "replace" if replace else None,
    }
    given = {name: value for name, value in optional.items() if value is not None}
    if file is not None:
        if payload is not None or given or wait:
            raise click.UsageError(
                "--file goes with KIND, --idempotency-key and --json only; the rest stands in its lines"
            )
        with connection.as_tenant() as client:
            return submit_file(client, file, kind, idempotency_key, as_json=as_json)
    if kind is None:
        raise click.UsageError("Missing argument 'KIND', or --file.")
    body = {"kind": kind, "payload": read_payload(payload or "{}"), **given}
    with connection.as_tenant() as client:
        job = client.post(PATH, body, idempotency_key=idempotency_key)
        if wait:
            return follow(client, job["id"], as_json)
    print_job(job, as_json)
    return 0


@jobs.command("list")
@click.option("--state", type=click.Choice(STATES))
@click.option("--kind")
@click.option("--queue")
@click.option("--parent", "parent_id", metavar="ID", help="Children of this job.")
@click.option("--since", metavar="TIME", help="Created then or later.")
@click.option("--until", metavar="TIME", help="Created then or earlier.")
@click.option("--oldest-first", is_flag=True)
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="Jobs per page.")
@click.option("--cursor", help="The next page, as the last one named it.")
@click.option("--all", "every", is_flag=True, help="All pages.")
@as_json_option
@connected
def list_jobs(
    connection: Connection,
    since: str | None,
    until: str | None,
    oldest_first: bool,
    every: bool,
    as_json: bool,
    **filters: Any,
) -> None:
    """List jobs, the newest first."""
    filters |= {"created_at[gte]": read_time(since), "created_at[lte]": read_time(until)}
    filters["sort"] = "created_at" if oldest_first else "-created_at"
    with connection.as_tenant() as client:
        page = client.get(PATH, **filters)
        items, cursor = page["items"], page["next_cursor"]
        while every and cursor is not None:
            page = client.get(PATH, **{**filters, "cursor": cursor})
            items, cursor = items + page["items"], page["next_cursor"]
    if as_json:
        print_json({"items": items, "next_cursor": cursor})
        return
    print_table(LIST_COLUMNS, [row_of(job) for job in items])
    if cursor is not None:
        note(f"more: --cursor {cursor}")


@jobs.command()
@click.argument("job_id")
@as_json_option
@connected
def show(connection: Connection, job_id: str, as_json: bool) -> None:
    """Show a job."""
    with connection.as_tenant() as client:
        print_job(client.get(path_of(job_id)), as_json)


@jobs.command()
@click.argument("job_id")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line for each change.")
@connected
def watch(connection: Connection, job_id: str, as_json: bool) -> int:
    """Follow a job to its end. Exits with 0 if it succeeded, 1 if it failed or was cancelled."""
    path_of(job_id)
    with connection.as_tenant() as client:
        return follow(client, job_id, as_json)


@jobs.command()
@click.argument("job_id")
@as_json_option
@connected
def cancel(connection: Connection, job_id: str, as_json: bool) -> None:
    """Cancel a job and its children.

    A job that waits is cancelled at once, one that runs within seconds.
    """
    with connection.as_tenant() as client:
        print_job(client.post(f"{path_of(job_id)}/cancel"), as_json)


@jobs.command(
    epilog="""\b
Without JOB_ID, --failed or --cancelled and the filters choose: what they find is counted first, and replayed after a
yes. A job that was replayed is not found again. The exit code is 1 if a replay was refused.
"""
)
@click.argument("job_id", required=False)
@click.option("--wait", is_flag=True, help="Follow the new job to its end.")
@click.option("--failed", "state", flag_value="failed", help="Replay jobs that failed.")
@click.option("--cancelled", "state", flag_value="cancelled", help="Replay jobs that were cancelled.")
@click.option("--kind", help="Only of this kind.")
@click.option("--queue", help="Only of this queue.")
@click.option("--error-code", metavar="CODE", help="Only with this error.")
@click.option("--since", "finished_from", metavar="TIME", help="Finished then or later.")
@click.option("--until", "finished_to", metavar="TIME", help="Finished then or earlier.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json_option
@connected
def replay(
    connection: Connection,
    job_id: str | None,
    wait: bool,
    state: str | None,
    finished_from: str | None,
    finished_to: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    **filters: str | None,
) -> int:
    """Submit failed or cancelled jobs again, as new jobs.

    JOB_ID, or all that a filter finds.
    """
    times = {"finished_from": read_time(finished_from), "finished_to": read_time(finished_to)}
    chosen = {name: value for name, value in {"state": state, **filters, **times}.items() if value is not None}
    if (job_id is None) == (state is None) or (job_id is not None and (chosen or dry_run or yes)):
        raise click.UsageError("Give either JOB_ID, or --failed or --cancelled with filters.")
    with connection.as_tenant() as client:
        if job_id is None:
            if wait:
                raise click.UsageError("--wait follows one job: give JOB_ID.")
            return replay_found(client, chosen, dry_run=dry_run, yes=yes, as_json=as_json)
        job = client.post(f"{path_of(job_id)}/replay")
        if wait:
            return follow(client, job["id"], as_json)
    print_job(job, as_json)
    return 0
