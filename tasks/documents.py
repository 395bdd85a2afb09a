"""Keeping documents' vectors up to date: what has changed is embedded by jobs, what has not is left alone.

A write marks a document as due in its own transaction, and submits a job after it. A job claims what is due, asks the model
without a transaction, and writes a vector only where the text is still the one that it embedded and the claim still its own:

- killed before the vectors are written, its next attempt finds its own claims and embeds those again;
- a document that changes meanwhile loses its claim and is due again, so the vector of the old text is not written;
- what a job leaves behind for good is due again when its claim has lapsed, for the next job of the tenant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from domain.errors import Permanent
from domain.search.vectors import EMBEDDED_CHARACTERS, MOST_DIMENSIONS
from jobs.context import JobContext
from jobs.handlers import handles
from models.tenant import SearchIndexing
from models.tenant.documents import CONTENT, MARK_DUE
from tasks.embeddings import embed as embed_texts

AT_ONCE = 200
"""Documents of one claim: about what one call of a vendor takes."""

PAGE = 1000
"""Documents that a reindexing looks at in one transaction."""

_OF_ONE_TEXT = frozenset({"context_window_exceeded", "provider_rejected"})
"""Failures that may be due to one of the texts, so that the others are worth asking for without it."""

_DUE = text(
    "SELECT count(*) FROM document_embeddings WHERE tenant_id = :tenant AND due_at IS NOT NULL"
    " AND (due_at <= now() OR claimed_by = :job)"
)

_CLAIM = text(
    """
UPDATE document_embeddings e SET due_at = now() + interval '15 minutes', claimed_by = :job, error = NULL
  FROM (SELECT document_id FROM document_embeddings
         WHERE tenant_id = :tenant AND due_at IS NOT NULL AND (due_at <= now() OR claimed_by = :job)
         ORDER BY due_at, document_id LIMIT :at_once FOR UPDATE SKIP LOCKED) AS due
 WHERE e.tenant_id = :tenant AND e.document_id = due.document_id
RETURNING e.document_id
"""
)

# What is embedded already, as after a change that was taken back, is not asked for again.
_TAKE = text(
    f"""
WITH claimed AS (
    SELECT e.document_id, d.title, d.body, sha256({CONTENT}) AS hash,
           e.generation = :generation AND e.content_hash = sha256({CONTENT}) AS unchanged
      FROM document_embeddings e JOIN documents d ON d.tenant_id = e.tenant_id AND d.id = e.document_id
     WHERE e.tenant_id = :tenant AND e.document_id = ANY(:ids)
), spared AS (
    UPDATE document_embeddings e SET due_at = NULL, claimed_by = NULL, wanted_hash = c.hash FROM claimed c
     WHERE c.unchanged AND e.tenant_id = :tenant AND e.document_id = c.document_id AND e.claimed_by = :job
)
SELECT document_id, left(title || E'\\n\\n' || body, :characters) AS content, hash FROM claimed WHERE unchanged IS NOT TRUE
"""
)

# Rows are locked in the order in which writes of documents mark them, so that neither waits for the other in a circle.
_WRITE = text(
    """
WITH locked AS MATERIALIZED (
    SELECT document_id FROM document_embeddings WHERE tenant_id = :tenant AND document_id = ANY(:ids) AND claimed_by = :job
     ORDER BY document_id FOR UPDATE
)
UPDATE document_embeddings e
   SET embedding = v.embedding::vector, content_hash = v.hash, wanted_hash = v.hash, generation = :generation, model = :model,
       dimensions = :dimensions, due_at = NULL, claimed_by = NULL, error = NULL
  FROM unnest(CAST(:ids AS uuid[]), CAST(:hashes AS bytea[]), CAST(:vectors AS text[])) AS v (id, hash, embedding)
  JOIN locked ON locked.document_id = v.id
 WHERE e.tenant_id = :tenant AND e.document_id = v.id AND e.claimed_by = :job
"""
)

_GIVE_UP = text(
    "UPDATE document_embeddings SET due_at = NULL, claimed_by = NULL, error = :error"
    " WHERE tenant_id = :tenant AND document_id = :id AND claimed_by = :job"
)

_PAGE_OF_ALL = text(
    "SELECT id FROM documents WHERE tenant_id = :tenant AND (CAST(:after AS uuid) IS NULL OR id > CAST(:after AS uuid))"
    " ORDER BY id LIMIT :page"
)


@dataclass(frozen=True, slots=True)
class _Text:
    document_id: UUID
    content: str
    hash: bytes


@handles("document.embed")
def embed(context: JobContext, _payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Embed the documents that are due."""
    return _drain(context)


