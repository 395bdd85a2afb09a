"""The tenant's messages, by PostgreSQL's full text search. They are in any language, so words are taken as they are."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import text

from domain.search.fusion import Hit
from domain.search.query import Found, Query
from jobs.context import JobContext
from tasks.sources.reading import reading

_FIND = text(
    """
SELECT id, subject,
       ts_headline('simple', translate(left(body_text, 100000), '«»', ''), websearch_to_tsquery('simple', :query),
                   'StartSel=«, StopSel=», MaxWords=30, MinWords=10, MaxFragments=2, FragmentDelimiter=" … "') AS snippet
  FROM (SELECT id, subject, body_text, ts_rank_cd(search, websearch_to_tsquery('simple', :query)) AS score
          FROM messages
         WHERE search @@ websearch_to_tsquery('simple', :query)
         ORDER BY score DESC, id
         LIMIT :wanted) AS found
 ORDER BY score DESC, id
"""
)


def find(context: JobContext, query: Query, deadline: datetime) -> Found:
    """The best messages; the question is read as a web search: words, "phrases", or, -not."""
    with reading(context, deadline) as session:
        rows = session.execute(_FIND, {"query": query.text, "wanted": query.wanted}).all()
    return Found(
        [
            Hit(
                id=str(row.id),
                canonical_id=f"message:{row.id}",
                source="messages",
                title=row.subject,
                snippet=row.snippet,
                url=f"/api/v1/notifications/{row.id}",
            )
            for row in rows
        ]
    )
