"""`search.query` and `search.source`: the fan-out, each source alone, the deadline."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import select

from config.settings import Settings
from domain.errors import Permanent
from domain.identity.principals import Principal
from domain.ids import new_id
from domain.search.answer import Question, SourceAnswer, answer
from jobs import searches
from jobs.context import JobContext
from jobs.payloads.search import SOURCES as PAYLOAD_SOURCES
from jobs.queries import page
from models.tenant import Document, Message, Search, SearchResult
from tasks.search import ask, query
from tasks.sources import SOURCES
from tenancy.servers import with_database
from tests.conftest import claim_context

MakeContext = Callable[..., Any]


@pytest.fixture
def search(make_context: MakeContext, pooled_tenant: UUID) -> Callable[..., JobContext]:
    """Asks, in a tenant of its own."""

    def make(q: str, principal: Principal | None = None, **fields: Any) -> JobContext:
        asked = {"q": q, "sources": ["documents", "messages"], **fields}
        context, payload = make_context("search.query", pooled_tenant, asked, principal)
        query(context, payload)
        return context

    return make


def put(context: JobContext, external_id: str, title: str, body: str, language: str = "simple") -> None:
    with context.session() as session:
        session.add(
            Document(tenant_id=context.tenant_id, external_id=external_id, title=title, body=body, language=language)
        )


def put_message(context: JobContext, subject: str, body: str) -> UUID:
    id = new_id()
    with context.session() as session:
        session.add(
            Message(
                tenant_id=context.tenant_id,
                id=id,
                channel="email",
                recipient="a@b.example",
                subject=subject,
                body_text=body,
            )
        )
    return id


def children(context: JobContext) -> list[UUID]:
    rows = page(context.tenancy, context.tenant_id, filters={"parent_id": context.job_id}, newest_first=False)
    return [row["id"] for row in rows if row["kind"] == "search.source"]


def run_children(context: JobContext, principal: Principal | None = None) -> dict[str, Any]:
    """Run each source's job as a worker would, and read the answer as the API would."""
    for job_id in children(context):
        ask(*claim_context(context.tenancy, job_id, principal or context.principal))
    return read(context)


def read(context: JobContext) -> dict[str, Any]:
    with context.session() as session:
        asked = session.get_one(Search, (context.tenant_id, context.job_id))
        rows = session.scalars(select(SearchResult).where(SearchResult.search_id == context.job_id)).all()
    question = Question(asked.id, asked.sources, asked.hit_limit, asked.created_at, asked.deadline_at)
    answers = [SourceAnswer(row.source, row.status, row.took_ms, row.hits, row.error, row.created_at) for row in rows]
    return answer(question, answers, datetime.now(UTC))


def statuses(seen: dict[str, Any]) -> dict[str, str]:
    return {source["name"]: source["status"] for source in seen["sources"]}


@pytest.fixture
def idle(make_context: MakeContext, pooled_tenant: UUID) -> JobContext:
    """A context to write the tenant's rows with."""
    context: JobContext = make_context("system.ping", pooled_tenant, {})[0]
    return context


# --- the fan-out


def test_a_search_is_written_down_and_asks_each_source_once(make_context: MakeContext, tenant: UUID) -> None:
    context, payload = make_context(
        "search.query", tenant, {"q": "invoice", "sources": ["documents", "messages"], "timeout_ms": 3000}
    )

    first, again = query(context, payload), query(context, payload)

    assert first == again == {"search_id": str(context.job_id), "sources": ["documents", "messages"]}
    assert len(children(context)) == 2
    with context.session() as session:
        row = session.get_one(Search, (tenant, context.job_id))
    assert (row.query, row.principal, row.hit_limit) == ("invoice", "system:test", 20)
    assert row.deadline_at - row.created_at == timedelta(seconds=3)


def test_a_source_named_twice_is_asked_once(search: Callable[..., JobContext]) -> None:
    context = search("x", sources=["documents", "documents"])

    assert len(children(context)) == 1


