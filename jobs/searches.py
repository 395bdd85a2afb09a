"""Searches between their jobs and the tenant's database: submitted with their sources, written down once, read back.

The question is the payload of the `search.query` job, sealed. Whoever comes first, that job or one of its sources' jobs, writes
it down in `searches`, with what the tenant lets the query log keep of it; the row's deadline and terms hold from then on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

from psycopg.types.json import Jsonb

from domain.identity.principals import Principal
from domain.search.answer import Question, SourceAnswer
from domain.search.log import LogLevel, logged
from domain.search.sources import Terms, chosen, terms_of
from jobs.fan_out import submit_with_children
from jobs.rows import JobRow
from jobs.search_pace import pace
from jobs.submit import NewJob, Submitted, child_key
from tenancy.access import Tenancy

QUERY, SOURCE = "search.query", "search.source"

_SEARCH: LiteralString = """
SELECT id, sources, hit_limit, created_at, deadline_at, terms FROM searches WHERE tenant_id = %(tenant_id)s AND id = %(id)s
"""
_RESULTS: LiteralString = """
SELECT source, status, took_ms, hits, error, notes, created_at FROM search_results
 WHERE tenant_id = %(tenant_id)s AND search_id = %(id)s
"""
_BEGUN: LiteralString = "SELECT 1 FROM search_results WHERE tenant_id = %(tenant_id)s AND search_id = %(id)s LIMIT 1"
_WHOLE: LiteralString = f"""{_RESULTS} AND (
    SELECT s.sources <@ ARRAY(SELECT r.source FROM search_results r WHERE r.tenant_id = s.tenant_id AND r.search_id = s.id)
      FROM searches s WHERE s.tenant_id = %(tenant_id)s AND s.id = %(id)s)
"""
_REGISTERED: LiteralString = """
SELECT id, name, url, enabled, weight, timeout_ms, concurrency, permission, header_name, secret_sealed, version
  FROM search_sources WHERE tenant_id = %(tenant_id)s
"""
_WRITE: LiteralString = """
INSERT INTO searches (tenant_id, id, query, principal, sources, hit_limit, deadline_at, created_at, mode, log, terms)
VALUES (%(tenant_id)s, %(id)s, %(query)s, %(principal)s, %(sources)s, %(hit_limit)s, %(deadline_at)s, %(created_at)s,
        %(mode)s, %(log)s, %(terms)s)
ON CONFLICT DO NOTHING
"""
_WRITE_RESULT: LiteralString = """
INSERT INTO search_results (tenant_id, search_id, source, status, took_ms, hits, error, notes, created_at)
VALUES (%(tenant_id)s, %(search_id)s, %(source)s, %(status)s, %(took_ms)s, %(hits)s, %(error)s, %(notes)s, %(created_at)s)
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Registered:
    """An HTTP source as its row has it. `timeout_ms` and `concurrency` bound its calls."""

    id: UUID
    name: str
    url: str
    version: int
    timeout_ms: int
    concurrency: int
    header_name: str
    secret_sealed: bytes | None = field(repr=False)
    terms: Terms


@dataclass(frozen=True, slots=True)
class Asked:
    """A search whose row may still have to be written."""

    question: Question
    principal: str
    text: str
    mode: str


Whole = tuple[Question, list[SourceAnswer]]
"""A search that all its sources have answered."""


def submit_search(tenancy: Tenancy, new: NewJob, sources: Sequence[str]) -> Submitted:
    """Submit a `search.query` and the jobs of its `sources` with it, the slowest first. Raises as `jobs.submit.submit`."""
    ordered = sources if new.principal.tenant_id is None else pace().slowest_first(new.principal.tenant_id, sources)
    return submit_with_children(
        tenancy, new, lambda search_id: [source_job(new.principal, search_id, name, new.request_id) for name in ordered]
    )


def source_job(principal: Principal, search_id: UUID, source: str, request_id: str | None) -> NewJob:
    """The job that asks one source: there is one for each search and source, however often it is submitted."""
    return NewJob(
        kind=SOURCE, payload={"search_id": str(search_id), "source": source}, principal=principal, parent_id=search_id,
        request_id=request_id, idempotency_key=child_key(search_id, source),
    )  # fmt: skip


def registered(tenancy: Tenancy, tenant_id: UUID) -> dict[str, Registered]:
    """The tenant's HTTP sources by name."""
    (rows,) = tenancy.fetch_many(tenant_id, [(_REGISTERED, {"tenant_id": tenant_id})])
    return {row["name"]: _registered(row) for row in rows}


def terms(known: Mapping[str, Registered]) -> dict[str, Terms]:
    """The terms of every source that a search can name."""
    return terms_of({name: each.terms for name, each in known.items()})


