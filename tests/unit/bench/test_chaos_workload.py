"""What a chaos run submits, and the order of its faults."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from bench.chaos.plan import LONG, Fault, steps
from bench.chaos.workload import Role, units
from bench.victims import Victim


@given(st.integers(1, 20), st.integers(0, 6), st.integers(0, 5000), st.integers(0, 9))
def test_a_workload_has_exactly_the_jobs_poison_and_fan_ins_asked_for(
    tenants: int, poison: int, more: int, seed: int
) -> None:
    jobs = 20 * (tenants + poison) + more
    found = units(jobs, tenants, poison, Random(seed))
    roles = Counter(order.role for unit in found for order in unit.orders)
    assert sum(unit.jobs for unit in found) == jobs
    assert roles[Role.POISON] == poison
    assert roles[Role.FAN_IN] == tenants
    assert found == units(jobs, tenants, poison, Random(seed))


def test_faults_are_spread_among_the_kills_and_none_is_left_out() -> None:
    found = steps(40, LONG)
    assert sum(isinstance(step, Victim) for step in found) == 40
    assert [step for step in found if isinstance(step, Fault)] == list(LONG)
    places = [place for place, step in enumerate(found) if isinstance(step, Fault)]
    assert min(after - before for before, after in pairwise(places)) >= 5
