"""Searches: asked here, answered by jobs, put together here.

Fan-in polls the tenant's database for the sources' rows, 5 to 50 ms apart. Watching the children's job rows would be
later (a finish is written up to 50 ms after its effect, and the watcher looks every 50 ms) and would need their ids,
which nobody knows before `search.query` has run.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from flask import Response, jsonify, url_for
from flask_smorest import Blueprint
from sqlalchemy import select

from domain.errors import FieldError, NotFound, SearchFailed
from domain.jobs.states import JobState
from domain.search.answer import Question, SourceAnswer, answer, is_complete
from jobs.payloads.search import SearchQuerySchema
from jobs.queries import get
from jobs.rows import JobRow
from jobs.submissions import submission
from jobs.submit import submit
from models.tenant import Search, SearchResult
from tenancy.access import Tenancy
from web.auth import can
from web.context import tenancy, tenant_id
from web.jobs_response import new_job
from web.listing import list_rows
from web.pagination import Envelope
from web.preferences import wants_async
from web.schemas.base import PageQuerySchema, page_schema
from web.schemas.search import SearchAnswerSchema, SearchLogSchema

blueprint = Blueprint("search", __name__, description="Searches across the tenant's sources")

KIND = "search.query"
SHORTEST_PAUSE, LONGEST_PAUSE = 0.005, 0.05
"""Seconds between two looks at a search's results."""
JOB_PAUSE = 0.5
"""Seconds between two looks at the job of a search that no source has answered yet."""
PREFER = {
    "name": "Prefer",
    "in": "header",
    "description": "`respond-async` answers at once (RFC 7240).",
    "schema": {"type": "string"},
    "example": "respond-async",
}


@blueprint.route("/search", methods=["POST"], parameters=[PREFER])
@can("search:create")
@blueprint.arguments(SearchQuerySchema, example={"q": "travel expenses", "limit": 10})
@blueprint.response(200, SearchAnswerSchema, description="The answer, with what arrived before the deadline.")
@blueprint.alt_response(202, schema=SearchAnswerSchema, description="Asked for with `Prefer: respond-async`.")
@blueprint.alt_response(402, "PAYMENT_REQUIRED")
@blueprint.alt_response(502, "BAD_GATEWAY")
def create_search(query: dict[str, Any]) -> Response:
    """Search the tenant's sources.

    Waits until every source has answered, at most `timeout_ms`: `partial` tells that a source is missing. With
    `Prefer: respond-async` it answers 202 at once, and `Location` is where the answer can be read. 502 means that every
    source failed.
    """
    door = tenancy()
    submitted = submit(door, new_job(KIND, query))
    question = _question(submitted.row, query)
    if wants_async():
        response = jsonify(SearchAnswerSchema().dump(_answer(door, question)))
        response.status_code = 202
        response.headers["Preference-Applied"] = "respond-async"
    else:
        _wait(door, question)
        response = jsonify(SearchAnswerSchema().dump(_answer(door, question)))
    response.headers["Location"] = url_for("search.get_search", search_id=question.search_id)
    return response


@blueprint.route("/search/queries", methods=["GET"])
@can("search:read")
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, page_schema(SearchLogSchema))
def list_queries(arguments: dict[str, Any]) -> tuple[Envelope[Search], dict[str, str]]:
    """List the searches that were asked, newest first unless asked otherwise."""
    return list_rows(Search, arguments)


@blueprint.route("/search/<uuid:search_id>", methods=["GET"])
@can("search:read")
@blueprint.response(200, SearchAnswerSchema)
@blueprint.alt_response(502, "BAD_GATEWAY")
def get_search(search_id: UUID) -> dict[str, Any]:
    """Read a search's answer as it is now.

    A source that has not answered is `pending` until the deadline and `timeout` from then on.
    """
    door = tenancy()
    return _answer(door, _written(door, search_id) or _submitted(door, search_id))


def _written(door: Tenancy, search_id: UUID) -> Question | None:
    """The search as the query log has it, which outlives the job."""
    with door.session(tenant_id()) as session:
        row = session.get(Search, (tenant_id(), search_id))
    return None if row is None else Question(row.id, row.sources, row.hit_limit, row.created_at, row.deadline_at)


def _submitted(door: Tenancy, search_id: UUID) -> Question:
    """The search whose job has not begun. Raises `NotFound`."""
    asked = submission(door, tenant_id(), KIND, search_id)
    return _question(asked.row, asked.payload)


def _question(job: JobRow, query: Mapping[str, Any]) -> Question:
    """The search as its job will write it down: readable before that has happened, and if it never does."""
    asked_at: datetime = max(job["created_at"], job["run_at"])
    return Question(
        search_id=job["id"],
        sources=tuple(dict.fromkeys(query["sources"])),
        limit=query["limit"],
        asked_at=asked_at,
        deadline_at=asked_at + timedelta(milliseconds=query["timeout_ms"]),
    )


def _wait(door: Tenancy, question: Question) -> None:
    """Return when every source has answered, when the deadline has passed, or when nobody will answer any more."""
    pause, look_at_job = SHORTEST_PAUSE, time.monotonic() + JOB_PAUSE
    while True:
        answers, now = _answers(door, question), datetime.now(UTC)
        if is_complete(question, answers, now):
            return
        if not answers and time.monotonic() >= look_at_job:
            if _has_failed(door, question.search_id):
                return
            look_at_job = time.monotonic() + JOB_PAUSE
        time.sleep(min(pause, max(0.0, (question.deadline_at - now).total_seconds())))
        pause = min(pause * 1.5, LONGEST_PAUSE)


def _answer(door: Tenancy, question: Question) -> dict[str, Any]:
    """The answer now. Raises `SearchFailed` if every source failed, or if none was ever asked."""
    answers = _answers(door, question)
    if not answers and _has_failed(door, question.search_id):
        raise SearchFailed(f"The search {question.search_id} ended before any source was asked.")
    made = answer(question, answers, datetime.now(UTC))
    failed = [source for source in made["sources"] if source["status"] == "error"]
    if len(failed) == len(made["sources"]):
        raise SearchFailed(
            f"Every source of the search {question.search_id} failed.",
            errors=tuple(FieldError("", source["error"] or "error", f"{source['name']} failed.") for source in failed),
        )
    return made


def _answers(door: Tenancy, question: Question) -> Sequence[SourceAnswer]:
    of_search = (SearchResult.tenant_id == tenant_id(), SearchResult.search_id == question.search_id)
    with door.session(tenant_id()) as session:
        rows = session.scalars(select(SearchResult).where(*of_search)).all()
    return [SourceAnswer(row.source, row.status, row.took_ms, row.hits, row.error, row.created_at) for row in rows]


def _has_failed(door: Tenancy, search_id: UUID) -> bool:
    """Whether the job that asks the sources ended without having asked them. One that was kept too long has not."""
    try:
        job = get(door, tenant_id(), search_id)
    except NotFound:
        return False
    return job["state"] in {JobState.FAILED, JobState.CANCELLED}
