"""Several jobs at once: submit in bulk, replay by filter, a job's children and what it waits for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from flask_smorest import Blueprint
from marshmallow import ValidationError

from domain.errors import InvalidPayload, NexusError
from domain.jobs.states import TERMINAL
from domain.jobs.times import is_past
from jobs import families, queries, replay, waits
from jobs.admission import admit
from jobs.bulk import Answer, Related, submit_many, submitted_before
from jobs.replay import ReplayFilter
from jobs.submit import INTERNAL, NewJob, Submitted, field_errors
from tenancy.audit import noted
from tenancy.scopes import tenant_scope
from tenancy.vault import Vault
from web.auth import READABLE, can
from web.context import principal, tenancy, tenant_id
from web.errors import problem_body
from web.idempotency import request_idempotency_key
from web.job_submissions import check_endpoint, known_endpoints, submission_of
from web.jobs_response import job_view
from web.pagination import read_page
from web.schemas.base import PageQuerySchema
from web.schemas.job_groups import (
    JobBulkItemSchema,
    JobBulkResultListSchema,
    JobBulkSchema,
    JobChildrenSchema,
    JobDependencyListSchema,
    JobReplayResultSchema,
    JobReplaySchema,
)

blueprint = Blueprint("job_groups", __name__, url_prefix="/jobs", description="Several jobs at once")

_ITEM = JobBulkItemSchema()


@blueprint.route("/bulk", methods=["POST"], parameters=["IdempotencyKey"])
@can("job:create")
@blueprint.arguments(JobBulkSchema)
@blueprint.response(200, JobBulkResultListSchema)
@blueprint.alt_response(402, "PAYMENT_REQUIRED")
def submit_jobs(body: dict[str, Any]) -> dict[str, Any]:
    """Submit up to 1,000 jobs, with a result for each.

    Each item is accepted or refused by itself; the accepted ones are durable together. With an `Idempotency-Key`, items
    without one of their own are made by it and their place, so that the same request can be sent again.
    """
    request_key = request_idempotency_key()
    loaded = [_loaded(item) for item in body["items"]]
    known = known_endpoints(*(each for each in loaded if isinstance(each, Mapping)))
    prepared = [
        _prepare(each, place, request_key, known) if isinstance(each, Mapping) else each
        for place, each in enumerate(loaded)
    ]
    answers = iter(submit_many(tenancy(), [each for each in prepared if isinstance(each, NewJob | Related)]))
    vault = tenancy().vault(tenant_id())
    items = [_result(next(answers) if isinstance(each, NewJob | Related) else each, vault) for each in prepared]
    return {"items": items, "accepted": sum(item["job"] is not None for item in items)}


@blueprint.route("/replay", methods=["POST"])
@can("job:replay", states=READABLE)
@blueprint.arguments(JobReplaySchema, example={"filter": {"state": "failed", "kind": "system.ping"}, "dry_run": True})
@blueprint.response(200, JobReplayResultSchema)
def replay_jobs(body: dict[str, Any]) -> dict[str, Any]:
    """Replay the failed or cancelled jobs that a filter finds, or count them.

    A job that was replayed is not found again, so the same request can be sent until nothing is left. Kinds that the
    caller may not submit are left out.
    """
    wanted = ReplayFilter(**body["filter"])
    kinds = replay.count(tenancy(), principal(), wanted)
    if not body["dry_run"] and kinds:
        scope = tenant_scope(tenant_id())
        asked = {**body["filter"], "limit": body["limit"], "found": sum(kinds.values())}
        tenancy().platform.fetch(*noted(scope, "job.bulk_replayed", "job:many", after=asked), scope)
    made = [] if body["dry_run"] else replay.replay_all(tenancy(), principal(), wanted, body["limit"])
    vault = tenancy().vault(tenant_id())
    items = [{"replay_of": job_id, **_result(answer, vault)} for job_id, answer in made]
    return {
        "found": sum(kinds.values()),
        "kinds": kinds,
        "replayed": sum(item["job"] is not None for item in items),
        "items": items,
    }


@blueprint.route("/<uuid:job_id>/children", methods=["GET"])
@can("job:read", states=READABLE)
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, JobChildrenSchema)
def list_children(query: dict[str, Any], job_id: UUID) -> tuple[dict[str, Any], dict[str, str]]:
    """List a job's children, with how many are in each state."""
    queries.get(tenancy(), tenant_id(), job_id)
    page = read_page(query)
    rows = queries.page(
        tenancy(),
        tenant_id(),
        filters={"parent_id": job_id},
        after=page.after,
        newest_first=page.newest_first,
        limit=page.fetch_limit,
    )
    found, headers = page.answer(rows)
    states = families.children_by_state(tenancy(), tenant_id(), job_id)
    vault = tenancy().vault(tenant_id())
    body = {
        "items": [job_view(row, vault) for row in found.items],
        "next_cursor": found.next_cursor,
        "total": sum(states.values()),
        "finished": sum(states.get(state.value, 0) for state in TERMINAL),
        "states": states,
    }
    return body, headers


@blueprint.route("/<uuid:job_id>/dependencies", methods=["GET"])
@can("job:read", states=READABLE)
@blueprint.response(200, JobDependencyListSchema)
def list_dependencies(job_id: UUID) -> dict[str, Any]:
    """List the jobs that this one waits, or waited, for."""
    queries.get(tenancy(), tenant_id(), job_id)
    return {"items": waits.dependencies(tenancy(), tenant_id(), job_id)}


def _loaded(item: Any) -> Mapping[str, Any] | InvalidPayload:
    """One item by its schema, or what is wrong with it; pointers of faults are relative to the item."""
    try:
        body: Mapping[str, Any] = _ITEM.load(item)
    except ValidationError as error:
        faults = tuple(field_errors(error.messages))
        return InvalidPayload("The item does not have the expected form.", errors=faults)
    return body


def _prepare(
    body: Mapping[str, Any], place: int, request_key: str | None, known: Collection[UUID]
) -> NewJob | Related | Answer:
    """A loaded item as the engine takes it, or why it is refused. `known` are the webhook endpoints that there are."""
    try:
        admit(principal(), body["kind"])
        check_endpoint(body["webhook_endpoint_id"], known)
    except NexusError as error:
        return error
    key = body["idempotency_key"]
    if key is None and request_key is not None:
        key = f"{INTERNAL}bulk:{request_key}:{place}"
    submission = submission_of(body, key)
    new = submission.new if isinstance(submission, Related) else submission
    if not is_past(new.run_at, datetime.now(UTC)):
        return submission
    try:
        return submitted_before(tenancy(), submission)
    except NexusError as error:
        return error


def _result(answer: Answer, vault: Vault) -> dict[str, Any]:
    if isinstance(answer, Submitted):
        return {"status": 202, "created": answer.created, "job": job_view(answer.row, vault), "error": None}
    return {"status": answer.status, "created": False, "job": None, "error": problem_body(answer)}
