"""Server-sent events: the wire format (HTML standard, section 9.2) and the stream of one job."""

from __future__ import annotations

import json
from collections.abc import Iterator
from time import monotonic

import structlog
from flask import Response, request

from domain.errors import NotFound
from jobs.rows import JobRow, is_finished
from jobs.watch import Watcher
from tenancy.vault import Vault
from web.errors import DATABASE_AWAY
from web.jobs_response import job_body

HEARTBEAT_SECONDS = 15.0
STREAM_SECONDS = 600.0
"""A stream ends after this long; the client comes again with `Last-Event-ID`, and its credentials are looked at anew."""

RETRY_MILLISECONDS = 1000

log = structlog.get_logger(__name__)


def last_event_id() -> int | None:
    """The version of the job that a returning client has seen; what is no version counts as none."""
    text = request.headers.get("Last-Event-ID", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def job_stream(watcher: Watcher, row: JobRow, vault: Vault, seen: int | None) -> Response:
    """Each change of the job as an event, until it has finished. 204 tells a client that has seen the end not to return."""
    if is_finished(row) and seen is not None and seen >= row["version"]:
        return Response(status=204)
    response = Response(_events(watcher, row, vault, seen), mimetype="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response


def event(name: str, data: str, event_id: int) -> str:
    """One event. `data` must be one line, as compact JSON is."""
    return f"id: {event_id}\nevent: {name}\ndata: {data}\n\n"


def _events(watcher: Watcher, row: JobRow, vault: Vault, seen: int | None) -> Iterator[str]:
    yield f"retry: {RETRY_MILLISECONDS}\n\n"
    ends = monotonic() + STREAM_SECONDS
    try:
        while True:
            if seen is None or row["version"] > seen:
                seen = row["version"]
                yield event("job", json.dumps(job_body(row, vault), separators=(",", ":")), row["version"])
                if is_finished(row):
                    return
            left = ends - monotonic()
            if left <= 0:
                return
            row = watcher.wait_changed(row, min(HEARTBEAT_SECONDS, left))
            if row["version"] == seen:
                yield ": heartbeat\n\n"
    except NotFound:
        return  # its retention ended
    except DATABASE_AWAY as error:
        # The answer has begun, so it can only end; the client returns and is told then.
        log.warning("stream.database_unreachable", job_id=str(row["id"]), error=type(error).__name__)
