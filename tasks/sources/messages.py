"""The tenant's newest messages, by PostgreSQL's full text search. They are in any language, so words are taken as they are."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import text

from domain.search.fusion import Hit
from domain.search.query import Found, Query
from jobs.context import JobContext
from tasks.sources.reading import SNIPPET, reading

NEWEST = 20_000
"""Messages that are looked through: an inverted index of all would make each message dearer to send."""

# The inner limit is what bounds the work: under row-level security no index serves `@@`.
_FIND = text(
    f"""
WITH asked AS MATERIALIZED (SELECT websearch_to_tsquery('simple', :query) AS asked),
found AS MATERIALIZED (
    SELECT m.id, m.subject, m.body_text, ts_rank_cd(m.search, asked) AS score
      FROM (SELECT id, subject, body_text, search FROM messages WHERE tenant_id = :tenant ORDER BY id DESC LIMIT :newest) AS m,
           asked
     WHERE m.search @@ asked
     ORDER BY score DESC, m.id LIMIT :wanted
)
SELECT id, subject, ts_headline('simple', translate(left(body_text, 100000), '«»', ''), asked, '{SNIPPET}') AS snippet
  FROM found, asked
 ORDER BY score DESC, id
"""
)


def find(context: JobContext, query: Query, deadline: datetime) -> Found:
    """The best messages; the question is read as a web search: words, "phrases", or, -not."""
    parameters = {"tenant": context.tenant_id, "query": query.text, "wanted": query.wanted, "newest": NEWEST}
    with reading(context, deadline) as session:
        rows = session.execute(_FIND, parameters).all()
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