def asked(job: JobRow, payload: Mapping[str, Any], known: Mapping[str, Registered]) -> Asked:
    """The search that a `search.query` job is. Its deadline counts from when the job was due to begin."""
    every = terms(known)
    asked_at: datetime = max(job["created_at"], job["run_at"])
    sources = chosen(payload["sources"], every)
    question = Question(
        search_id=job["id"],
        sources=sources,
        limit=payload["limit"],
        asked_at=asked_at,
        deadline_at=asked_at + timedelta(milliseconds=payload["timeout_ms"]),
        terms={name: every[name] for name in sources if name in every},
    )
    return Asked(question, job["principal"], payload["q"], payload["mode"])


def open_search(tenancy: Tenancy, tenant_id: UUID, search_id: UUID) -> tuple[Question | None, dict[str, Registered]]:
    """The search as it was written down, if it was, and the tenant's HTTP sources; one round trip."""
    parameters = {"tenant_id": tenant_id, "id": search_id}
    found, rows = tenancy.fetch_many(tenant_id, [(_SEARCH, parameters), (_REGISTERED, parameters)])
    return _question(found), {row["name"]: _registered(row) for row in rows}


def read(tenancy: Tenancy, tenant_id: UUID, search_id: UUID) -> tuple[Question | None, list[SourceAnswer]]:
    """The search and what its sources have written so far; one round trip."""
    parameters = {"tenant_id": tenant_id, "id": search_id}
    found, results = tenancy.fetch_many(tenant_id, [(_SEARCH, parameters), (_RESULTS, parameters)])
    return _question(found), _answers(tenant_id, results)


def whole(tenancy: Tenancy, tenant_id: UUID, search_id: UUID) -> tuple[bool, Whole | None]:
    """Whether a source has answered, and the answers once all have; one round trip, in which nothing comes before that."""
    parameters = {"tenant_id": tenant_id, "id": search_id}
    begun, found, results = tenancy.fetch_many(
        tenant_id, [(_BEGUN, parameters), (_SEARCH, parameters), (_WHOLE, parameters)]
    )
    question = _question(found)
    return bool(begun), (question, _answers(tenant_id, results)) if question and results else None


def write(tenancy: Tenancy, tenant_id: UUID, search: Asked, answers: Sequence[SourceAnswer] = ()) -> None:
    """Write the search and answers of its sources down, each unless it is there; one transaction, one round trip."""
    statements: list[tuple[LiteralString, Mapping[str, Any]]] = [(_WRITE, _row(tenancy, tenant_id, search))]
    for each in answers:
        result = {
            "tenant_id": tenant_id, "search_id": search.question.search_id, "source": each.source, "status": each.status,
            "took_ms": each.took_ms, "hits": Jsonb([dict(hit) for hit in each.hits]), "error": each.error,
            "notes": list(each.notes), "created_at": each.answered_at,
        }  # fmt: skip
        statements.append((_WRITE_RESULT, result))
    tenancy.fetch_many(tenant_id, statements)


def kept_text(tenancy: Tenancy, tenant_id: UUID, text: str) -> str | None:
    """What the tenant lets be kept and told of a question."""
    return logged(text, _level(tenancy, tenant_id))


def _level(tenancy: Tenancy, tenant_id: UUID) -> LogLevel:
    return tenancy.record(tenant_id).preferences.search_log


def _row(tenancy: Tenancy, tenant_id: UUID, search: Asked) -> dict[str, Any]:
    question = search.question
    return {
        "tenant_id": tenant_id,
        "id": question.search_id,
        "query": kept_text(tenancy, tenant_id, search.text) or "",
        "principal": search.principal,
        "sources": list(question.sources),
        "hit_limit": question.limit,
        "deadline_at": question.deadline_at,
        "created_at": question.asked_at,
        "mode": search.mode,
        "log": _level(tenancy, tenant_id),
        "terms": Jsonb({name: each.as_json() for name, each in question.terms.items()}),
    }


def _answers(tenant_id: UUID, rows: Sequence[Mapping[str, Any]]) -> list[SourceAnswer]:
    answers = [
        SourceAnswer(
            row["source"], row["status"], row["took_ms"], row["hits"], row["error"], row["created_at"], row["notes"]
        )
        for row in rows
    ]
    pace().note(tenant_id, answers)
    return answers


def _question(rows: Sequence[Mapping[str, Any]]) -> Question | None:
    if not rows:
        return None
    row = rows[0]
    kept = {name: Terms(**each) for name, each in row["terms"].items()}
    return Question(row["id"], row["sources"], row["hit_limit"], row["created_at"], row["deadline_at"], kept)


def _registered(row: Mapping[str, Any]) -> Registered:
    return Registered(
        id=row["id"],
        name=row["name"],
        url=row["url"],
        version=row["version"],
        timeout_ms=row["timeout_ms"],
        concurrency=row["concurrency"],
        header_name=row["header_name"],
        secret_sealed=None if row["secret_sealed"] is None else bytes(row["secret_sealed"]),
        terms=Terms(row["weight"], row["permission"], row["enabled"]),
    )
