"""Fusing what the sources of a search found, and the answer made of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.search.answer import Question, SourceAnswer, answer, hit_as_stored, is_complete
from domain.search.fusion import Hit, fuse

ASKED = datetime(2026, 5, 1, 12, tzinfo=UTC)
QUESTION = Question(UUID(int=7), ("documents", "messages"), 10, ASKED, ASKED + timedelta(seconds=5))


def hit(canonical: str, source: str = "documents") -> Hit:
    return Hit(f"{source}-{canonical}", canonical, source, canonical.title(), f"«{canonical}»", None)


def found(source: str, *names: str) -> list[Hit]:
    return [hit(name, source) for name in names]


lists_of_hits = st.dictionaries(
    st.sampled_from(["documents", "messages", "users", "web"]),
    st.lists(st.sampled_from("abcdefgh"), max_size=8),
    max_size=4,
).map(lambda results: {source: found(source, *names) for source, names in results.items()})
weights = st.dictionaries(st.sampled_from(["documents", "messages", "users", "web"]), st.floats(0.1, 5.0))


# --- fusion


def test_what_two_sources_found_comes_before_what_one_did() -> None:
    fused = fuse({"documents": found("documents", "a", "b"), "messages": found("messages", "b", "c")}, {}, 10)

    assert [one.hit.canonical_id for one in fused] == ["b", "a", "c"]
    assert fused[0].ranks == {"documents": 2, "messages": 1}
    assert fused[0].score == pytest.approx(float(Fraction(1, 62) + Fraction(1, 61)))


def test_a_weight_lifts_a_sources_hits() -> None:
    results = {"documents": found("documents", "a"), "messages": found("messages", "b")}

    assert [one.hit.canonical_id for one in fuse(results, {"messages": 2.0}, 10)] == ["b", "a"]


def test_the_same_thing_is_shown_once_as_its_best_placed_hit() -> None:
    results = {"documents": found("documents", "x", "a", "a"), "messages": found("messages", "a")}

    shown = [one for one in fuse(results, {}, 10) if one.hit.canonical_id == "a"]

    assert [(one.hit.source, one.ranks) for one in shown] == [("messages", {"documents": 2, "messages": 1})]


def test_equal_scores_are_ordered_by_id() -> None:
    results = {"web": found("web", "a"), "documents": found("documents", "b"), "messages": found("messages", "c")}

    assert [one.hit.id for one in fuse(results, {}, 10)] == ["documents-b", "messages-c", "web-a"]


@given(lists_of_hits, weights)
def test_the_order_of_the_sources_does_not_matter(results: dict[str, list[Hit]], weighted: dict[str, float]) -> None:
    backwards = dict(reversed(results.items()))

    assert fuse(results, weighted, 50) == fuse(backwards, weighted, 50)


@given(lists_of_hits, weights, st.integers(0, 10))
def test_a_shorter_answer_is_the_beginning_of_a_longer_one(
    results: dict[str, list[Hit]], weighted: dict[str, float], limit: int
) -> None:
    assert fuse(results, weighted, limit) == fuse(results, weighted, 50)[:limit]


@given(lists_of_hits, weights)
def test_every_thing_that_was_found_is_shown_once_best_first(
    results: dict[str, list[Hit]], weighted: dict[str, float]
) -> None:
    fused = fuse(results, weighted, 50)

    things = [one.hit.canonical_id for one in fused]
    assert sorted(things) == sorted({one.canonical_id for hits in results.values() for one in hits})
    assert [one.score for one in fused] == sorted((one.score for one in fused), reverse=True)


# --- the answer


def written(source: str, status: str = "ok", after_ms: int = 100, **fields: Any) -> SourceAnswer:
    hits = [hit_as_stored(one) for one in fields.pop("hits", [])]
    return SourceAnswer(source, status, 40, hits, fields.pop("error", None), ASKED + timedelta(milliseconds=after_ms))


def test_an_answer_of_all_sources_is_whole() -> None:
    answers = [
        written("documents", hits=found("documents", "a")),
        written("messages", after_ms=250, hits=found("messages", "b")),
    ]

    whole = answer(QUESTION, answers, ASKED + timedelta(seconds=1))

    assert whole["search_id"] == QUESTION.search_id
    assert (whole["took_ms"], whole["partial"], whole["total"]) == (250, False, 2)
    assert [one["id"] for one in whole["hits"]] == ["documents-a", "messages-b"]
    assert whole["hits"][0] == {
        "id": "documents-a", "source": "documents", "title": "A", "snippet": "«a»", "url": None,
        "score": pytest.approx(1 / 61), "ranks": {"documents": 1},
    }  # fmt: skip
    assert whole["sources"][1] == {
        "name": "messages",
        "status": "ok",
        "took_ms": 40,
        "hits": 1,
        "error": None,
        "notes": [],
    }


def test_a_silent_source_is_pending_before_the_deadline_and_timed_out_after() -> None:
    before = answer(QUESTION, [written("documents")], ASKED + timedelta(seconds=2))
    after = answer(QUESTION, [written("documents")], ASKED + timedelta(seconds=60))

    assert [(one["sources"][1]["status"], one["took_ms"], one["partial"]) for one in (before, after)] == [
        ("pending", 2000, True),
        ("timeout", 5000, True),
    ]


def test_what_came_late_is_not_merged() -> None:
    late = written("messages", after_ms=5001, hits=found("messages", "b"))

    seen = answer(QUESTION, [written("documents"), late], ASKED + timedelta(seconds=60))

    assert seen["hits"] == []
    assert (seen["sources"][1]["status"], seen["sources"][1]["hits"]) == ("timeout", 0)


def test_a_source_that_failed_makes_the_answer_partial_and_says_why() -> None:
    answers = [
        written("documents", hits=found("documents", "a")),
        written("messages", "error", error="source_failed"),
    ]

    seen = answer(QUESTION, answers, ASKED + timedelta(seconds=1))

    assert (seen["partial"], len(seen["hits"]), seen["sources"][1]["error"]) == (True, 1, "source_failed")


def test_an_answer_is_complete_with_the_last_source_or_the_deadline() -> None:
    both = [written("documents"), written("messages")]

    assert not is_complete(QUESTION, both[:1], ASKED)
    assert is_complete(QUESTION, both, ASKED)
    assert is_complete(QUESTION, [], QUESTION.deadline_at)
