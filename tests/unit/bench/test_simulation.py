"""The simulation loses no job, is the same twice, and shows what the scheduler promises."""

from __future__ import annotations

from dataclasses import replace
from statistics import median

import pytest

from bench.simulation import Costs, Load, Outcome, simulate

COSTS = Costs(round=0.002, tenant=0.00001, job=0.00005)
CALM = Load(tenants=100, rate=200.0, job_seconds=0.02, slots=8, seconds=20.0)


def points(waits: list[float]) -> tuple[float, float]:
    ordered = sorted(waits)
    return median(ordered), ordered[int(len(ordered) * 0.95)]


def test_every_job_that_came_began_or_is_left() -> None:
    outcome = simulate(replace(CALM, noisy=2, backlog=500), COSTS)
    began = len(outcome.quiet_waits) + len(outcome.noisy_waits)
    assert began == outcome.begun.total()
    assert began + outcome.left == pytest.approx(1000 + CALM.rate * CALM.seconds, rel=0.1)


def test_the_same_seed_gives_the_same_outcome() -> None:
    assert simulate(CALM, COSTS) == simulate(CALM, COSTS)
    assert simulate(CALM, COSTS).quiet_waits != simulate(replace(CALM, seed=2), COSTS).quiet_waits


def test_half_loaded_slots_keep_nobody_waiting() -> None:
    outcome = simulate(CALM, COSTS)
    assert outcome.left <= 20
    assert outcome.slots_busy == pytest.approx(0.5, abs=0.05)
    assert points(outcome.quiet_waits)[1] < 0.1


def test_a_deep_backlog_of_one_is_not_waited_for_by_the_others() -> None:
    alone: Outcome = simulate(replace(CALM, seconds=30.0), COSTS)
    beside = simulate(replace(CALM, seconds=30.0, noisy=1, backlog=100_000), COSTS)
    assert beside.slots_busy > 0.95
    assert beside.left > 50_000
    assert points(beside.quiet_waits)[1] < points(alone.quiet_waits)[1] + 0.3


def test_those_who_all_have_a_backlog_are_served_alike() -> None:
    outcome = simulate(Load(40, 1.0, 0.02, 8, 20.0, noisy=40, backlog=10_000), COSTS)
    assert max(outcome.begun.values()) <= min(outcome.begun.values()) * 1.1 + 2


def test_a_dispatcher_that_costs_more_than_the_jobs_is_what_they_wait_for() -> None:
    outcome = simulate(CALM, replace(COSTS, job=0.02))
    assert outcome.dispatcher_busy > 0.8
    assert outcome.slots_busy < 0.35
