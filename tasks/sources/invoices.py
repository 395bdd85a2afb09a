"""The tenant's invoices: by number, by customer, and by what their lines say. Words are taken as they are."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import text

from domain.search.fusion import Hit
from domain.search.query import Found, Query
from jobs.context import JobContext
from tasks.sources.reading import SNIPPET, reading

NEWEST = 5000
"""Invoices that are looked through; one whose number stands in the question is found however old it is."""

LARGEST_NUMBER = 2**63

_FIND = text(
    f"""
WITH asked AS MATERIALIZED (SELECT websearch_to_tsquery('simple', :query) AS asked),
looked_at AS MATERIALIZED (
    (SELECT id, customer_id, number FROM invoices WHERE tenant_id = :tenant ORDER BY id DESC LIMIT :newest)
    UNION
    SELECT id, customer_id, number FROM invoices WHERE tenant_id = :tenant AND number = ANY(CAST(:numbers AS bigint[]))
),
described AS MATERIALIZED (
    SELECT i.id, i.number, c.name,
           concat_ws(' ', c.name, c.email, c.external_id) AS customer,
           (SELECT string_agg(l.description, '; ' ORDER BY l.id) FROM invoice_lines l
             WHERE l.tenant_id = :tenant AND l.invoice_id = i.id) AS lines
      FROM looked_at i JOIN customers c ON c.tenant_id = :tenant AND c.id = i.customer_id
),
found AS MATERIALIZED (
    SELECT d.*, d.number = ANY(CAST(:numbers AS bigint[])) AS named, ts_rank_cd(w.words, asked) AS score
      FROM described d, asked, LATERAL (
           SELECT setweight(to_tsvector('simple', concat_ws(' ', 'invoice', d.number, d.customer)), 'A')
                  || setweight(to_tsvector('simple', left(coalesce(d.lines, ''), 100000)), 'B') AS words) AS w
     WHERE w.words @@ asked OR d.number = ANY(CAST(:numbers AS bigint[]))
     ORDER BY named DESC NULLS LAST, score DESC, d.id DESC LIMIT :wanted
)
SELECT id, number, name,
       ts_headline('simple', translate(left(coalesce(lines, ''), 100000), '«»', ''), asked, '{SNIPPET}') AS snippet
  FROM found, asked
 ORDER BY named DESC NULLS LAST, score DESC, id DESC
"""
)


def find(context: JobContext, query: Query, deadline: datetime) -> Found:
    """The best invoices: first those whose number is in the question, then by its words."""
    parameters = {
        "tenant": context.tenant_id, "query": query.text, "wanted": query.wanted, "newest": NEWEST,
        "numbers": _numbers(query.text),
    }  # fmt: skip
    with reading(context, deadline) as session:
        rows = session.execute(_FIND, parameters).all()
    return Found(
        [
            Hit(
                id=str(row.id),
                canonical_id=f"invoice:{row.id}",
                source="invoices",
                title=f"{'Draft invoice' if row.number is None else f'Invoice {row.number}'}, {row.name}",
                snippet=row.snippet,
                url=f"/api/v1/merchant/invoices/{row.id}",
            )
            for row in rows
        ]
    )


def _numbers(question: str) -> list[int]:
    """What may be an invoice's number, written as `12` or `#12`."""
    words = (word.removeprefix("#") for word in question.split())
    return [int(word) for word in words if word.isascii() and word.isdigit() and int(word) < LARGEST_NUMBER][:10]
