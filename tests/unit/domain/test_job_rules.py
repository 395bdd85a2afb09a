"""Retry decisions, batch sizes and states: pure values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Cancelled, NotNow, Permanent, RateLimited, Transient
from domain.jobs.batching import LARGEST_BATCH, MESSAGES_PER_SLOT, MOST_AHEAD, batch_size, full_batch, room, weight
from domain.jobs.retry import GiveUp, Retry, RetryPolicy, decide
from domain.jobs.states import MOVES, TERMINAL, JobState, public_state

POLICY = RetryPolicy(max_attempts=4, base_delay=1.0, max_delay=60.0)


def test_a_transient_error_is_retried_until_the_attempts_are_spent() -> None:
    decisions = [decide(Transient("down"), attempt, POLICY, 0.5) for attempt in range(1, 5)]
    assert decisions == [Retry(0.5), Retry(1.0), Retry(2.0), GiveUp()]


def test_a_permanent_error_is_never_retried() -> None:
    assert decide(Permanent("no"), 1, POLICY, 0.5) == GiveUp()


def test_a_cancel_gives_up_as_cancelled() -> None:
    assert decide(Cancelled(), 1, POLICY, 0.5) == GiveUp(cancelled=True)


def test_a_job_that_cannot_begin_waits_without_using_up_an_attempt() -> None:
    assert decide(NotNow("suspended", retry_after=10.0), 4, POLICY, 0.5) == Retry(15.0, counted=False)


def test_a_bug_is_retried_like_a_transient_error() -> None:
    assert decide(ZeroDivisionError(), 1, POLICY, 0.5) == Retry(0.5)


def test_retry_after_is_a_minimum() -> None:
    assert decide(RateLimited("slow down", retry_after=30.0), 1, POLICY, 0.5) == Retry(30.0)
    assert decide(RateLimited("slow down", retry_after=0.1), 3, POLICY, 0.5) == Retry(2.0)


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_no_delay_is_negative_or_above_the_bound(attempt: int, draw: float) -> None:
    assert 0 <= POLICY.delay(attempt, draw) <= POLICY.max_delay


@given(
    st.none() | st.floats(0, 1000, allow_nan=False),
    st.none() | st.integers(0, 100_000),
    st.integers(0, 500),
    st.integers(1, 256),
)
def test_a_batch_is_never_empty_nor_above_the_limit(
    mean: float | None, backlog: int | None, slots: int, limit: int
) -> None:
    assert 1 <= batch_size(full_batch(mean), backlog, slots, limit) <= min(limit, LARGEST_BATCH)


def test_a_shallow_backlog_is_spread_over_the_slots() -> None:
    assert batch_size(64, backlog=4, slots=4, limit=64) == 1
    assert batch_size(64, backlog=40, slots=4, limit=64) == 10
    assert batch_size(64, backlog=None, slots=4, limit=64) == 64


def test_long_jobs_travel_alone_and_one_per_slot() -> None:
    assert full_batch(2.0) == full_batch(0.001, batchable=False) == 1
    assert room(4) / weight(2.0) == room(4) / weight(None, batchable=False) == 4


def test_quick_jobs_keep_two_messages_worth_of_time_per_slot_in_flight() -> None:
    assert room(2) / weight(0.01) == 2 * 10 * 2
    assert room(2) / weight(0.0001) == 2 * MOST_AHEAD * 2


@given(st.none() | st.floats(0, 1000, allow_nan=False), st.booleans())
def test_a_full_batch_weighs_a_message_at_most_or_is_one_long_job(mean: float | None, batchable: bool) -> None:
    whole = weight(mean, batchable=batchable) * full_batch(mean, batchable=batchable)
    assert LARGEST_BATCH / MOST_AHEAD <= whole <= 1.0 + 1e-9 or whole == MESSAGES_PER_SLOT


def test_a_finished_job_never_moves() -> None:
    assert all(not MOVES[state] for state in TERMINAL)


@pytest.mark.parametrize(
    ("state", "due", "shown"),
    [
        (JobState.SCHEDULED, False, JobState.SCHEDULED),
        (JobState.SCHEDULED, True, JobState.QUEUED),
        (JobState.DISPATCHED, True, JobState.QUEUED),
        (JobState.RETRYING, True, JobState.RETRYING),
    ],
)
def test_clients_see_what_concerns_them(state: JobState, due: bool, shown: JobState) -> None:
    now = datetime.now(UTC)
    run_at = now - timedelta(seconds=1) if due else now + timedelta(hours=1)
    assert public_state(state, run_at, now) is shown
