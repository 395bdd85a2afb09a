"""The tenant's documents: by their words, by their meaning, or by both fused.

Matches in a snippet are marked «so». Guillemets of the text itself are taken out first, so a mark is always a match.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime

from domain.errors import JobError
from domain.search.filters import parse
from domain.search.fusion import fuse
from domain.search.query import KEYWORD_ONLY, Found, Query, Unanswered
from jobs.context import JobContext
from models.tenant import SearchIndexing
from tasks.embeddings import embed
from tasks.sources import keyword, semantic
from tasks.sources.reading import reading

WINDOW = 50
"""Hits of each way of looking that are fused, or as many as are wanted if that is more."""

MODEL_SHARE = 0.6
"""Of the time until the deadline, what the model may take, so that words can still be looked for after a slow one."""


def find(context: JobContext, query: Query, deadline: datetime) -> Found:
    """The best documents for the question in the query's mode.

    Without vectors, or when the model cannot be asked, words alone are looked for: the note `keyword_only` says so. In the
    second case the answer is `degraded`. A search for meaning alone is then `skipped`, or an `error`.
    """
    filters = parse(query.filters)
    vector, missing, degraded = _vector(context, query, deadline)
    if query.mode == "semantic":
        if vector is None:
            raise Unanswered("error" if degraded else "skipped", degraded or missing)
        with reading(context, deadline) as session:
            return Found(semantic.nearest(session, context.tenant_id, vector, filters, query.wanted))
    notes: list[str] = [] if missing is None else [KEYWORD_ONLY, missing]
    with reading(context, deadline) as session:
        wanted = query.wanted if vector is None else max(WINDOW, query.wanted)
        found = keyword.match(session, context.tenant_id, query.text, filters, wanted)
        notes += [f"corrected:{word}={'|'.join(meant)}" for word, meant in found.corrected.items()]
        hits = found.hits
        if vector is not None:
            nearest = semantic.nearest(session, context.tenant_id, vector, filters, wanted)
            hits = [one.hit for one in fuse({"keyword": hits, "semantic": nearest}, {}, query.wanted)]
    return Found(hits, degraded, tuple(notes))


def _vector(
    context: JobContext, query: Query, deadline: datetime
) -> tuple[semantic.Vector | None, str | None, str | None]:
    """The question's vector; or what is missing for one, and the code of what went wrong, if anything did."""
    if query.mode == "keyword":
        return None, None, None
    with reading(context, deadline) as session:
        indexing = session.get(SearchIndexing, context.tenant_id)
    if indexing is None or not indexing.embeds:
        return None, "embeddings_off", None
    left = (deadline - datetime.now(UTC)).total_seconds()
    hurried = replace(context, deadline=min(context.deadline, time.monotonic() + left * MODEL_SHARE))
    try:
        made = embed(hurried, [query.text], model=indexing.model, dimensions=indexing.dimensions)
    except JobError as error:
        context.log.warning("search.not_embedded", search_id=str(query.search_id), code=error.job_code)
        return None, "embeddings_unavailable", error.job_code
    return semantic.Vector(made["embeddings"][0], f"{made['provider']}/{made['model']}"), None, None
