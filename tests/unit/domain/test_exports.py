"""CSV of tenants' data: text stays text, whoever opens it."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.exports.spreadsheets import cell, lines


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("http://evil.example")', "\t=1", "\r=1", "\n=1", "  =1", "\uff1d1",
     "=cmd|' /C calc'!A0"],
)  # fmt: skip
def test_a_formula_becomes_text(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize(("value", "text"), [("Ada", "Ada"), (-5, "-5"), (1.5, "1.5"), (None, ""), ("a=b", "a=b")])
def test_what_is_no_formula_stays_as_it_is(value: str | float | None, text: str) -> None:
    assert cell(value) == text


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1))
def test_every_text_is_read_back_and_none_begins_a_formula(texts: list[str]) -> None:
    written = "".join(lines(["a"] * len(texts), [texts]))
    _, read = csv.reader(io.StringIO(written, newline=""))

    assert [
        value.removeprefix("'") if value != text else value for value, text in zip(read, texts, strict=True)
    ] == texts
    assert not any(value.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) for value in read)
