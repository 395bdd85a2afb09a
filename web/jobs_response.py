"""Answering with a job: 202 and where to look, or the finished job for a client that waits a little."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response, current_app

from jobs.rows import JobRow, is_finished, public, state_of
from jobs.submit import NewJob, Submitted
from tenancy.vault import Vault
from web import tracing
from web.context import principal, tenancy, watcher
from web.etags import with_etag
from web.idempotency import request_idempotency_key
from web.preferences import preferences, wait_seconds
from web.schemas.jobs import JobSchema

POLL_SECONDS = 1
"""`Retry-After` of a 202: most jobs are done by then."""

_SCHEMA = JobSchema()


def new_job(kind: str, payload: Mapping[str, Any], **options: Any) -> NewJob:
    """A submission by this request's principal, with its idempotency key, request id and trace.

    `options` are the other fields of `NewJob`. Raises `InvalidPayload` for a malformed idempotency key.
    """
    return NewJob(
        kind=kind,
        payload=payload,
        principal=principal(),
        idempotency_key=request_idempotency_key(),
        request_id=tracing.request_id(),
        traceparent=tracing.traceparent(),
        **options,
    )


def accepted(submitted: Submitted, **beside: Any) -> Response:
    """202 with the job and its address, or 200 with the finished job if it ends within the time that the client waits.

    What stands `beside` is told with the job. A repeated submission answers with the first one's job, as it is by now.
    Raises `InvalidPayload` for a wait that is out of bounds.
    """
    seconds = wait_seconds()
    row = submitted.row
    if seconds and not is_finished(row):
        row = watcher().wait_finished(row["tenant_id"], row["id"], seconds)
    finished = is_finished(row)
    response = job_response(row, 200 if seconds and finished else 202, **beside)
    if not finished:
        response.headers["Retry-After"] = str(POLL_SECONDS)
    if "wait" in preferences() and seconds:
        response.headers["Preference-Applied"] = f"wait={seconds}"
    if not (submitted.created or submitted.replaced):
        response.headers["Idempotency-Replayed"] = "true"
    return response


def job_response(row: JobRow, status: int = 200, **beside: Any) -> Response:
    """The job with its address and entity tag."""
    body = job_body(row, tenancy().vault(row["tenant_id"])) | beside
    response = Response(current_app.json.dumps(body), status=status, mimetype="application/json")
    response.headers["Location"] = address(row)
    return with_etag(response, row["version"], state_of(row).value)


def job_view(row: JobRow, vault: Vault) -> dict[str, Any]:
    """What `JobSchema` dumps for a job: its public columns, opened, and links. Needs no request."""
    here = address(row)
    links = {"self": here, "events": f"{here}/events", "cancel": f"{here}/cancel"}
    return {**public(row, vault), "links": links}


def job_body(row: JobRow, vault: Vault) -> dict[str, Any]:
    """The job as plain JSON, in the form of `JobSchema`. Needs no request, so that streams can use it."""
    body: dict[str, Any] = _SCHEMA.dump(job_view(row, vault))
    return body


def address(row: JobRow) -> str:
    """The path of a job."""
    return f"/api/v1/jobs/{row['id']}"
