"""What is printed where."""

from __future__ import annotations

import json

import pytest

from cli.output import clean, print_details, print_json, print_table


def test_a_table_in_a_pipe_is_tab_separated(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("id", "name"), [[1, "one"], [2, None]])

    assert capsys.readouterr().out == "id\tname\n1\tone\n2\t\n"


def test_a_cell_is_one_cell_whatever_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name",), [["a\tb\nc"]])

    assert capsys.readouterr().out.splitlines()[1] == "a b c"


def test_json_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"text": "a\nü"})

    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert json.loads(out) == {"text": "a\nü"}


def test_details_are_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    print_details({"id": "1", "result": {"a": 1}})

    assert capsys.readouterr().out == 'id      1\nresult  {"a": 1}\n'


def test_text_cannot_steer_the_terminal() -> None:
    assert clean("\x1b]0;title\x07 \u202etxt") == "�]0;title� �txt"
