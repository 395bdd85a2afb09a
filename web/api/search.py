"""Searches: asked here, answered by jobs, put together where they are read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from flask import Response, make_response, url_for
from flask_smorest import Blueprint

from domain.errors import FieldError, InvalidPayload
from domain.search.sources import OWN, chosen
from jobs import searches
from jobs.payloads.search import SearchQuerySchema
from models.tenant import Search
from web.auth import can
from web.context import tenancy, tenant_id
from web.jobs_response import new_job
from web.listing import list_rows
from web.pagination import Envelope
from web.preferences import wants_async
from web.schemas.base import PageQuerySchema, page_schema
from web.schemas.search import (
    SearchAnswerSchema,
    SearchExplainQuerySchema,
    SearchLogSchema,
    SearchPageQuerySchema,
)
from web.searching import page, question_of, wait_for

blueprint = Blueprint("search", __name__, description="Searches across the tenant's sources")

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
@blueprint.arguments(SearchExplainQuerySchema, location="query")
@blueprint.response(200, SearchAnswerSchema, description="The answer, with what arrived before the deadline.")
@blueprint.alt_response(202, schema=SearchAnswerSchema, description="Asked for with `Prefer: respond-async`.")
@blueprint.alt_response(402, "PAYMENT_REQUIRED")
@blueprint.alt_response(502, "BAD_GATEWAY")
def create_search(query: dict[str, Any], shown: dict[str, Any]) -> Response:
    """Search the tenant's sources.

    Waits until every source has answered, at most `timeout_ms`: `partial` tells that hits may be missing. With
    `Prefer: respond-async` it answers 202 at once, and `Location` is where the answer can be read. 502 means that every
    source failed.
    """
    known = searches.registered(tenancy(), tenant_id())
    terms = searches.terms(known)
    _refuse_unknown(query["sources"] or (), terms)
    submitted = searches.submit_search(tenancy(), new_job(searches.QUERY, query), chosen(query["sources"], terms))
    asynchronous = wants_async()
    asked = searches.asked(submitted.row, query, known).question
    whole = None if asynchronous else wait_for(asked, looked=submitted.created)
    question, answers = whole or question_of(submitted.id)
    made = page(question, answers, limit=None, cursor=None, **shown)
    response = _shown(*made, 202 if asynchronous else 200)
    if asynchronous:
        response.headers["Preference-Applied"] = "respond-async"
    response.headers["Location"] = url_for("search.get_search", search_id=submitted.id)
    if not submitted.created:
        response.headers["Idempotency-Replayed"] = "true"
    return response


@blueprint.route("/search/queries", methods=["GET"])
@can("search:read")
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, page_schema(SearchLogSchema))
def list_queries(arguments: dict[str, Any]) -> tuple[Envelope[Search], dict[str, str]]:
    """List the searches that were asked, newest first unless asked otherwise.

    What stands here of a question, and for how long, are settings of the tenant: `search_log` and `search_log_days`.
    """
    return list_rows(Search, arguments, where=[Search.log != "off"])


@blueprint.route("/search/<uuid:search_id>", methods=["GET"])
@can("search:read")
@blueprint.arguments(SearchPageQuerySchema, location="query")
@blueprint.response(200, SearchAnswerSchema)
@blueprint.alt_response(502, "BAD_GATEWAY")
def get_search(shown: dict[str, Any], search_id: UUID) -> Response:
    """Read a search's answer as it is now, a page at a time.

    A source that has not answered is `pending` until the deadline and `timeout` from then on. Pages do not shift: those that
    follow a cursor are made of the sources that the first one was made of. Hits of a source that the reader may not search
    are left out, whoever asked.
    """
    question, answers = question_of(search_id)
    return _shown(*page(question, answers, **shown))


def _refuse_unknown(asked: Collection[str], terms: Mapping[str, Any]) -> None:
    faults = [
        FieldError(f"/sources/{place}", "unknown_source", "There is no such source.")
        for place, name in enumerate(asked)
        if name not in terms
    ]
    if faults:
        own = ", ".join(OWN)
        raise InvalidPayload(
            f"Some sources do not exist: there are {own}, and yours, which GET /api/v1/search/sources lists.",
            errors=tuple(faults),
        )


def _shown(made: dict[str, Any], headers: dict[str, str], status: int = 200) -> Response:
    response = make_response(SearchAnswerSchema().dump(made), status)
    response.headers.update(headers)
    return response
