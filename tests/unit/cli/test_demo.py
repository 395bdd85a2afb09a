"""The demo's own rules: what happens when a part fails, and what it remembers."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from cli.demo.board import Board
from cli.demo.command import Part, run_parts
from cli.demo.place import administrator
from cli.demo.stage import PartFailed, Stage
from cli.demo.state import load_state
from cli.errors import CommandFailed, TimedOut
from config.settings import load


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage("http://127.0.0.1:9", tmp_path, {}, load_state(tmp_path))


def works(stage: Stage) -> str:
    return "fine"


def breaks(stage: Stage) -> str:
    raise PartFailed("it broke")


def answers_nonsense(stage: Stage) -> str:
    return str({}["id"])


def waits_for_ever(stage: Stage) -> str:
    stage.tell("1 of 2 invoices")
    return stage.until("the invoices", lambda: None)


def run(stage: Stage, *parts: Part) -> tuple[dict[str, str], list[str]]:
    with Board([part.name for part in parts], live=False) as board:
        failures = run_parts(board, stage, parts)
    return dict(failures), [row.state for row in board.rows.values()]


def test_parts_that_work_print_a_line_each(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    failures, states = run(stage, Part("one", 5, works), Part("two", 5, works))

    assert failures == {}
    assert states == ["done", "done"]
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [(words[0], *words[3:]) for words in lines] == [("done", "one", "fine"), ("done", "two", "fine")]


def test_a_part_that_fails_does_not_stop_the_others(stage: Stage) -> None:
    failures, states = run(stage, Part("one", 5, breaks), Part("two", 5, works))

    assert failures == {"one": "it broke"}
    assert states == ["failed", "done"]


def test_without_a_needed_part_the_rest_is_skipped(stage: Stage) -> None:
    failures, states = run(stage, Part("one", 5, breaks, needed=True), Part("two", 5, works), Part("three", 5, works))

    assert failures == {"one": "it broke"}
    assert states == ["failed", "skipped", "skipped"]


def test_an_answer_that_is_not_as_documented_fails_the_part(stage: Stage) -> None:
    failures, _ = run(stage, Part("one", 5, answers_nonsense))

    assert failures == {"one": "unexpected answer: KeyError: 'id'"}


def test_every_part_has_a_timeout_and_says_how_far_it_was(stage: Stage) -> None:
    failures, states = run(stage, Part("one", 0.4, waits_for_ever))

    assert failures == {"one": "the invoices did not come in time (1 of 2 invoices)"}
    assert states == ["failed"]


def test_no_request_begins_after_the_timeout(stage: Stage) -> None:
    stage.begin(-1, lambda text: None)

    with pytest.raises(TimedOut):
        stage.anonymous().get("/api/v1/jobs")
    stage.end()


def test_the_demo_remembers_its_account_privately(tmp_path: Path) -> None:
    state = load_state(tmp_path)
    state.tenant_id = "t1"
    state.save()

    again = load_state(tmp_path)
    assert (again.password, again.tenant_id) == (state.password, "t1")
    assert stat.S_IMODE((tmp_path / "demo.json").stat().st_mode) == 0o600
    assert state.password not in repr(state)


def test_damaged_memory_is_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "demo.json").write_text('{"colour": 1}')

    with pytest.raises(CommandFailed, match=r"demo\.json cannot be read"):
        load_state(tmp_path)


def test_the_administrator_of_the_settings_wins(tmp_path: Path) -> None:
    state = load_state(tmp_path)
    state.admin_email, state.admin_password = "a@example.com", "from the demo"
    given = load(_env_file=None, NEXUS_ADMIN_EMAIL="b@example.com", NEXUS_ADMIN_PASSWORD="from the operator")

    assert administrator(given, state) == ("b@example.com", "from the operator")
    assert administrator(load(_env_file=None), state) == ("a@example.com", "from the demo")
    assert administrator(load(_env_file=None), load_state(tmp_path)) is None
