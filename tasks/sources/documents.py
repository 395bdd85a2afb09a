"""The tenant's documents, by PostgreSQL's full text search, each in its own language.

Matches in a snippet are marked «so». Guillemets of the text itself are taken out first, so a mark is always a match.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import text

from domain.search.fusion import Hit
from domain.search.query import Found, Query
from jobs.context import JobContext
from tasks.sources.reading import reading

LANGUAGES = ("simple", "english", "german", "french", "spanish")
"""The languages that a document can be in: PostgreSQL's names of text search configurations."""

# The question is read once per language, not once per document. Headlines are made only for the hits that are shown:
# they read the whole body.
_FIND = text(
    """
WITH questions AS MATERIALIZED (
    SELECT name, websearch_to_tsquery(name, :query) AS asked FROM unnest(CAST(:languages AS regconfig[])) AS name
), found AS MATERIALIZED (
    SELECT external_id, title, url, body, language, asked, ts_rank_cd(search, asked) AS score
      FROM documents JOIN questions ON language = name
     WHERE search @@ asked
     ORDER BY score DESC, external_id
     LIMIT :wanted
)
SELECT external_id, title, url,
       ts_headline(language, translate(left(body, 100000), '«»', ''), asked,
                   'StartSel=«, StopSel=», MaxWords=30, MinWords=10, MaxFragments=2, FragmentDelimiter=" … "') AS snippet
  FROM found
 ORDER BY score DESC, external_id
"""
)


def find(context: JobContext, query: Query, deadline: datetime) -> Found:
    """The best documents for a question in the syntax of web searches: words, "phrases", or, -not."""
    with reading(context, deadline) as session:
        rows = session.execute(_FIND, {"query": query.text, "languages": list(LANGUAGES), "wanted": query.wanted}).all()
    return Found(
        [
            Hit(
                id=row.external_id,
                canonical_id=f"document:{row.external_id}",
                source="documents",
                title=row.title,
                snippet=row.snippet,
                url=row.url,
            )
            for row in rows
        ]
    )
