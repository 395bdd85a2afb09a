"""The documents source: words in any language, unfinished and misspelt ones, filters, meaning, and what becomes of it without a model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, select, text, update

from domain.ids import new_id
from domain.search.query import Found, Query, Unanswered
from jobs.context import JobContext
from models.tenant import Document, DocumentEmbedding, DocumentWord, SearchIndexing
from tasks.sources import documents, semantic

MakeContext = Callable[..., Any]


@pytest.fixture
def context(make_context: MakeContext, pooled_tenant: UUID) -> JobContext:
    """A searching job in a tenant of its own, in the shared database."""
    made: JobContext = make_context("system.ping", pooled_tenant, {})[0]
    return made


def put(
    context: JobContext, name: str, title: str, body: str = "", language: str = "simple", **attributes: Any
) -> UUID:
    id = new_id()
    with context.session() as session:
        session.add(
            Document(
                tenant_id=context.tenant_id, id=id, external_id=name, title=title, body=body, language=language,
                attributes=attributes,
            )
        )  # fmt: skip
    return id


def ask(context: JobContext, question: str, *, wanted: int = 10, mode: Any = "keyword", **filters: Any) -> Found:
    query = Query(new_id(), question, wanted, mode, filters)
    return documents.find(context, query, datetime.now(UTC) + timedelta(seconds=60))


def names(found: Found) -> list[str]:
    return [hit.id for hit in found.hits]


def words_of(context: JobContext, document_id: UUID) -> set[str]:
    with context.session() as session:
        return set(session.scalars(select(DocumentWord.word).where(DocumentWord.document_id == document_id)))


# --- the index


def test_the_index_follows_every_change_of_a_document(context: JobContext) -> None:
    id = put(context, "a", "Harbour", "guide guide")
    assert words_of(context, id) == {"harbour", "guide"}
    with context.session() as session:
        session.execute(update(Document).where(Document.id == id).values(body="map"))
    assert words_of(context, id) == {"harbour", "map"}
    with context.session() as session:
        session.execute(update(Document).where(Document.id == id).values(url="https://example.com"))
    assert words_of(context, id) == {"harbour", "map"}
    with context.session() as session:
        session.delete(session.get_one(Document, (context.tenant_id, id)))
    assert words_of(context, id) == set()


def test_words_of_other_tenants_are_neither_seen_nor_found(
    context: JobContext, make_context: MakeContext, make_tenant: Callable[..., UUID]
) -> None:
    neighbour: JobContext = make_context("system.ping", make_tenant("pooled"), {})[0]
    put(neighbour, "theirs", "Secret harbour")
    put(context, "ours", "Harbour")
    with context.session() as session:
        owners = set(session.scalars(select(DocumentWord.tenant_id)))
    assert owners == {context.tenant_id}
    assert names(ask(context, "harbour")) == ["ours"]
    assert names(ask(context, "secr")) == []


def test_the_plan_reads_the_words_by_their_key_as_the_account_that_row_level_security_binds(
    context: JobContext,
) -> None:
    put(context, "a", "Harbour")
    with context.session() as session:
        session.execute(text("SET LOCAL enable_seqscan = off"))
        plan = "\n".join(
            session.scalars(
                text(
                    "EXPLAIN SELECT document_id FROM document_words WHERE tenant_id = :tenant AND word >= 'har' AND word < 'has'"
                ),
                {"tenant": context.tenant_id},
            )
        )
    assert "Index Cond: ((tenant_id = " in plan
    assert "(word >= 'har'::text)" in plan


# --- words


def test_the_last_word_may_be_unfinished(context: JobContext) -> None:
    put(context, "a", "Travel expenses", language="english")
    put(context, "b", "Travel by train", language="english")

    assert names(ask(context, "trav exp")) == []
    assert names(ask(context, "travel exp")) == ["a"]
    assert sorted(names(ask(context, "trav"))) == ["a", "b"]
    assert names(ask(context, "travel exp ")) == []


def test_a_misspelt_word_is_taken_for_the_nearest_and_the_answer_says_so(context: JobContext) -> None:
    put(context, "a", "Harbour guide")

    found = ask(context, "hrabour")

    assert names(found) == ["a"]
    assert found.notes == ("corrected:hrabour=harbour",)
    assert ask(context, "harbour").notes == ()


def test_phrases_negations_and_alternatives_hold(context: JobContext) -> None:
    put(context, "a", "Ferry", "The night boat leaves at ten.", "english")
    put(context, "b", "Ferry", "The boat of the night leaves at ten.", "english")

    assert names(ask(context, '"night boat"')) == ["a"]
    assert names(ask(context, 'ferry -"night boat"')) == ["b"]
    assert sorted(names(ask(context, "zeppelin or ferry"))) == ["a", "b"]
    assert names(ask(context, "-ferry")) == []


def test_a_stop_word_of_one_language_is_looked_for_in_the_others(context: JobContext) -> None:
    put(context, "english", "The harbour", language="english")
    put(context, "simple", "The harbour")
    put(context, "other", "A harbour")

    assert sorted(names(ask(context, "the harbour"))) == ["english", "simple"]
    assert names(ask(context, "the")) == ["simple"]


def test_every_language_that_a_document_can_be_in_is_known_to_the_server(context: JobContext) -> None:
    from domain.search.languages import LANGUAGES

    with context.session() as session:
        known = set(session.scalars(text("SELECT cfgname FROM pg_ts_config")))
    assert set(LANGUAGES) <= known


# --- filters


def test_filters_compare_within_their_type(context: JobContext) -> None:
    put(context, "old", "Memo", kind="memo", year=2019, secret=True)
    put(context, "new", "Memo", kind="letter", year=2024.5)
    put(context, "text", "Memo", year="2024")
    put(context, "bare", "Memo")

    assert names(ask(context, "memo", year={"gt": 2020})) == ["new"]
    assert names(ask(context, "memo", year={"lt": 2020})) == ["old"]
    assert names(ask(context, "memo", year="2024")) == ["text"]
    assert sorted(names(ask(context, "memo", kind={"in": ["memo", "letter"]}))) == ["new", "old"]
    assert sorted(names(ask(context, "memo", kind={"exists": False}))) == ["bare", "text"]
    assert names(ask(context, "memo", secret=True)) == ["old"]
    assert names(ask(context, "memo", kind="x' OR 'a'='a")) == []


# --- meaning


def index_as(context: JobContext, **values: Any) -> None:
    with context.session() as session:
        session.execute(insert(SearchIndexing).values({"tenant_id": context.tenant_id, "embeds": True, **values}))


def embed(context: JobContext, ids: Sequence[UUID], vectors: Sequence[Sequence[float]], model: str = "test/m") -> None:
    with context.session() as session:
        session.add_all(
            DocumentEmbedding(
                tenant_id=context.tenant_id, document_id=id, wanted_hash=b"h", content_hash=b"h", generation=1, model=model,
                dimensions=len(vector), embedding=list(vector),
            )
            for id, vector in zip(ids, vectors, strict=True)
        )  # fmt: skip


def test_the_nearest_come_first_and_only_of_the_same_model_and_size(context: JobContext) -> None:
    ids = [put(context, name, name, kind=name[0]) for name in ("a1", "a2", "b1", "other", "small")]
    embed(context, ids[:3], [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.9, 0.1, 0.0)])
    embed(context, ids[3:4], [(1.0, 0.0, 0.0)], model="test/other")
    embed(context, ids[4:], [(1.0, 0.0)])
    vector = semantic.Vector([1.0, 0.0, 0.0], "test/m")

    with context.session() as session:
        hits = semantic.nearest(session, context.tenant_id, vector, (), 10)
        filtered = semantic.nearest(session, context.tenant_id, vector, documents.parse({"kind": "a"}), 10)

    assert [hit.id for hit in hits] == ["a1", "b1", "a2"]
    assert [hit.id for hit in filtered] == ["a1", "a2"]


_MANY = """
WITH made AS (
    INSERT INTO documents (tenant_id, id, external_id, title, body, metadata)
    SELECT :tenant, gen_random_uuid(), 'd' || n, 'T', '', jsonb_build_object('kind', CASE WHEN n % 100 = 0 THEN 'rare' ELSE 'plain' END)
      FROM generate_series(1, 2000) AS n RETURNING id, external_id
)
INSERT INTO document_embeddings (tenant_id, document_id, wanted_hash, content_hash, generation, model, dimensions, embedding)
SELECT :tenant, id, 'h', 'h', 1, 'test/m', 256,
       (SELECT array_agg(sin(substr(external_id, 2)::int * (1 + i * 0.37)))::vector FROM generate_series(1, 256) AS i)
  FROM made
