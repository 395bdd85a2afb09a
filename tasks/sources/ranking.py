"""From candidates of the inverted index to the best documents, in one statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from domain.search.filters import Filter, conditions
from domain.search.fusion import Hit
from tasks.sources.reading import SNIPPET

CANDIDATES = 5000
"""Documents with the rarest word that are looked at: first those with it in their title, then the newest."""

RANKED = 500
"""Of them, how many are read and ranked: those with most of the words in their titles, then the newest. All are read where that
alone tells whether they fulfil the question: with filters, phrases or negations.
"""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Documents with one of the `rarest` words; `others` are sets of words of which they must hold one each."""

    rarest: Sequence[str]
    others: Sequence[Sequence[str]]


def rank(
    session: Session, tenant_id: UUID, candidates: Sequence[Candidates], asked: Mapping[str, str],
    filters: Sequence[Filter], wanted: int, ranked: int,
) -> Sequence[Any]:  # fmt: skip
    """Rows of the `wanted` best of the candidates that fulfil their language's `tsquery` in `asked` and the filters."""
    condition, parameters = conditions(filters, "d.metadata")
    parameters = {
        **parameters, "tenant": tenant_id, "languages": list(asked), "queries": list(asked.values()), "wanted": wanted,
        "candidates": CANDIDATES, "ranked": ranked,
    }  # fmt: skip
    parts = []
    for number, each in enumerate(candidates):
        parts.append(_of_group(number, each))
        parameters[f"rarest_{number}"] = list(each.rarest)
        for other, words in enumerate(each.others):
            parameters[f"other_{number}_{other}"] = list(words)
    statement = f"""
WITH questions AS MATERIALIZED (
    SELECT l.name::regconfig AS language, l.asked::tsquery AS asked
      FROM unnest(CAST(:languages AS text[]), CAST(:queries AS text[])) AS l (name, asked)
), candidates AS MATERIALIZED (
    SELECT document_id, max(titles) AS titles FROM ({" UNION ALL ".join(parts)}) AS c GROUP BY document_id
), judged AS MATERIALIZED (
    SELECT d.id, q.language, q.asked, ts_rank_cd(d.search, q.asked) AS score
      FROM (SELECT document_id FROM candidates ORDER BY titles DESC, document_id DESC LIMIT :ranked) AS c
      JOIN documents d ON d.tenant_id = :tenant AND d.id = c.document_id
      JOIN questions q ON q.language = d.language
     WHERE d.search @@ q.asked AND {condition}
     ORDER BY score DESC, d.external_id LIMIT :wanted
)
SELECT d.external_id, d.title, d.url,
       ts_headline(j.language, translate(left(d.body, 100000), '«»', ''), j.asked, '{SNIPPET}') AS snippet
  FROM judged j JOIN documents d ON d.tenant_id = :tenant AND d.id = j.id
 ORDER BY j.score DESC, d.external_id
"""
    return session.execute(text(statement), parameters).all()


def _of_group(number: int, candidates: Candidates) -> str:
    """SQL for the candidates of a group, with in how many of the words' places they have one in their title."""
    probe = "EXISTS (SELECT FROM document_words w WHERE w.tenant_id = :tenant AND w.word = ANY(CAST(:{name} AS text[])) AND w.in_title = {title} AND w.document_id = r.document_id)"
    titles, held = ["max(r.in_title::int)"], []
    for other in range(len(candidates.others)):
        name = f"other_{number}_{other}"
        in_title, in_body = (probe.format(name=name, title=title) for title in ("true", "false"))
        titles.append(f"max(({in_title})::int)")
        held.append(f"({in_title} OR {in_body})")
    condition = " AND ".join(held) or "true"
    return (
        f"SELECT r.document_id, {' + '.join(titles)} AS titles FROM ("
        f"SELECT w.document_id, w.in_title FROM unnest(CAST(:rarest_{number} AS text[])) AS t (word) CROSS JOIN LATERAL ("
        "SELECT x.document_id, x.in_title FROM document_words x WHERE x.tenant_id = :tenant AND x.word = t.word"
        " ORDER BY x.in_title DESC, x.document_id DESC LIMIT :candidates) AS w"
        f") AS r WHERE {condition} GROUP BY r.document_id"
    )


def row_hit(row: Any) -> Hit:
    """A document's row as a hit."""
    return Hit(
        id=row.external_id, canonical_id=f"document:{row.external_id}", source="documents", title=row.title,
        snippet=row.snippet, url=row.url,
    )  # fmt: skip
