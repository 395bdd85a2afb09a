"""Following a job: server-sent events that resume where they broke off, or long polls where nothing streams."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import click

from cli.client import Client, NoEventStream
from cli.errors import Problem, TimedOut, Unreachable
from cli.output import clean, print_json

Job = Mapping[str, Any]

FINISHED = frozenset({"succeeded", "failed", "cancelled"})
STREAM_FAILURES = 3
"""So many broken streams without an event between them, and long polls take over."""
POLL_SECONDS = 5
OUTAGE_SECONDS = 60.0
"""How long a server may be away, as while it is restarted, before following gives up."""
PAUSE_SECONDS = 0.5


def is_finished(job: Job) -> bool:
    """Whether the job will not change any more."""
    return job["state"] in FINISHED


def follow(client: Client, job_id: str, *, outage_seconds: float = OUTAGE_SECONDS) -> Iterator[Job]:
    """The job as it is, and again at each change, until it has finished.

    Raises `Problem` if the job cannot be read, `Unreachable` after an outage, `TimedOut` at the client's deadline.
    """
    last_event_id, failures = None, 0
    while failures < STREAM_FAILURES:
        try:
            with client.events(f"/api/v1/jobs/{job_id}/events", last_event_id) as events:
                for event in events:
                    if event.event != "job":
                        continue
                    last_event_id, failures = event.id or last_event_id, 0
                    job: Any = event.json()
                    yield job
                    if is_finished(job):
                        return
        except NoEventStream:
            break
        except Problem as problem:
            if _lacks_streams(problem):
                break
            if not _may_pass(problem):
                raise
        except Unreachable:
            pass  # counted below, and long polls say so if it lasts
        failures += 1
        time.sleep(PAUSE_SECONDS)
    yield from _poll(client, job_id, outage_seconds)


def last(jobs: Iterable[Job]) -> Job:
    """The job when it has finished."""
    seen = deque(jobs, maxlen=1)
    if not seen:
        raise TimedOut("The job said nothing.")
    return seen[0]


def show(jobs: Iterable[Job], *, as_json: bool = False) -> Job:
    """Show the job's way: a progress bar on a terminal, a line for each change elsewhere, or JSON lines. Its end."""
    if as_json:
        return last(_each(jobs, print_json))
    if not sys.stderr.isatty():
        return last(_each(jobs, lambda job: click.echo(describe(job), err=True)))
    return _bar(jobs)


def describe(job: Job) -> str:
    """The job's state and progress in a line."""
    progress = job.get("progress") or {}
    done, total = progress.get("done"), progress.get("total")
    count = "" if done is None else f" {done}" if total is None else f" {done}/{total}"
    message = clean(progress.get("message") or "").replace("\n", " ")
    return f"{job['kind']} {job['state']}{count} {message}".rstrip()


def _each(jobs: Iterable[Job], tell: Callable[[Job], None]) -> Iterator[Job]:
    for job in jobs:
        tell(job)
        yield job


def _bar(jobs: Iterable[Job]) -> Job:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("", total=None)

        def tell(job: Job) -> None:
            seen = job.get("progress") or {}
            total = seen.get("total") or (1 if is_finished(job) else None)
            done = total if job["state"] == "succeeded" else seen.get("done") or 0
            progress.update(bar, description=escape(describe(job)), total=total, completed=done)

        return last(_each(jobs, tell))


def _poll(client: Client, job_id: str, outage_seconds: float) -> Iterator[Job]:
    known: Job | None = None
    lost_at: float | None = None
    while True:
        asked_at = time.monotonic()
        try:
            # The first look does not wait: who follows wants to see the job as it is.
            job: Job = client.get(f"/api/v1/jobs/{job_id}", wait=None if known is None else POLL_SECONDS)
        except (Problem, Unreachable) as error:
            if isinstance(error, Problem) and not _may_pass(error):
                raise
            lost_at = lost_at or time.monotonic()
            if time.monotonic() - lost_at > outage_seconds:
                raise
            time.sleep(PAUSE_SECONDS)
            continue
        lost_at = None
        if job != known:
            yield job
        elif time.monotonic() - asked_at < PAUSE_SECONDS:
            time.sleep(PAUSE_SECONDS)  # the server does not wait for us
        if is_finished(job):
            return
        known = job


def _may_pass(problem: Problem) -> bool:
    return problem.status == 429 or problem.status >= 500


def _lacks_streams(problem: Problem) -> bool:
    return problem.code == "route_not_found" or problem.status in {405, 406, 501}
