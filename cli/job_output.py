"""How the commands about jobs show them, and where the API has them."""

from __future__ import annotations

import re
from typing import Any

import click

from cli import watch as following
from cli.client import Client
from cli.output import print_details, print_json

PATH = "/api/v1/jobs"


def path_of(job_id: str) -> str:
    """The job's path. An id that is none must not lead to another route."""
    if not re.fullmatch(r"[0-9A-Za-z-]{1,64}", job_id):
        raise click.UsageError(f"{job_id!r} is no job id")
    return f"{PATH}/{job_id}"


def follow(client: Client, job_id: str, as_json: bool) -> int:
    """Follow a job to its end and print it; returns the exit code."""
    job = following.show(following.follow(client, job_id), as_json=as_json)
    if not as_json:
        print_job(job, as_json=False)
    return 0 if job["state"] == "succeeded" else 1


def print_job(job: dict[str, Any] | following.Job, as_json: bool) -> None:
    """A job, without what a person does not need."""
    if as_json:
        print_json(job)
    else:
        print_details({name: value for name, value in job.items() if name != "links" and value is not None})


def row_of(job: following.Job) -> list[Any]:
    """A job in a list."""
    progress, error = job["progress"], job["error"]
    done = "" if progress is None else f"{progress['done']}/{progress['total'] or '?'}"
    attempt = f"{job['attempt']}/{job['max_attempts']}"
    return [
        job["id"], job["kind"], job["state"], attempt, done, job["created_at"], "" if error is None else error["code"],
    ]  # fmt: skip
