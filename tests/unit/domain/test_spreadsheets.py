"""Lines of CSV that no spreadsheet computes."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.spreadsheets import csv_line


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1"])
def test_text_that_begins_like_a_formula_gets_an_apostrophe(cell: str) -> None:
    assert next(csv.reader(io.StringIO(csv_line([cell]), newline=""))) == [f"'{cell}"]


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1, max_size=5))
def test_a_line_reads_back_and_no_cell_begins_a_formula(cells: list[str]) -> None:
    rows = list(csv.reader(io.StringIO(csv_line(cells), newline="")))
    if cells == [""]:
        return
    assert len(rows) == 1
    for read, written in zip(rows[0], cells, strict=True):
        assert read in {written, f"'{written}"}
        assert not read.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


def test_numbers_and_nothing_stay() -> None:
    assert csv_line([-1, None, "a,b"]) == '-1,,"a,b"\r\n'
