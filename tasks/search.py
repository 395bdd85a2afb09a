"""Federated search: a question fans out to one job per source, under one deadline.

No job waits for another. The answer is put together where it is read, by `domain.search.answer`; whoever waits for it there is
woken by each source that has answered.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.exc import DBAPIError

from bus.events import announce
from domain.errors import Cancelled, IllegalTransition, NotFound, Permanent
from domain.search.answer import SourceAnswer, hit_as_stored, milliseconds
from domain.search.query import Found, Query, Unanswered
from domain.search.sources import WINDOW, Terms
from jobs import searches
from jobs.bulk import Related, submit_many
from jobs.context import JobContext
from jobs.handlers import handles
from jobs.hints import hints
from jobs.queries import get
from jobs.searches import Asked, Registered
from jobs.submissions import Submission, submission
from tasks.search_upkeep import next_sweep
from tasks.sources import SOURCES, registered


@handles("search.query")
def query(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Write the question down, and make sure that each source is asked: where it was submitted with their jobs, it is."""
    job = get(context.tenancy, context.tenant_id, context.job_id)
    known = searches.registered(context.tenancy, context.tenant_id)
    asked = searches.asked(job, payload, known)
    searches.write(context.tenancy, context.tenant_id, asked)
    sources = list(asked.question.sources)
    children = [searches.source_job(context.principal, context.job_id, name, context.request_id) for name in sources]
    sweep = next_sweep(context.tenant_id, datetime.now(UTC))
    answers = submit_many(context.tenancy, [*(Related(child) for child in children), sweep])
    if any(isinstance(each, IllegalTransition) for each in answers):
        raise Cancelled("The search was cancelled before its sources were asked.")
    kept = searches.kept_text(context.tenancy, context.tenant_id, asked.text)
    told = {"id": str(context.job_id), "q": kept, "sources": sources, "principal": context.principal.subject}
    announce(context, "search.requested", {"search": told})
    context.log.info("search.requested", search_id=str(context.job_id), sources=sources)
    return {"search_id": str(context.job_id), "sources": sources}


@handles("search.source")
def ask(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """One source's share. It has the time that is left to the deadline; what comes later is logged and never merged."""
    search_id, name = payload["search_id"], payload["source"]
    submitted = _submission(context, search_id)
    written, known = searches.open_search(context.tenancy, context.tenant_id, search_id)
    asked = searches.asked(submitted.row, submitted.payload, known)
    deadline = (written or asked.question).deadline_at
    started = time.monotonic()
    status, found, error = _answer(context, asked, submitted.payload, name, known.get(name), deadline)
    took_ms, answered_at = round((time.monotonic() - started) * 1000), datetime.now(UTC)
    hits = [hit_as_stored(hit) for hit in found.hits]
    result = SourceAnswer(name, status, took_ms, hits, error, answered_at, found.notes)
    searches.write(context.tenancy, context.tenant_id, asked, [result])
    hints(context.settings).changed([search_id])
    if answered_at > deadline:
        late_ms = milliseconds(deadline, answered_at)
        context.log.info("search.late", search_id=str(search_id), source=name, found=len(hits), late_ms=late_ms)
    return {"search_id": str(search_id), "source": name, "status": status, "hits": len(hits)}


def _submission(context: JobContext, search_id: UUID) -> Submission:
    try:
        return submission(context.tenancy, context.tenant_id, searches.QUERY, search_id)
    except NotFound as error:
        raise Permanent(error.detail, code="not_found") from None


def _answer(
    context: JobContext,
    asked: Asked,
    payload: Mapping[str, Any],
    name: str,
    source: Registered | None,
    deadline: datetime,
) -> tuple[str, Found, str | None]:
    """Status, what was found and a stable code of what went wrong. A source that fails does so alone."""
    try:
        _admit(context, asked.question.terms.get(name), deadline)
        wanted = max(WINDOW, asked.question.limit)
        question = Query(asked.question.search_id, asked.text, wanted, payload["mode"], payload["filters"])
        found = _find(context, name, source, question, deadline)
    except Unanswered as error:
        return error.status, Found(()), error.code
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        context.log.warning("search.source_failed", search_id=str(asked.question.search_id), exc_info=True)
        return "error", Found(()), "source_failed"
    return "ok", found, found.degraded


def _admit(context: JobContext, terms: Terms | None, deadline: datetime) -> None:
    """Raise `Unanswered` unless the source may be asked for this caller, now."""
    if terms is None:
        raise Unanswered("skipped", "unknown_source")
    if not terms.enabled:
        raise Unanswered("skipped", "source_disabled")
    is_system = context.principal.subject.startswith("system:")
    if terms.permission is not None and not is_system and not context.principal.may(terms.permission):
        raise Unanswered("unauthorized")
    if datetime.now(UTC) >= deadline:
        raise Unanswered("timeout")


def _find(context: JobContext, name: str, source: Registered | None, question: Query, deadline: datetime) -> Found:
    if name not in SOURCES:
        if source is None:
            raise Unanswered("skipped", "unknown_source")
        return registered.find(context, source, question, deadline)
    own = SOURCES[name]
    if question.filters and not own.filterable:
        raise Unanswered("skipped")
    return own.find(context, question, deadline)
