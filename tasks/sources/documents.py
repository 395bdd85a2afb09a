"""The tenant's documents: by their words, by their meaning, or by both fused.

Matches in a snippet are marked «so». Guillemets of the text itself are taken out first, so a mark is always a match.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import text

from domain.errors import JobError, PlanQuotaExceeded, QuotaExceeded, UniqueKeyTaken
from domain.search.filters import Filter, parse
from domain.search.fusion import Hit, fuse
from domain.search.query import KEYWORD_ONLY, Found, Query, Unanswered
from jobs.context import JobContext
from jobs.submit import NewJob, submit
from models.tenant import SearchIndexing
from tasks.embeddings import embed
from tasks.sources import keyword, semantic
from tasks.sources.reading import reading

WINDOW = 50
"""Hits of each way of looking that are fused, or as many as are wanted if that is more."""

_WAITING = text(
    "SELECT count(*) > 0 AS some, count(*) FILTER (WHERE due_at < now() - interval '1 minute') > 0 AS long"
    " FROM (SELECT due_at FROM document_embeddings WHERE tenant_id = :tenant AND due_at IS NOT NULL ORDER BY due_at LIMIT 1) AS x"
)

MISMATCH = "embedding_mismatch"
"""The model gives the question a vector of another model or size than the documents have, as when another target serves it."""

MODEL_SHARE = 0.6
"""Of the time until the deadline, what the model may take, so that words can still be looked for after a slow one."""


def find(context: JobContext, query: Query, deadline: datetime) -> Found:
    """The best documents for the question in the query's mode.

    Without vectors, or when the model cannot be asked or does not fit them, words alone are looked for: the note `keyword_only`
    says so. In the latter cases the answer is `degraded`. A search for meaning alone is then `skipped`, or an `error`.
    """
    filters = parse(query.filters)
    if query.mode == "keyword":
        return _by_words(context, query, deadline, filters, ())
    question = _understood(context, query, deadline)
    if question.vector is not None:
        return _by_meaning(context, query, deadline, filters, question.vector)
    if query.mode == "semantic":
        raise Unanswered("error" if question.degraded else "skipped", question.degraded or question.missing)
    found = _by_words(context, query, deadline, filters, (KEYWORD_ONLY, question.missing))
    return replace(found, degraded=question.degraded)


def _by_words(
    context: JobContext, query: Query, deadline: datetime, filters: Sequence[Filter], notes: Sequence[str]
) -> Found:
    with reading(context, deadline) as session:
        found = keyword.match(session, context.tenant_id, query.text, filters, query.wanted)
    return Found(found.hits, notes=(*notes, *_corrections(found)))


def _by_meaning(
    context: JobContext, query: Query, deadline: datetime, filters: Sequence[Filter], vector: semantic.Vector
) -> Found:
    """By the vector; in a hybrid search fused with what the words find."""
    wanted = max(WINDOW, query.wanted) if query.mode == "hybrid" else query.wanted
    notes: list[str] = []
    hits: Sequence[Hit] = ()
    degraded: str | None = None
    with reading(context, deadline) as session:
        waiting = session.execute(_WAITING, {"tenant": context.tenant_id}).one()
        try:
            hits = semantic.nearest(session, context.tenant_id, vector, filters, wanted)
        except semantic.NotComparable:
            degraded = None if waiting.some else MISMATCH
        if query.mode == "hybrid":
            found = keyword.match(session, context.tenant_id, query.text, filters, wanted)
            notes += _corrections(found)
            hits = [one.hit for one in fuse({"keyword": found.hits, "semantic": hits}, {}, query.wanted)]
    if degraded and query.mode == "semantic":
        raise Unanswered("error", degraded)
    if degraded:
        notes.append(KEYWORD_ONLY)
    if waiting.some:
        notes.append("embedding_incomplete")
    if waiting.long:
        with suppress(UniqueKeyTaken, QuotaExceeded, PlanQuotaExceeded):
            submit(context.tenancy, NewJob("document.embed", {}, context.principal, unique_key="overdue"))
    return Found(hits, degraded, tuple(notes))


def _corrections(found: keyword.Matches) -> list[str]:
    return [f"corrected:{word}={'|'.join(meant)}" for word, meant in found.corrected.items()]


@dataclass(frozen=True, slots=True)
class _Understood:
    """The question's vector; or the note of what is missing for one, and the code of what went wrong, if anything did."""

    vector: semantic.Vector | None = None
    missing: str = ""
    degraded: str | None = None


def _understood(context: JobContext, query: Query, deadline: datetime) -> _Understood:
    with reading(context, deadline) as session:
        indexing = session.get(SearchIndexing, context.tenant_id)
    if indexing is None or not indexing.embeds:
        return _Understood(missing="embeddings_off")
    left = (deadline - datetime.now(UTC)).total_seconds()
    hurried = replace(context, deadline=min(context.deadline, time.monotonic() + left * MODEL_SHARE))
    try:
        made = embed(hurried, [query.text], model=indexing.model, dimensions=indexing.dimensions)
    except JobError as error:
        context.log.warning("search.not_embedded", search_id=str(query.search_id), code=error.job_code)
        return _Understood(missing="embeddings_unavailable", degraded=error.job_code)
    return _Understood(semantic.Vector(made["embeddings"][0], f"{made['provider']}/{made['model']}"))
