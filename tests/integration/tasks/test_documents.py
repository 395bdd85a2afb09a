"""`document.embed` and `document.reindex`: what has changed is embedded once, and nothing is lost on the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr
from sqlalchemy import insert, select, text, update

from domain.errors import Permanent, Transient
from domain.identity.principals import Principal
from domain.ids import new_id
from domain.search.query import Query, Unanswered
from jobs.context import JobContext
from models.tenant import Document, DocumentEmbedding, SearchIndexing
from models.tenant.documents import MARK_DUE
from tasks import documents as handlers
from tasks.documents import embed, reindex
from tasks.sources import documents as source
from tests.contracts.llm_double import LlmDouble, llm_double
from tests.integration.tasks.conftest import next_attempt

MakeContext = Callable[..., Any]


@pytest.fixture
def double() -> Iterator[LlmDouble]:
    with llm_double() as running:
        yield running


@pytest.fixture
def context(
    make_context: MakeContext, pooled_tenant: UUID, under: Callable[..., JobContext], double: LlmDouble
) -> JobContext:
    """A claimed `document.embed` of a tenant that embeds, on a platform whose OpenAI account is the double."""
    claimed, _ = make_context("document.embed", pooled_tenant, {})
    with claimed.session() as session:
        session.execute(insert(SearchIndexing).values({"tenant_id": pooled_tenant, "embeds": True}))
    return under(claimed, openai_api_key=SecretStr("sk-test"), openai_base_url=f"{double.url}/v1")


def put(context: JobContext, *titles: str) -> list[UUID]:
    """Documents, marked as a write of the API marks them."""
    rows = [
        {"tenant_id": context.tenant_id, "id": new_id(), "external_id": title, "title": title, "body": "body"}
        for title in titles
    ]
    ids = [row["id"] for row in rows]
    with context.session() as session:
        session.execute(insert(Document), rows)
        session.execute(MARK_DUE, {"tenant": context.tenant_id, "ids": ids, "generation": 1})
    return ids


def change(context: JobContext, id: UUID, title: str) -> None:
    with context.session() as session:
        session.execute(update(Document).where(Document.id == id).values(title=title))
        session.execute(MARK_DUE, {"tenant": context.tenant_id, "ids": [id], "generation": 1})


def state(context: JobContext) -> dict[str, Any]:
    """By title: the vector's first number, or None, and whether it waits."""
    rows = select(Document.title, DocumentEmbedding.embedding, DocumentEmbedding.due_at).join(
        DocumentEmbedding, DocumentEmbedding.document_id == Document.id
    )
    with context.session() as session:
        return {
            title: (None if vector is None else vector[0], due is not None)
            for title, vector, due in session.execute(rows)
        }


def texts_asked(double: LlmDouble) -> list[str]:
    return [text for _, _, body in double.requests for text in body["input"]]


def test_what_is_due_is_embedded_in_one_call_with_model_and_size_beside_it(
    context: JobContext, double: LlmDouble
) -> None:
    put(context, "a", "bb")

    result = embed(context, {})

    assert result == {"embedded": 2, "refused": 0}
    assert state(context) == {"a": (7.0, False), "bb": (8.0, False)}
    assert len(double.requests) == 1
    with context.session() as session:
        row = session.scalars(select(DocumentEmbedding)).first()
        assert row is not None
        assert (row.model, row.dimensions, row.generation) == ("openai/text-embedding-3-small", 2, 1)


def test_nothing_unchanged_is_embedded_again(context: JobContext, double: LlmDouble) -> None:
    (first, _) = put(context, "a", "bb")
    embed(context, {})
    change(context, first, "a")
    change(context, first, "ccc")
    change(context, first, "a")

    embed(context, {})
    reindex(context, {})

    assert sorted(texts_asked(double)) == ["a\n\nbody", "bb\n\nbody"]
    assert state(context) == {"a": (7.0, False), "bb": (8.0, False)}