def test_the_deadline_counts_from_when_the_search_was_asked(make_context: MakeContext, pooled_tenant: UUID) -> None:
    context, payload = make_context(
        "search.query", pooled_tenant, {"q": "x", "sources": ["documents", "messages"], "timeout_ms": 50}
    )
    context.tenancy.platform.fetch(
        "UPDATE jobs SET created_at = now() - interval '1 hour', run_at = now() - interval '1 hour' WHERE id = %(id)s",
        {"id": context.job_id},
    )

    query(context, payload)

    assert statuses(run_children(context)) == {"documents": "timeout", "messages": "timeout"}


# --- what is found


def test_both_sources_hits_are_fused_with_marked_snippets(search: Callable[..., JobContext], idle: JobContext) -> None:
    put(idle, "handbook", "Handbook", "How to send an invoice to a customer.")
    put(idle, "menu", "Menu", "Soup and bread.")
    message = put_message(idle, "Your invoice", "The invoice for May is attached.")

    seen = run_children(search("invoice"))

    assert (seen["partial"], statuses(seen)) == (False, {"documents": "ok", "messages": "ok"})
    assert {(hit["source"], hit["id"]) for hit in seen["hits"]} == {
        ("documents", "handbook"),
        ("messages", str(message)),
    }
    assert all("«invoice»" in hit["snippet"] for hit in seen["hits"])
    assert all(hit["ranks"] == {hit["source"]: 1} for hit in seen["hits"])


def test_a_document_is_found_in_its_own_language(search: Callable[..., JobContext], idle: JobContext) -> None:
    put(idle, "english", "Running", "She was running late.", "english")
    put(idle, "german", "Häuser", "Die Häuser sind alt.", "german")
    put(idle, "simple", "runs", "It runs.")

    assert [hit["id"] for hit in run_children(search("running"))["hits"]] == ["english"]
    assert [hit["id"] for hit in run_children(search("Hauses"))["hits"]] == ["german"]
    assert [hit["id"] for hit in run_children(search("runs"))["hits"]] == ["english", "simple"]


def test_a_title_counts_more_than_a_body(search: Callable[..., JobContext], idle: JobContext) -> None:
    put(idle, "body", "Something", "All about refunds, refunds too.")
    put(idle, "title", "Refunds", "All about something.")

    assert [hit["id"] for hit in run_children(search("refunds"))["hits"]] == ["title", "body"]


def test_a_mark_is_always_a_match(search: Callable[..., JobContext], idle: JobContext) -> None:
    put(idle, "quoted", "Quotes", "He said «never» and paid the invoice.")

    (hit,) = run_children(search("invoice"))["hits"]

    assert hit["snippet"].count("«") == hit["snippet"].count("»") == 1


@pytest.mark.parametrize(
    "q", ["'", '"', "a & | b", "!!", "((", ":*", "-", "\\", "%s %(x)s :y", "ünïcödé 日本語", "x" * 1000, "the"]
)
def test_any_question_has_an_answer(search: Callable[..., JobContext], idle: JobContext, q: str) -> None:
    put(idle, "one", "One", "A body with a word.", "english")

    assert statuses(run_children(search(q))) == {"documents": "ok", "messages": "ok"}


def test_no_more_is_shown_than_asked_for(search: Callable[..., JobContext], idle: JobContext) -> None:
    for number in range(5):
        put(idle, f"d{number}", "Invoice", "invoice")

    assert [hit["id"] for hit in run_children(search("invoice", limit=2))["hits"]] == ["d0", "d1"]


def test_another_tenants_rows_are_not_found(
    search: Callable[..., JobContext], make_context: MakeContext, make_tenant: Callable[..., UUID]
) -> None:
    neighbour = make_context("system.ping", make_tenant("pooled"), {})[0]
    put(neighbour, "theirs", "Secret", "secret")
    put_message(neighbour, "Secret", "secret")

    assert run_children(search("secret"))["hits"] == []


# --- a source by itself


@pytest.fixture
def own_search(make_context: MakeContext, tenant: UUID) -> Callable[..., JobContext]:
    """Asks in a tenant with a database of its own, which the test may break."""

    def make(q: str, **fields: Any) -> JobContext:
        context, payload = make_context(
            "search.query", tenant, {"q": q, "sources": ["documents", "messages"], **fields}
        )
        put(context, "one", "Invoice", "invoice")
        query(context, payload)
        return context

    return make


