"""The scheduler on its own: nobody falls behind by more than a job, newcomers go next, rates and room are kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.jobs.fairness import Bucket, Candidate, Chosen, FairShare, allowance, bucket_of
from domain.jobs.limits import Limits

A, B, C = (UUID(int=number) for number in (1, 2, 3))

costs = st.floats(0.001, 10.0, allow_nan=False)
weights = st.floats(0.1, 10.0, allow_nan=False)


def jobs(tenant: UUID, count: int, cost: float = 0.1, units: float = 1.0) -> list[Candidate[UUID]]:
    return [Candidate(tenant, cost, units)] * count


def served(chosen: Sequence[Chosen[UUID]]) -> Counter[UUID]:
    return Counter(each.job for each in chosen)


@given(
    tenants=st.lists(st.tuples(weights, st.lists(costs, min_size=60, max_size=60)), min_size=2, max_size=6),
    rooms=st.lists(st.integers(1, 12), min_size=1, max_size=5),
)
def test_backlogged_tenants_never_differ_by_more_than_a_job_each(
    tenants: list[tuple[float, list[float]]], rooms: list[int]
) -> None:
    """The bound of start-time fair queueing (theorem 1 of the paper), over any number of rounds."""
    clock = FairShare()
    weight = {UUID(int=number): each for number, (each, _) in enumerate(tenants)}
    backlog = {UUID(int=number): list(queue) for number, (_, queue) in enumerate(tenants)}
    work = dict.fromkeys(backlog, 0.0)
    largest = {tenant: max(queue) for tenant, queue in backlog.items()}
    for room in rooms:
        waiting = {
            tenant: [Candidate((tenant, cost), cost, 1.0) for cost in queue] for tenant, queue in backlog.items()
        }
        for each in clock.choose(waiting, dict.fromkeys(backlog, 1), room, 0.0, weight.__getitem__):
            tenant, cost = each.job
            assert backlog[tenant].pop(0) == cost
            work[tenant] += cost
        for one in work:
            for other in work:
                apart = abs(work[one] / weight[one] - work[other] / weight[other])
                assert apart <= largest[one] / weight[one] + largest[other] / weight[other] + 1e-6


@given(backlog=st.integers(1, 500), rounds=st.integers(0, 20), slots=st.integers(1, 8))
def test_a_newcomer_waits_for_nobodys_backlog(backlog: int, rounds: int, slots: int) -> None:
    clock = FairShare()
    for _ in range(rounds):
        clock.choose({A: jobs(A, backlog)}, {A: slots}, slots, slots)
    chosen = clock.choose({A: jobs(A, backlog), B: jobs(B, 1)}, {A: slots}, 0.0, slots)
    assert [(each.job, each.express) for each in chosen] == [(B, True)]


def test_who_was_away_saves_up_no_time() -> None:
    clock = FairShare()
    clock.choose({A: jobs(A, 100)}, {}, 100, 0)
    chosen = clock.choose({A: jobs(A, 100), B: jobs(B, 100)}, {A: 100}, 20, 0)
    assert served(chosen) == {A: 10, B: 10} or served(chosen) == {A: 9, B: 11}


def test_shares_follow_the_weights() -> None:
    weight = {A: 3.0, B: 1.0}.__getitem__
    assert served(FairShare().choose({A: jobs(A, 100), B: jobs(B, 100)}, {}, 40, 0, weight)) == {A: 30, B: 10}


def test_the_actual_runtime_is_what_counts_in_the_end() -> None:
    clock = FairShare()
    clock.choose({A: jobs(A, 10), B: jobs(B, 10)}, {}, 20, 0)
    clock.correct(A, 10, 3.0)  # taken for 1 s in all
    clock.correct(B, 10, 1.0)
    assert clock.start(A) - clock.start(B) == pytest.approx(2.0)
    assert served(clock.choose({A: jobs(A, 50), B: jobs(B, 50)}, {A: 1, B: 1}, 20, 0)) == {B: 20}


def test_a_large_job_holds_the_room_that_it_needs() -> None:
    clock = FairShare()
    clock.choose({B: jobs(B, 1, cost=1.0)}, {}, 1, 0)
    waiting = {A: jobs(A, 1, units=2.0), B: jobs(B, 10)}
    assert clock.choose(waiting, {A: 1, B: 1}, 1.5, 0) == []
    assert served(clock.choose(waiting, {A: 1, B: 1}, 2.5, 0)) == {A: 1}


def test_room_is_never_exceeded_but_by_express() -> None:
    chosen = FairShare().choose({A: jobs(A, 9), B: jobs(B, 9), C: jobs(C, 9)}, {A: 2}, 3.0, 1.0)
    assert len(chosen) <= 4
    assert {each.job for each in chosen if each.express} == {B, C}


@given(st.floats(0.1, 100.0), st.lists(st.floats(0.0, 5.0), min_size=1, max_size=40))
def test_a_bucket_never_gives_more_than_its_rate_and_its_size(rate: float, pauses: list[float]) -> None:
    bucket = bucket_of(Limits(rate_per_second=rate, burst=5), None)
    now = given = 0.0
    for pause in pauses:
        now += pause
        tokens = bucket.fill(now)
        taken = int(tokens)
        bucket.tokens -= taken
        given += taken
        assert given <= rate * now + 1e-6
        assert tokens <= 5


def test_a_bucket_keeps_its_tokens_when_the_limits_change() -> None:
    bucket = Bucket(1.0, 1.0, tokens=0.5)
    assert bucket_of(Limits(rate_per_second=9.0, burst=3), bucket) == Bucket(9.0, 3.0, 0.5)


def test_the_tighter_of_cap_and_rate_holds() -> None:
    assert allowance(Limits(max_running=5), in_flight=3, tokens=0.0) == 2
    assert allowance(Limits(max_running=5, rate_per_second=1.0), in_flight=3, tokens=1.0) == 1
    assert allowance(Limits(), in_flight=300, tokens=0.0) == float("inf")


def test_only_those_ahead_of_the_present_are_remembered() -> None:
    clock = FairShare()
    for number in range(1000):
        tenant = UUID(int=number)
        clock.choose({tenant: jobs(tenant, 3)}, {}, 3, 0)
    assert len(clock) < 100