@handles("document.reindex")
def reindex(context: JobContext, _payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Mark every document whose vector is missing or of an earlier choice of model, and embed those."""
    indexing = _indexing(context)
    after: UUID | None = None
    while indexing is not None:
        with context.session() as session:
            parameters = {"tenant": context.tenant_id, "after": after, "page": PAGE}
            ids = list(session.scalars(_PAGE_OF_ALL, parameters))
            session.execute(MARK_DUE, {"tenant": context.tenant_id, "ids": ids, "generation": indexing.generation})
        if not ids:
            break
        context.check()
        after = ids[-1]
    return _drain(context)


def _indexing(context: JobContext) -> SearchIndexing | None:
    """How documents are to be embedded; None if they are not."""
    with context.session() as session:
        indexing = session.get(SearchIndexing, context.tenant_id)
    return indexing if indexing is not None and indexing.embeds else None


def _drain(context: JobContext) -> Mapping[str, Any]:
    """Embed what is due, a claim at a time; tells how many, and how many no model would take."""
    done, refused = 0, 0
    with context.session() as session:
        total = session.scalar(_DUE, {"tenant": context.tenant_id, "job": context.job_id}) or 0
    while (indexing := _indexing(context)) is not None:
        claimed, texts = _claim(context, indexing)
        if not claimed:
            break
        embedded = _embed(context, indexing, texts)
        done += embedded
        refused += len(texts) - embedded
        context.progress(done + refused, max(total, done + refused), "embedding documents")
    return {"embedded": done, "refused": refused}


def _claim(context: JobContext, indexing: SearchIndexing) -> tuple[int, list[_Text]]:
    """How many documents were claimed, and the texts of those that have changed."""
    mine = {"tenant": context.tenant_id, "job": context.job_id}
    with context.session() as session:
        ids = list(session.scalars(_CLAIM, {**mine, "at_once": AT_ONCE}))
        parameters = {**mine, "ids": ids, "generation": indexing.generation, "characters": EMBEDDED_CHARACTERS}
        rows = session.execute(_TAKE, parameters).all() if ids else []
    return len(ids), [_Text(row.document_id, row.content, bytes(row.hash)) for row in rows]


def _embed(context: JobContext, indexing: SearchIndexing, texts: Sequence[_Text]) -> int:
    """How many of the texts a model took. One that none takes is given up alone, with the reason beside it."""
    if not texts:
        return 0
    try:
        made = embed_texts(
            context, [each.content for each in texts], model=indexing.model, dimensions=indexing.dimensions
        )
    except Permanent as error:
        if error.job_code not in _OF_ONE_TEXT:
            raise
        if len(texts) > 1:
            middle = len(texts) // 2
            return _embed(context, indexing, texts[:middle]) + _embed(context, indexing, texts[middle:])
        _give_up(context, texts[0], error.job_code)
        return 0
    _write(context, indexing, texts, made)
    return len(texts)


def _write(context: JobContext, indexing: SearchIndexing, texts: Sequence[_Text], made: Mapping[str, Any]) -> None:
    vectors: list[list[float]] = made["embeddings"]
    dimensions = len(vectors[0])
    wrong = next((len(each) for each in vectors if len(each) != (indexing.dimensions or dimensions)), None)
    if wrong is not None or not 1 <= dimensions <= MOST_DIMENSIONS:
        raise Permanent(
            f"{made['provider']}/{made['model']} gave vectors of {wrong or dimensions} numbers instead of"
            f" {indexing.dimensions or f'at most {MOST_DIMENSIONS}'}.",
            code="embedding_dimensions",
        )
    parameters = {
        "tenant": context.tenant_id, "job": context.job_id, "generation": indexing.generation,
        "model": f"{made['provider']}/{made['model']}", "dimensions": dimensions,
        "ids": [each.document_id for each in texts], "hashes": [each.hash for each in texts],
        "vectors": [f"[{','.join(map(repr, each))}]" for each in vectors],
    }  # fmt: skip
    with context.session() as session:
        session.execute(_WRITE, parameters)


def _give_up(context: JobContext, refused: _Text, code: str) -> None:
    context.log.warning("document.not_embedded", document_id=str(refused.document_id), code=code)
    parameters = {"tenant": context.tenant_id, "job": context.job_id, "id": refused.document_id, "error": code}
    with context.session() as session:
        session.execute(_GIVE_UP, parameters)