@pytest.fixture
def owner(settings: Settings, tenant: UUID) -> Iterator[psycopg.Connection[Any]]:
    """The owner's connection to that database."""
    with psycopg.connect(with_database(settings, f"nexus_t_{tenant.hex}")) as connection:
        yield connection


def test_a_source_that_fails_fails_alone(own_search: Callable[..., JobContext], owner: psycopg.Connection[Any]) -> None:
    context = own_search("invoice")
    owner.execute("ALTER TABLE messages RENAME TO messages_elsewhere")
    owner.commit()

    seen = run_children(context)

    assert statuses(seen) == {"documents": "ok", "messages": "error"}
    assert (seen["partial"], [hit["id"] for hit in seen["hits"]]) == (True, ["one"])
    assert seen["sources"][1]["error"] == "source_failed"


def test_whoever_waits_is_told_nothing_before_the_last_source(
    search: Callable[..., JobContext], idle: JobContext
) -> None:
    put(idle, "one", "Invoice", "invoice")
    context = search("invoice")

    def seen() -> Any:
        return searches.whole(context.tenancy, context.tenant_id, context.job_id)

    first, last = children(context)
    assert seen() == (False, None)
    ask(*claim_context(context.tenancy, first, context.principal))
    assert seen() == (True, None)
    ask(*claim_context(context.tenancy, last, context.principal))

    assert seen() == (True, searches.read(context.tenancy, context.tenant_id, context.job_id))


def test_a_source_that_hangs_is_stopped_at_the_deadline(
    own_search: Callable[..., JobContext], owner: psycopg.Connection[Any]
) -> None:
    context = own_search("invoice", timeout_ms=2500)
    owner.execute("LOCK TABLE messages IN ACCESS EXCLUSIVE MODE")

    seen = run_children(context)

    assert statuses(seen) == {"documents": "ok", "messages": "timeout"}
    assert [hit["id"] for hit in seen["hits"]] == ["one"]
    assert seen["took_ms"] <= 2500


def test_a_source_answers_once(search: Callable[..., JobContext], idle: JobContext) -> None:
    context = search("invoice", sources=["documents"])
    (job_id,) = children(context)
    source, payload = claim_context(context.tenancy, job_id, context.principal)
    ask(source, payload)
    put(idle, "later", "Invoice", "invoice")

    ask(source, payload)

    assert read(context)["hits"] == []


def test_a_source_needs_what_its_rows_need(search: Callable[..., JobContext], idle: JobContext) -> None:
    put(idle, "one", "Invoice", "invoice")
    put_message(idle, "Invoice", "invoice")
    searcher = Principal("user:someone", new_id(), idle.tenant_id, frozenset({"search:create"}))
    reader = Principal("user:other", new_id(), idle.tenant_id, frozenset({"search:create", "notification:read"}))

    assert statuses(run_children(search("invoice", searcher))) == {"documents": "ok", "messages": "unauthorized"}
    assert statuses(run_children(search("invoice", reader))) == {"documents": "ok", "messages": "ok"}


def test_a_source_of_no_search_is_refused(make_context: MakeContext, pooled_tenant: UUID) -> None:
    context, payload = make_context("search.source", pooled_tenant, {"search_id": str(new_id()), "source": "documents"})

    with pytest.raises(Permanent):
        ask(context, payload)


def test_another_tenants_search_cannot_be_answered(
    search: Callable[..., JobContext], make_context: MakeContext, make_tenant: Callable[..., UUID]
) -> None:
    theirs = search("invoice")
    asked = {"search_id": str(theirs.job_id), "source": "documents"}
    context, payload = make_context("search.source", make_tenant("pooled"), asked)

    with pytest.raises(Permanent):
        ask(context, payload)

    assert statuses(read(theirs)) == {"documents": "pending", "messages": "pending"}


# --- the lists that must agree


def test_payloads_offer_the_sources_that_there_are() -> None:
    assert set(PAYLOAD_SOURCES) == set(SOURCES)
