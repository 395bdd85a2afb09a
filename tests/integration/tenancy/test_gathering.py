"""Gathering: what many threads ask at once is done in one go, each gets its own answer, and nobody is left waiting."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tenancy.gathering import Gathering

GENEROUS = 30.0


def test_alone_one_is_served_at_once() -> None:
    gathering: Gathering[str, int, int] = Gathering(lambda _, asked: [each + 1 for each in asked])

    assert [gathering.ask("a", number) for number in range(3)] == [1, 2, 3]


def test_who_comes_during_a_turn_shares_the_next_and_each_gets_its_own_answer() -> None:
    turns: list[list[int]] = []
    begun, go_on = threading.Event(), threading.Event()

    def act(_: str, asked: Sequence[int]) -> list[int]:
        turns.append(list(asked))
        begun.set()
        go_on.wait(GENEROUS)
        return [each * 10 for each in asked]

    gathering: Gathering[str, int, int] = Gathering(act, limit=3)
    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(gathering.ask, "a", 0)
        assert begun.wait(GENEROUS)
        others = [pool.submit(gathering.ask, "a", number) for number in range(1, 6)]
        while len(gathering) < 5:
            threading.Event().wait(0.01)
        go_on.set()
        assert [each.result(GENEROUS) for each in (first, *others)] == [0, 10, 20, 30, 40, 50]

    assert turns[0] == [0]
    assert [len(turn) for turn in turns] == [1, 3, 2]
    assert len(gathering) == 0


def test_what_goes_wrong_is_told_to_each_and_the_next_turn_is_free_of_it() -> None:
    fails = True

    def act(_: str, asked: Sequence[int]) -> list[int]:
        if fails:
            raise ConnectionError("away")
        return list(asked)

    gathering: Gathering[str, int, int] = Gathering(act)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(gathering.ask, "a", number) for number in range(4)]
        assert {type(each.exception(GENEROUS)) for each in asked} == {ConnectionError}
    fails = False

    assert gathering.ask("a", 7) == 7


def test_one_key_does_not_wait_for_another() -> None:
    release = threading.Event()

    def act(key: str, asked: Sequence[int]) -> list[int]:
        if key == "slow":
            release.wait(GENEROUS)
        return list(asked)

    gathering: Gathering[str, int, int] = Gathering(act)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(gathering.ask, "slow", 1)
        assert gathering.ask("quick", 2) == 2
        release.set()
        assert slow.result(GENEROUS) == 1


def test_answers_that_do_not_fit_the_questions_are_an_error() -> None:
    gathering: Gathering[str, int, int] = Gathering(lambda _, __: [])

    with pytest.raises(ValueError, match="shorter"):
        gathering.ask("a", 1)
