"""What a tenant's limits mean."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from domain.jobs.limits import FASTEST, LARGEST_BURST, SLOWEST, UNLIMITED, Limits, default_burst


@given(st.floats(SLOWEST, FASTEST))
def test_a_rate_alone_lets_at_least_one_job_go_and_at_most_a_second_of_them(rate: float) -> None:
    burst = default_burst(rate)
    assert 1 <= burst <= LARGEST_BURST
    assert rate <= burst < rate + 1 or burst == 1


def test_a_tenant_of_whom_nothing_was_said_has_weight_one_and_no_bound() -> None:
    assert Limits() == UNLIMITED == Limits(1.0, None, None, None)
