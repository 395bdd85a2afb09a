"""Federated search: a question fans out to one job per source, under one deadline.

No job waits for another. The answer is put together where it is read, by `domain.search.answer`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from bus.events import announce
from domain.errors import Permanent
from domain.search.answer import hit_as_stored, milliseconds
from domain.search.query import Found, Query, Unanswered
from jobs.context import JobContext
from jobs.handlers import handles
from jobs.queries import get
from models.tenant import Search, SearchResult
from tasks.sources import SOURCES, Source

_NOTHING = Found(())


@handles("search.query")
def query(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Write the question down and ask each source. The deadline counts from when the search was due to begin."""
    job = get(context.tenancy, context.tenant_id, context.job_id)
    sources = list(dict.fromkeys(payload["sources"]))
    with context.session() as session:
        _write_question(session, context, payload, sources, asked_at=max(job["created_at"], job["run_at"]))
    asked = {"id": str(context.job_id), "q": payload["q"], "sources": sources, "principal": context.principal.subject}
    announce(context, "search.requested", {"search": asked})
    context.log.info("search.requested", search_id=str(context.job_id), sources=sources)
    for source in sources:
        asked_of_source = {
            "search_id": str(context.job_id),
            "source": source,
            "mode": payload["mode"],
            "filters": payload["filters"],
        }
        context.submit("search.source", asked_of_source, key=source)
    return {"search_id": str(context.job_id), "sources": sources}


@handles("search.source")
def ask(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """One source's share. It has the time that is left to the deadline; what comes later is logged and never merged."""
    name = payload["source"]
    with context.session() as session:
        search = session.get(Search, (context.tenant_id, payload["search_id"]))
    if search is None:
        raise Permanent(f"There is no search {payload['search_id']}.", code="not_found")
    asked = Query(search.id, search.query, search.hit_limit, payload["mode"], payload["filters"])
    started = time.monotonic()
    status, found, error = _answer(context, search, asked, SOURCES[name])
    took_ms = round((time.monotonic() - started) * 1000)
    answered_at = datetime.now(UTC)
    with context.session() as session:
        _write_answer(session, search, name, status=status, found=found, error=error, took_ms=took_ms, at=answered_at)
    if answered_at > search.deadline_at:
        late_ms = milliseconds(search.deadline_at, answered_at)
        context.log.info("search.late", search_id=str(search.id), source=name, found=len(found.hits), late_ms=late_ms)
    return {"search_id": str(search.id), "source": name, "status": status, "hits": len(found.hits)}


def _write_question(
    session: Session, context: JobContext, payload: Mapping[str, Any], sources: list[str], *, asked_at: datetime
) -> None:
    row = {
        "tenant_id": context.tenant_id,
        "id": context.job_id,
        "query": payload["q"],
        "principal": context.principal.subject,
        "sources": sources,
        "hit_limit": payload["limit"],
        "deadline_at": asked_at + timedelta(milliseconds=payload["timeout_ms"]),
        "created_at": asked_at,
    }
    session.execute(insert(Search).values(row).on_conflict_do_nothing())


def _write_answer(
    session: Session,
    search: Search,
    source: str,
    *,
    status: str,
    found: Found,
    error: str | None,
    took_ms: int,
    at: datetime,
) -> None:
    row = {
        "tenant_id": search.tenant_id,
        "search_id": search.id,
        "source": source,
        "status": status,
        "took_ms": took_ms,
        "hits": [hit_as_stored(hit) for hit in found.hits],
        "error": error,
        "created_at": at,
    }
    session.execute(insert(SearchResult).values(row).on_conflict_do_nothing())


def _answer(context: JobContext, search: Search, asked: Query, source: Source) -> tuple[str, Found, str | None]:
    """Status, what was found and a stable code of the error. A source that fails does so alone."""
    if not _allowed(context, source):
        return "unauthorized", _NOTHING, None
    if asked.filters and not source.filterable:
        return "skipped", _NOTHING, None
    if datetime.now(UTC) >= search.deadline_at:
        return "timeout", _NOTHING, None
    try:
        found = source.find(context, asked, search.deadline_at)
    except Unanswered as error:
        return error.status, _NOTHING, error.code
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        context.log.warning("search.source_failed", search_id=str(search.id), exc_info=True)
        return "error", _NOTHING, "source_failed"
    return "ok", found, found.degraded


def _allowed(context: JobContext, source: Source) -> bool:
    is_system = context.principal.subject.startswith("system:")
    return source.permission is None or is_system or context.principal.may(source.permission)
