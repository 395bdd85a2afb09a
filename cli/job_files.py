"""Submitting a file of jobs: newline-delimited JSON in, requests of bounded size out, progress while it goes on."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import click

from cli.client import Client
from cli.output import note, print_json

PATH = "/api/v1/jobs/bulk"
ITEMS, BYTES = 1_000, 900_000
"""What one request holds: the API's limit of items, and somewhat less than its usual limit of bytes."""


@dataclass(frozen=True, slots=True)
class Line:
    """One job of the file, and the number of its line (from 1)."""

    number: int
    item: dict[str, Any]
    size: int


class Advance(Protocol):
    """Tells how many more jobs were answered."""

    def __call__(self, jobs: int) -> None: ...


def submit_file(client: Client, path: str, kind: str | None, key: str | None, *, as_json: bool) -> int:
    """Submit the jobs of a file (`-`: standard input), `kind` being that of lines without one.

    Each line is read before anything is sent. With an idempotency `key`, the same file can be submitted again. Returns the
    exit code: 0 if all were accepted, 1 if any was refused. Raises `click.UsageError` for a file that cannot be read.
    """
    lines = read_lines(path, kind)
    refused = 0
    with _progress(len(lines)) as advance:
        for number, batch in enumerate(batches(lines)):
            body = {"items": [line.item for line in batch]}
            results = client.post(PATH, body, idempotency_key=None if key is None else f"{key}:{number}")["items"]
            for line, result in zip(batch, results, strict=True):
                refused += result["job"] is None
                _tell(line, result, as_json=as_json)
            advance(len(batch))
    note(f"{len(lines) - refused} accepted, {refused} refused")
    return 1 if refused else 0


def read_lines(path: str, kind: str | None) -> list[Line]:
    """The jobs of the file, empty lines left out. Raises `click.UsageError` with the number of a line that is no job."""
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"--file: {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise click.UsageError(f"--file: {path} is not UTF-8") from None
    lines = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise click.UsageError(f"--file: line {number} is not JSON: {error}") from None
        if not isinstance(item, dict):
            raise click.UsageError(f'--file: line {number} must be an object, as {{"kind": "system.ping"}}')
        if kind is not None:
            item.setdefault("kind", kind)
        lines.append(Line(number, item, len(json.dumps(item)) + 1))
    if not lines:
        raise click.UsageError(f"--file: {path} holds no jobs")
    return lines


def batches(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """The lines in order, as many together as one request holds. A line that is too large goes alone, to be refused."""
    batch: list[Line] = []
    size = 0
    for line in lines:
        if batch and (len(batch) == ITEMS or size + line.size > BYTES):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += line.size
    if batch:
        yield batch


@contextmanager
def _progress(total: int) -> Iterator[Advance]:
    """A bar on standard error while a person looks on; nothing for scripts."""
    if not sys.stderr.isatty():
        yield lambda jobs: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("submitting", total=total)
        yield lambda jobs: progress.advance(task, jobs)


def _tell(line: Line, result: dict[str, Any], *, as_json: bool) -> None:
    job, error = result["job"], result["error"]
    if as_json:
        told = {
            "line": line.number,
            "status": result["status"],
            "id": job and job["id"],
            "code": error and error["code"],
        }
        print_json(told)
    elif error is not None:
        faults = "; ".join(f"{fault['pointer']} {fault['detail']}" for fault in error["errors"])
        note(f"line {line.number}: {error['code']}: {error['detail']} {faults}".rstrip())
    else:
        click.echo(job["id"])
