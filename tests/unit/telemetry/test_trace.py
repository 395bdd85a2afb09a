"""Places in traces: read, written, and derived for attempts of jobs."""

from __future__ import annotations

import pytest

from config.telemetry import trace
from config.telemetry.trace import TraceContext, of_attempt, of_job, parse, within
from domain.ids import new_id

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_traceparent_is_read_and_written_as_it_was() -> None:
    found = parse(PARENT)
    assert found == TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", sampled=True)
    assert str(found) == PARENT
    assert not parse(PARENT[:-2] + "00").sampled  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "text",
    [None, "", "00-bad", PARENT.upper(), PARENT.replace("00-", "01-", 1), f"00-{'0' * 32}-b7ad6b7169203331-01",
     f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01", PARENT + "-more", PARENT + "\n"],
)  # fmt: skip
def test_what_is_no_traceparent_counts_as_none(text: str | None) -> None:
    assert parse(text) is None


def test_attempts_of_a_job_are_places_of_their_own_in_its_trace_and_always_the_same() -> None:
    job_id = new_id()
    first, second = of_attempt(job_id, 1, PARENT), of_attempt(job_id, 2, PARENT)
    assert first == of_attempt(job_id, 1, PARENT)
    assert first.trace_id == second.trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert len({first.span_id, second.span_id, of_attempt(new_id(), 1, PARENT).span_id}) == 3
    assert parse(str(first)) == first


def test_a_job_that_nobody_asked_for_has_one_trace_for_all_attempts() -> None:
    job_id = new_id()
    assert of_attempt(job_id, 1, None).trace_id == of_attempt(job_id, 9, None).trace_id == of_job(job_id, None).trace_id
    assert of_job(job_id, None).trace_id != of_job(new_id(), None).trace_id
    assert parse(str(of_attempt(job_id, 1, None))) is not None


def test_a_block_is_somewhere_and_what_follows_is_not() -> None:
    assert trace.traceparent() is None
    with within(parse(PARENT)):
        assert trace.traceparent() == PARENT
    assert trace.current() is None
