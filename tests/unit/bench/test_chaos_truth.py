"""What a client of a chaos run may be shown of one job after another, and which answers it may get."""

from __future__ import annotations

import time
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.chaos.truth import REACHABLE, Witness, is_honest, untruth
from domain.jobs.states import MOVES, TERMINAL, JobState

STATES = st.sampled_from([state for state in JobState if state is not JobState.DISPATCHED])


def shown(state: str, attempt: int = 1, **others: Any) -> dict[str, Any]:
    """A job as the API shows it."""
    finished_at = "2026-11-21T12:00:00Z" if JobState(state) in TERMINAL else None
    return {"state": state, "attempt": attempt, "max_attempts": 5, "finished_at": finished_at, "result": None, **others}


@given(STATES, st.data())
def test_whatever_moves_happen_between_two_looks_is_no_untruth(start: JobState, data: st.DataObject) -> None:
    state = start
    for _ in range(data.draw(st.integers(0, 6))):
        if not MOVES[state]:
            break
        state = data.draw(st.sampled_from(sorted(MOVES[state])))
    assert state in REACHABLE[start]


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (shown("running"), shown("scheduled"), None),  # by way of queued, when it is handed back and then put off
        (shown("retrying"), shown("running", 2), None),
        (shown("running", 2), shown("queued", 1), None),
        (shown("running", 3), shown("queued", 1), "was at attempt 3 and is at 1"),
        (shown("succeeded"), shown("running"), "was succeeded and is running"),
        (shown("failed"), shown("succeeded"), "was failed and is succeeded"),
        (shown("succeeded", result=1), shown("succeeded", result=2), "changed after it had finished"),
        (None, shown("running", result=1), "is running and has a result"),
        (None, shown("queued", 6), "is at attempt 6 of 5"),
        (None, shown("running", finished_at="2026-11-21T12:00:00Z"), "is running and finished at 2026-11-21T12:00:00Z"),
        (None, shown("succeeded", finished_at=None), "is succeeded and finished at None"),
    ],
)
def test_what_a_client_is_shown_is_held_against_what_it_was_shown_before(
    before: dict[str, Any] | None, now: dict[str, Any], said: str | None
) -> None:
    assert untruth(before, now) == said


def unavailable(**headers: str) -> httpx2.Response:
    """The API's answer while the database is away, with other headers laid over its own."""
    own = {"Content-Type": "application/problem+json", "Retry-After": "1", **headers}
    return httpx2.Response(503, headers=own, json={"code": "service_unavailable"})


def test_a_server_error_is_honest_as_a_problem_that_says_when_to_come_again() -> None:
    assert is_honest(unavailable())
    assert not is_honest(unavailable(**{"Content-Type": "text/html"}))
    assert not is_honest(httpx2.Response(500, headers=unavailable().headers, json={"code": "service_unavailable"}))


def test_errors_and_silences_are_excused_only_while_a_server_is_away() -> None:
    witness = Witness()
    witness.hear("GET /before", time.monotonic(), unavailable())
    with witness.away():
        witness.hear("GET /meanwhile", time.monotonic(), unavailable())
        witness.hear("GET /refused", time.monotonic(), httpx2.ConnectError("refused"))
    assert [said.partition(":")[0] for said in witness.unexcused()] == ["GET /before"]
    assert witness.untruths == []
    witness.hear("GET /broken", time.monotonic(), httpx2.Response(500, text="oops"))
    assert witness.untruths == ["GET /broken: 500 oops"]
