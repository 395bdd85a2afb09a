"""Who may be a parent, and what becomes of a job that waits: pure values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import IllegalTransition, InvalidPayload
from domain.ids import new_id
from domain.jobs.families import DEPTH_LIMIT, AfterPolicy, Relative, Verdict, check_parent, verdict
from domain.jobs.states import TERMINAL, JobState

OUTCOMES = st.lists(st.sampled_from(["live", "succeeded", "failed"]), min_size=1, max_size=20)


def judge(policy: AfterPolicy, outcomes: list[str]) -> Verdict:
    return verdict(policy, outcomes.count("live"), outcomes.count("failed"))


@given(OUTCOMES)
def test_what_needs_only_the_end_is_released_with_the_last_one_and_never_cancelled(outcomes: list[str]) -> None:
    expected = Verdict.WAIT if "live" in outcomes else Verdict.RELEASE
    assert judge(AfterPolicy.ALL_FINISHED, outcomes) is expected


@given(OUTCOMES)
def test_what_needs_all_is_released_only_if_all_succeeded_and_cancelled_with_the_first_that_did_not(
    outcomes: list[str],
) -> None:
    found = judge(AfterPolicy.ALL_SUCCEEDED, outcomes)
    assert (found is Verdict.RELEASE) == (set(outcomes) == {"succeeded"})
    assert (found is Verdict.CANCEL) == ("failed" in outcomes)


@given(OUTCOMES, st.data())
def test_a_verdict_stands_whatever_else_finishes_later(outcomes: list[str], data: st.DataObject) -> None:
    later = [data.draw(st.sampled_from(["succeeded", "failed"])) if each == "live" else each for each in outcomes]
    for policy in AfterPolicy:
        before = judge(policy, outcomes)
        assert before is Verdict.WAIT or judge(policy, later) is before


@pytest.mark.parametrize("state", JobState)
def test_only_a_live_job_has_more_children(state: JobState) -> None:
    parent = Relative(new_id(), state, cancel_requested=False, depth=1)
    if state in TERMINAL:
        with pytest.raises(IllegalTransition, match=state.value):
            check_parent(parent.id, parent)
    else:
        check_parent(parent.id, parent)


def test_a_job_that_is_being_cancelled_or_is_not_there_or_too_deep_has_no_more_children() -> None:
    job_id = new_id()
    with pytest.raises(IllegalTransition, match="being cancelled"):
        check_parent(job_id, Relative(job_id, JobState.RUNNING, cancel_requested=True, depth=1))
    with pytest.raises(InvalidPayload, match="no job"):
        check_parent(job_id, None)
    check_parent(job_id, Relative(job_id, JobState.QUEUED, cancel_requested=False, depth=DEPTH_LIMIT - 1))
    with pytest.raises(InvalidPayload, match="generations"):
        check_parent(job_id, Relative(job_id, JobState.QUEUED, cancel_requested=False, depth=DEPTH_LIMIT))
