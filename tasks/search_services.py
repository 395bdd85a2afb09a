"""Search as services: `search` asks, `search_answer` reads. No job waits on a job, so asking answers with the search's id.

asked = call(context, "search", q="travel expenses", timeout_ms=2000)
answer = call(context, "search_answer", search_id=asked["search_id"])
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from marshmallow import Schema, fields

from bus.services import register
from domain.errors import Permanent
from domain.search.answer import answer, is_complete, visible
from domain.search.sources import chosen
from jobs import searches
from jobs.context import JobContext
from jobs.payloads.search import SearchQuerySchema
from jobs.submit import NewJob, child_key


class SearchAnswerArgumentsSchema(Schema):
    """Which search."""

    search_id = fields.UUID(required=True)


def search(context: JobContext, **asked: Any) -> Mapping[str, Any]:
    """Submit a search in the caller's name; returns `{search_id, sources}`. A job that asks the same again gets the same one."""
    known = searches.terms(searches.registered(context.tenancy, context.tenant_id))
    sources = chosen(asked["sources"], known)
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    new = NewJob(
        kind=searches.QUERY, payload=asked, principal=context.principal, parent_id=context.job_id,
        request_id=context.request_id, idempotency_key=child_key(context.job_id, f"search:{digest}"),
    )  # fmt: skip
    submitted = searches.submit_search(context.tenancy, new, sources)
    return {"search_id": submitted.id, "sources": list(sources)}


def search_answer(context: JobContext, search_id: UUID) -> Mapping[str, Any]:
    """The answer as it is now, with `complete`: whether it will not change any more. Raises `Permanent` (`not_found`) for a
    search that is not there, also before its first job has begun.
    """
    question, answers = searches.read(context.tenancy, context.tenant_id, search_id)
    if question is None:
        raise Permanent(f"There is no search {search_id}, or it has not begun.", code="not_found")
    now = datetime.now(UTC)
    is_system = context.principal.user_id is None
    seen = visible(question, answers, lambda needed: is_system or context.principal.may(needed))
    return {**answer(question, seen, now), "complete": is_complete(question, answers, now)}


register("search", search, "search:create", SearchQuerySchema)
register("search_answer", search_answer, "search:read", SearchAnswerArgumentsSchema)