"""


def test_the_index_finds_of_one_percent_what_a_comparison_of_all_finds(
    context: JobContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    with context.session() as session:
        session.execute(text(_MANY), {"tenant": context.tenant_id})
    asked = [
        semantic.Vector([math.sin(n * (1 + i * 0.37)) for i in range(1, 257)], "test/m") for n in range(7, 1007, 100)
    ]
    rare = documents.parse({"kind": "rare"})

    def nearest(vector: semantic.Vector) -> list[str]:
        with context.session() as session:
            session.execute(text("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off"))
            return [hit.id for hit in semantic.nearest(session, context.tenant_id, vector, rare, 10)]

    exact = [nearest(vector) for vector in asked]
    monkeypatch.setattr(semantic, "is_exact", lambda *_: False)
    left = [nearest(vector) for vector in asked]
    assert left == exact, "what the filter leaves is compared one by one"

    monkeypatch.setattr(semantic, "EXACT_BELOW", 1)
    monkeypatch.setattr(semantic, "_one_by_one", lambda _: pytest.fail("the index found too few"))
    indexed = [nearest(vector) for vector in asked]
    found = sum(len(set(one) & set(other)) for one, other in zip(exact, indexed, strict=True))
    assert found / sum(map(len, exact)) >= 0.95


def test_an_index_that_finds_too_few_is_not_believed(context: JobContext, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [put(context, name, name) for name in ("a", "b")]
    embed(context, ids, [(1.0, 0.0), (0.0, 1.0)])
    monkeypatch.setattr(semantic, "is_exact", lambda *_: False)
    monkeypatch.setattr(semantic, "_by_index", lambda *_: "SELECT WHERE CAST(:asked AS text) IS NULL")

    with context.session() as session:
        hits = semantic.nearest(session, context.tenant_id, semantic.Vector([1.0, 0.0], "test/m"), (), 10)

    assert [hit.id for hit in hits] == ["a", "b"]


def test_without_embeddings_words_alone_are_looked_for_and_the_answer_says_so(context: JobContext) -> None:
    put(context, "a", "Harbour")

    found = ask(context, "harbour", mode="hybrid")

    assert (names(found), found.degraded, found.notes) == (["a"], None, ("keyword_only", "embeddings_off"))
    with pytest.raises(Unanswered) as raised:
        ask(context, "harbour", mode="semantic")
    assert (raised.value.status, raised.value.code) == ("skipped", "embeddings_off")


def test_a_model_that_cannot_be_asked_leaves_the_words(context: JobContext, under: Callable[..., JobContext]) -> None:
    put(context, "a", "Harbour")
    index_as(context)
    down = under(context, environment="production")

    found = ask(down, "harbour", mode="hybrid")

    assert (names(found), found.degraded) == (["a"], "llm_not_configured")
    assert "keyword_only" in found.notes
    with pytest.raises(Unanswered) as raised:
        ask(down, "harbour", mode="semantic")
    assert (raised.value.status, raised.value.code) == ("error", "llm_not_configured")
