"""Jobs: submit, list, read, follow, cancel, replay, and what kinds there are."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from flask import Response
from flask_smorest import Blueprint

from domain.jobs.times import is_past
from jobs import control, queries
from jobs.admission import admit
from jobs.bulk import Related, submit_related
from jobs.kinds import KINDS
from jobs.replacement import submit_or_replace
from jobs.rows import is_finished
from jobs.submit import submit, submitted_before
from web.auth import READABLE, can
from web.context import principal, tenancy, tenant_id, watcher
from web.idempotency import idempotent, request_idempotency_key
from web.job_submissions import check_endpoint, check_permission, plain_submission, submission_of
from web.jobs_response import accepted, job_response, job_view
from web.kind_schemas import describe
from web.pagination import Envelope, read_page
from web.preferences import wait_seconds
from web.schemas.base import page_schema
from web.schemas.jobs import JobCreateSchema, JobQuerySchema, JobSchema, KindListSchema
from web.sse import job_stream, last_event_id

blueprint = Blueprint("jobs", __name__, url_prefix="/jobs", description="Durable jobs: submit, follow, cancel, replay")

WAIT = {
    "name": "wait",
    "in": "query",
    "description": "Wait up to this many seconds for the job to finish.",
    "schema": {"type": "integer", "minimum": 0, "maximum": 30},
}


@blueprint.route("", methods=["POST"])
@can("job:create")
@blueprint.arguments(JobCreateSchema, example={"kind": "system.ping", "payload": {"message": "hello"}})
@blueprint.response(202, JobSchema, description="The job is durable; look at `Location` for its outcome.")
def submit_job(body: dict[str, Any]) -> Response:
    """Submit a job.

    Beside `job:create`, the permission of the kind is needed. With an `Idempotency-Key`, a repeated submission answers
    with the first one's job. A `run_at` more than a minute ago is refused, unless it repeats such a submission.
    """
    admit(principal(), body["kind"])
    check_endpoint(body["webhook_endpoint_id"])
    if body["on_conflict"] == "replace":
        return _replace(body)
    submission = submission_of(body, request_idempotency_key())
    new = submission.new if isinstance(submission, Related) else submission
    if is_past(new.run_at, datetime.now(UTC)):
        return accepted(submitted_before(tenancy(), new))
    if isinstance(submission, Related):
        return accepted(submit_related(tenancy(), submission))
    return accepted(submit(tenancy(), submission))


@blueprint.route("", methods=["GET"])
@can("job:read", states=READABLE)
@blueprint.arguments(JobQuerySchema, location="query")
@blueprint.response(200, page_schema(JobSchema))
def list_jobs(query: dict[str, Any]) -> tuple[Envelope[dict[str, Any]], dict[str, str]]:
    """List jobs."""
    page = read_page(query)
    filters = {
        "kind": query["kind"],
        "queue": query["queue"],
        "parent_id": query["parent_id"],
        "created_at[gte]": query["created_from"],
        "created_at[lte]": query["created_to"],
    }
    rows = queries.page(
        tenancy(),
        tenant_id(),
        state=query["state"],
        filters={name: value for name, value in filters.items() if value is not None},
        after=page.after,
        newest_first=page.newest_first,
        limit=page.fetch_limit,
    )
    found, headers = page.answer(rows)
    vault = tenancy().vault(tenant_id())
    return Envelope([job_view(row, vault) for row in found.items], found.next_cursor), headers


@blueprint.route("/kinds", methods=["GET"])
@can("job:read", states=READABLE)
@blueprint.response(200, KindListSchema)
def list_kinds() -> dict[str, Any]:
    """List the kinds of job that can be submitted, each with the JSON Schema of its payload."""
    return {"items": [describe(each) for each in KINDS.values() if each.permission is not None]}


@blueprint.route("/<uuid:job_id>", methods=["GET"], parameters=[WAIT])
@can("job:read", states=READABLE)
@blueprint.response(200, JobSchema)
def get_job(job_id: UUID) -> Response:
    """Read a job, at once or when it has finished."""
    seconds = wait_seconds()
    row = queries.get(tenancy(), tenant_id(), job_id)
    if seconds and not is_finished(row):
        row = watcher().wait_finished(tenant_id(), job_id, seconds)
    return job_response(row)


@blueprint.route("/<uuid:job_id>/events", methods=["GET"])
@can("job:read", states=READABLE)
@blueprint.response(
    200,
    {"type": "string"},
    content_type="text/event-stream",
    description="`event: job` with the job as data, at once and at each change, until it has finished.",
)
@blueprint.alt_response(204, description="The client has seen the last event: do not come again.")
def follow_job(job_id: UUID) -> Response:
    """Follow a job by server-sent events.

    The id of an event is the job's version; with `Last-Event-ID`, only what is newer comes. A comment comes every 15
    seconds while nothing changes, and a stream ends after ten minutes: come again then.
    """
    row = queries.get(tenancy(), tenant_id(), job_id)
    return job_stream(watcher(), row, tenancy().vault(tenant_id()), last_event_id())


@blueprint.route("/<uuid:job_id>/cancel", methods=["POST"])
@can("job:cancel", states=READABLE)
@blueprint.response(200, JobSchema)
def cancel_job(job_id: UUID) -> Response:
    """Cancel a job.

    A job that waits is cancelled at once. One that runs sees the request within seconds; `cancel_requested` is true
    until it has stopped.
    """
    return job_response(control.cancel(tenancy(), tenant_id(), job_id))


@blueprint.route("/<uuid:job_id>/replay", methods=["POST"])
@can("job:replay", states=READABLE)
@blueprint.response(202, JobSchema, description="The new job; its `replay_of` names the old one.")
def replay_job(job_id: UUID) -> Response:
    """Run a failed or cancelled job again, as a new job with the same payload."""
    row = queries.get(tenancy(), tenant_id(), job_id)
    check_permission(row["kind"])
    return accepted(control.replay(tenancy(), principal(), job_id, request_idempotency_key()))


@idempotent
def _replace(body: dict[str, Any]) -> Response:
    """The key of a request cannot stand in the row here, for several requests may shape the same job one after another."""
    new = plain_submission(body, None)
    if is_past(new.run_at, datetime.now(UTC)):
        return accepted(submitted_before(tenancy(), new))
    return accepted(submit_or_replace(tenancy(), new))