def test_a_document_that_changes_while_the_model_is_asked_gets_the_vector_of_its_new_text(
    context: JobContext, double: LlmDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    (id,) = put(context, "a")
    asked = handlers.embed_texts

    def meanwhile(*arguments: Any, **options: Any) -> Any:
        made = asked(*arguments, **options)
        if len(double.requests) == 1:
            change(context, id, "changed")
        return made

    monkeypatch.setattr(handlers, "embed_texts", meanwhile)

    embed(context, {})

    assert state(context) == {"changed": (13.0, False)}
    assert texts_asked(double) == ["a\n\nbody", "changed\n\nbody"]


def test_an_attempt_that_dies_before_its_vectors_are_written_is_made_good_by_the_next(
    context: JobContext, double: LlmDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(context, "a", "bb")

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(handlers, "_write", killed)
        with pytest.raises(KeyboardInterrupt):
            embed(context, {})
    assert state(context) == {"a": (None, True), "bb": (None, True)}

    assert embed(next_attempt(context), {}) == {"embedded": 2, "refused": 0}
    assert state(context) == {"a": (7.0, False), "bb": (8.0, False)}


def test_what_another_job_is_at_is_left_to_it_until_its_claim_has_lapsed(
    context: JobContext, make_context: MakeContext, monkeypatch: pytest.MonkeyPatch, double: LlmDouble
) -> None:
    put(context, "a")

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(handlers, "_write", killed)
        with pytest.raises(KeyboardInterrupt):
            embed(context, {})
    other = make_context("document.embed", context.tenant_id, {})[0]

    assert embed(other, {}) == {"embedded": 0, "refused": 0}
    with context.session() as session:
        session.execute(text("UPDATE document_embeddings SET due_at = now() - interval '1 second'"))
    assert embed(other, {})["embedded"] == 1


def test_a_text_that_no_model_takes_is_given_up_alone(context: JobContext, double: LlmDouble) -> None:
    put(context, "a", "bb", "ccc")
    double.script = ["too-long", "too-long", "ok", "ok"]

    result = embed(context, {})

    assert result == {"embedded": 2, "refused": 1}
    with context.session() as session:
        errors = session.scalars(select(DocumentEmbedding.error).where(DocumentEmbedding.error.is_not(None))).all()
    assert errors == ["context_window_exceeded"]
    assert reindex(context, {})["embedded"] == 1


def test_a_provider_that_is_down_fails_the_job_for_now_and_leaves_all_due(
    context: JobContext, double: LlmDouble
) -> None:
    put(context, "a")
    double.script = ["429"]

    with pytest.raises(Transient):
        embed(context, {})

    assert state(context) == {"a": (None, True)}
    assert embed(next_attempt(context), {})["embedded"] == 1


def test_vectors_of_another_size_than_chosen_are_refused(context: JobContext, double: LlmDouble) -> None:
    put(context, "a")
    with context.session() as session:
        session.execute(update(SearchIndexing).values(dimensions=3))

    with pytest.raises(Permanent) as raised:
        embed(context, {})

    assert raised.value.job_code == "embedding_dimensions"
    assert state(context) == {"a": (None, True)}


def test_another_model_embeds_everything_again_with_progress(context: JobContext, double: LlmDouble) -> None:
    put(context, "a", "bb")
    embed(context, {})
    with context.session() as session:
        session.execute(update(SearchIndexing).values(model="text-embedding-3-large", generation=2))

    assert reindex(context, {}) == {"embedded": 2, "refused": 0}

    assert [body["model"] for _, _, body in double.requests] == ["text-embedding-3-small", "text-embedding-3-large"]
    assert context.sink.seen[-1] == (2, 2, "embedding documents")  # type: ignore[attr-defined]  # the tests' sink
    with context.session() as session:
        assert set(session.scalars(select(DocumentEmbedding.model))) == {"openai/text-embedding-3-large"}


def test_documents_of_before_are_embedded_once_the_tenant_chooses_to(context: JobContext) -> None:
    ids = put(context, "a")
    with context.session() as session:
        session.execute(text("DELETE FROM document_embeddings"))

    assert reindex(context, {})["embedded"] == len(ids)


def test_a_job_that_waits_to_write_one_vector_holds_no_later_document(
    context: JobContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write of the API marks documents in the same order, so neither waits for the other in a circle, whatever the plan."""
    open_session = JobContext.session

    @contextmanager
    def scanning(self: JobContext) -> Iterator[Any]:
        with open_session(self) as session:
            session.execute(text("SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off"))
            yield session

    ids = put(context, "a", "b")
    indexing = SearchIndexing(generation=1, embeds=True)
    _, texts = handlers._claim(context, indexing)
    texts.sort(key=lambda each: each.content, reverse=True)
    with context.session() as session:  # so that the first lies behind the second
        session.execute(text("UPDATE document_embeddings SET error = error WHERE document_id = :id"), {"id": ids[0]})
    made = {"provider": "test", "model": "m", "embeddings": [(2.0, 0.0), (1.0, 0.0)]}
    lock = text("SELECT FROM document_embeddings WHERE document_id = :id FOR UPDATE NOWAIT")
    blocked = text("SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))")

    with ThreadPoolExecutor(1) as pool:
        with context.session() as session:
            session.execute(lock, {"id": ids[0]})
            monkeypatch.setattr(JobContext, "session", scanning)
            writing = pool.submit(handlers._write, context, indexing, texts, made)
            deadline = time.monotonic() + 30
            while not session.scalar(blocked):
                session.execute(text("SELECT pg_stat_clear_snapshot()"))
                assert time.monotonic() < deadline, "nobody waits"
                time.sleep(0.01)
            session.execute(lock, {"id": ids[1]})
        writing.result(60)

    assert state(context) == {"a": (1.0, False), "b": (2.0, False)}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e39", f"1{'0' * 400}"])
def test_vectors_that_hold_what_is_no_number_are_an_unreadable_answer(
    context: JobContext, double: LlmDouble, number: str
) -> None:
    put(context, "a")
    double.script = [f"vector:[{number}, 1.0]"]

    with pytest.raises(Transient) as raised:
        embed(context, {})

    assert raised.value.job_code == "provider_malformed_response"
    assert state(context) == {"a": (None, True)}


def test_a_search_finds_by_meaning_what_has_been_embedded(context: JobContext, double: LlmDouble) -> None:
    put(context, "a", "bb")
    embed(context, {})

    found = source.find(
        context, Query(new_id(), "bb\n\nbody", 10, "hybrid", {}), datetime.now(UTC) + timedelta(seconds=30)
    )

    assert found.hits[0].id == "bb"
    assert {hit.id for hit in found.hits} == {"a", "bb"}
    assert (found.degraded, found.notes) == (None, ())


def test_a_search_that_may_not_submit_the_job_of_what_waits_is_answered(context: JobContext, double: LlmDouble) -> None:
    put(context, "a")
    who = Principal("user:1", new_id(), context.tenant_id)
    used_up = """INSERT INTO plan_allowances (tenant_id, code, period_start, period_end, quota, hard, used)
                 VALUES (%(tenant)s, 'jobs', now() - interval '1 day', now() + interval '1 day', 0, true, 0)"""
    context.tenancy.platform.fetch(used_up, {"tenant": context.tenant_id})
    with context.session() as session:
        session.execute(text("UPDATE document_embeddings SET due_at = now() - interval '1 hour'"))

    soon = datetime.now(UTC) + timedelta(seconds=30)
    found = source.find(replace(context, principal=who), Query(new_id(), "a", 10, "hybrid", {}), soon)

    assert ([hit.id for hit in found.hits], found.notes) == (["a"], ("embedding_incomplete",))


@pytest.mark.parametrize("vector", ["[1.0, 0.0, 0.0]", "[1.0]"])
def test_a_question_whose_vector_is_of_another_size_leaves_the_words_and_says_so(
    context: JobContext, double: LlmDouble, vector: str
) -> None:
    put(context, "harbour")
    embed(context, {})
    soon = datetime.now(UTC) + timedelta(seconds=30)
    double.script = [f"vector:{vector}"] * 2

    found = source.find(context, Query(new_id(), "harbour", 10, "hybrid", {}), soon)

    assert [hit.id for hit in found.hits] == ["harbour"]
    assert (found.degraded, found.notes) == ("embedding_mismatch", ("keyword_only",))
    with pytest.raises(Unanswered) as raised:
        source.find(context, Query(new_id(), "harbour", 10, "semantic", {}), soon)
    assert (raised.value.status, raised.value.code) == ("error", "embedding_mismatch")


def test_a_search_that_finds_documents_waiting_too_long_submits_their_job_once(
    context: JobContext, double: LlmDouble
) -> None:
    put(context, "a")
    with context.session() as session:
        session.execute(text("UPDATE document_embeddings SET due_at = now() - interval '1 hour'"))
    query = Query(new_id(), "a", 10, "hybrid", {})

    for _ in range(2):
        found = source.find(context, query, datetime.now(UTC) + timedelta(seconds=30))
        assert "embedding_incomplete" in found.notes

    rows = context.tenancy.platform.fetch(
        "SELECT id FROM jobs WHERE tenant_id = %(tenant)s AND kind = 'document.embed' AND unique_key IS NOT NULL",
        {"tenant": context.tenant_id},
    )
    assert len(rows) == 1
