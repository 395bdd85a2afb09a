"""How long without a standstill: a pause longer than the gap begins the count anew."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from domain.jobs.steadiness import Steady

PAUSES = st.lists(st.floats(0.0, 10.0), min_size=1)


def test_a_pause_begins_the_count_anew() -> None:
    steady = Steady(gap=2.0, since=100.0)
    for now in (101.0, 103.0, 106.0, 107.0):
        steady.note(now)
    assert steady.lasted(107.5) == 1.5


@given(PAUSES)
def test_it_never_counts_past_the_last_long_pause(pauses: list[float]) -> None:
    steady, now, since = Steady(gap=5.0, since=0.0), 0.0, 0.0
    for pause in pauses:
        before, now = now, now + pause
        if now - before > 5.0:
            since = now
        steady.note(now)
        assert steady.lasted(now) == now - since
