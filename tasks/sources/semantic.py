"""The tenant's documents by their vectors: the nearest to the question's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from domain.search.filters import Filter, conditions
from domain.search.fusion import Hit
from domain.search.vectors import EXACT_BELOW, is_exact
from tasks.sources.ranking import row_hit

SNIPPET_CHARACTERS = 200

_COUNT = text(
    """
SELECT count(*) FROM (
    SELECT FROM document_embeddings WHERE tenant_id = :tenant AND model = :model AND dimensions = :dimensions
     LIMIT :bound) AS x
"""
)

_ANY = text("SELECT EXISTS (SELECT FROM document_embeddings WHERE tenant_id = :tenant AND embedding IS NOT NULL)")

_LEFT = "SELECT d.id FROM documents d WHERE d.tenant_id = :tenant AND {condition} LIMIT :bound"

# Strict order: the nearest come first, and the index is read on until enough of them fulfil the conditions.
_READ_ON = text(
    "SELECT set_config('hnsw.iterative_scan', 'strict_order', true), set_config('hnsw.ef_search', '200', true),"
    " set_config('hnsw.max_scan_tuples', '40000', true)"
)

_OF_SPACE = "e.tenant_id = :tenant AND e.model = :model AND e.dimensions = :dimensions AND e.embedding IS NOT NULL"


@dataclass(frozen=True, slots=True)
class Vector:
    """A question in a model's space of meaning. Only vectors of the same model and size can be compared with it."""

    numbers: Sequence[float]
    model: str

    @property
    def written(self) -> str:
        """As pgvector reads it."""
        return f"[{','.join(map(repr, self.numbers))}]"


class NotComparable(Exception):
    """The tenant's documents have vectors, and none of the question's model and size."""


def nearest(session: Session, tenant_id: UUID, vector: Vector, filters: Sequence[Filter], wanted: int) -> list[Hit]:
    """The `wanted` documents nearest to the vector by cosine that fulfil the filters.

    Few vectors are compared one by one: all of a small tenant, and those that filters leave of a large one, for of these an
    index misses some. An index that ends before it has found enough is not believed. Raises `NotComparable`.
    """
    condition, parameters = conditions(filters, "d.metadata")
    parameters = {
        **parameters, "tenant": tenant_id, "model": vector.model, "dimensions": len(vector.numbers), "asked": vector.written,
        "wanted": wanted, "bound": EXACT_BELOW,
    }  # fmt: skip
    known = session.scalar(_COUNT, parameters) or 0
    if not known:
        if session.scalar(_ANY, parameters):
            raise NotComparable
        return []
    if is_exact(known, len(vector.numbers)):
        return _compared(session, condition, parameters)
    if filters:
        left = list(session.scalars(text(_LEFT.format(condition=condition)), parameters))
        if len(left) < EXACT_BELOW:
            return _compared(session, "e.document_id = ANY(:left)", {**parameters, "left": left})
    session.execute(_READ_ON)
    rows = session.execute(text(_by_index(len(vector.numbers), condition)), parameters).all()
    if len(rows) < wanted:
        return _compared(session, condition, parameters)
    return [row_hit(row) for row in rows]


def _compared(session: Session, condition: str, parameters: Mapping[str, Any]) -> list[Hit]:
    return [row_hit(row) for row in session.execute(text(_one_by_one(condition)), parameters)]


def _by_index(size: int, condition: str) -> str:
    """The expression is the index's, so that it is the order of its rows; conditions are judged row by row on the way."""
    distance = f"e.embedding::vector({size}) <=> CAST(:asked AS vector({size}))"
    return _shown(
        f"SELECT d.id, {distance} AS distance FROM document_embeddings e"
        f" JOIN documents d ON d.tenant_id = e.tenant_id AND d.id = e.document_id"
        f" WHERE {_OF_SPACE} AND e.dimensions = {size} AND {condition} ORDER BY {distance} LIMIT :wanted"
    )


def _one_by_one(condition: str) -> str:
    """No index has this expression, so each vector of the tenant is compared."""
    return _shown(
        "SELECT d.id, e.embedding <=> CAST(:asked AS vector) AS distance FROM document_embeddings e"
        " JOIN documents d ON d.tenant_id = e.tenant_id AND d.id = e.document_id"
        f" WHERE {_OF_SPACE} AND {condition} ORDER BY distance, d.external_id LIMIT :wanted"
    )


def _shown(found: str) -> str:
    return f"""
WITH found AS MATERIALIZED ({found})
SELECT d.external_id, d.title, d.url, translate(left(d.body, {SNIPPET_CHARACTERS}), '«»', '') AS snippet
  FROM found f JOIN documents d ON d.tenant_id = :tenant AND d.id = f.id
 ORDER BY f.distance, d.external_id
"""
