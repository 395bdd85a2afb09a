"""How a question is read, which words may be meant, and which filters are taken."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.search.filters import MOST_FILTERS, MOST_VALUES, BadFilters, Filter, conditions, parse
from domain.search.text import MOST_CLAUSES, Clause, quoted, read_question
from domain.search.typos import nearest, slips, slips_allowed


def test_words_phrases_negations_and_alternatives_are_told_apart() -> None:
    assert read_question('travel "by train" -car or ferry -"night boat" ') == (
        (Clause("travel"), Clause("by train", phrase=True), Clause("car", negated=True)),
        (Clause("ferry"), Clause("night boat", negated=True, phrase=True)),
    )


@pytest.mark.parametrize(
    ("question", "unfinished"),
    [
        ("tra", True),
        ("travel exp", True),
        ("travel ", False),
        ('"travel exp"', False),
        ("a -tra", False),
        ("t", False),
        ("tra!", False),
    ],
)
def test_only_a_bare_word_at_the_very_end_may_go_on(question: str, unfinished: bool) -> None:
    assert any(clause.unfinished for group in read_question(question) for clause in group) is unfinished


@pytest.mark.parametrize("question", ["", "-only", '-"not this"', "or", '""', "!!", "- -", "or or"])
def test_a_question_that_asks_for_nothing_has_no_groups(question: str) -> None:
    assert read_question(question) == ()


@settings(deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_read(question: str) -> None:
    groups = read_question(question)
    assert sum(map(len, groups)) <= MOST_CLAUSES
    assert all(any(not clause.negated for clause in group) for group in groups)


def test_a_lexeme_cannot_leave_its_quotes() -> None:
    assert quoted("o'neill\\") == "'o''neill\\\\'"


@pytest.mark.parametrize(
    ("one", "other", "count"),
    [("harbour", "harbour", 0), ("hrabour", "harbour", 1), ("harbor", "harbour", 1), ("cat", "dog", 2)],
)
def test_slips_are_counted_with_neighbours_swapped_as_one(one: str, other: str, count: int) -> None:
    assert slips(one, other, 1) == count


@settings(deadline=None)
@given(st.text("abc", max_size=8), st.text("abc", max_size=8))
def test_slips_are_the_same_both_ways(one: str, other: str) -> None:
    assert slips(one, other, 8) == slips(other, one, 8)


def test_short_words_and_codes_are_not_guessed_at() -> None:
    assert [slips_allowed(word) for word in ("cat", "ab12cd", "boat", "lighthouse")] == [0, 0, 1, 2]
    assert nearest("cat", ["car"]) == []
    assert nearest("ferri", ["ferry", "berry", "merry"]) == ["ferry"]


def test_conditions_name_fields_and_values_only_as_parameters() -> None:
    nasty = "x'; DROP TABLE documents; --"

    sql, parameters = conditions([Filter("kind", "eq", nasty), Filter("year", "in", [1, 2])])

    assert "DROP" not in sql
    assert "kind" not in sql
    assert parameters["filter_field_0"] == "kind"


def test_a_scalar_alone_is_equality_and_several_operators_hold_together() -> None:
    assert parse({"kind": "memo", "year": {"gt": 2020, "lt": 2024}}) == (
        Filter("kind", "eq", "memo"), Filter("year", "gt", 2020), Filter("year", "lt", 2024),
    )  # fmt: skip


@pytest.mark.parametrize(
    "asked",
    [
        {"Kind": "x"}, {"a b": "x"}, {"a'); --": "x"}, {"x" * 51: 1}, {"kind": {"like": "%"}}, {"kind": {}}, {"kind": None},
        {"kind": {"in": "x"}}, {"kind": {"in": []}}, {"kind": {"in": list(range(MOST_VALUES + 1))}}, {"kind": {"exists": 1}},
        {"kind": {"lt": True}}, {"kind": ["x"]}, {"kind": float("nan")}, {"kind": 10**400}, {"kind": "\0"}, {"kind": "\ud800"}, {"kind": "x" * 501},
        {f"f{number}": 1 for number in range(MOST_FILTERS + 1)},
    ],
)  # fmt: skip
def test_filters_outside_the_list_of_shapes_are_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(BadFilters) as raised:
        parse(asked)
    assert raised.value.faults
