"""What may follow from the attempts to deliver a message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import JobError, Permanent, RateLimited, Transient, UnknownOutcome
from domain.notifications.delivery import FORWARD, PastAttempt, Send, Settled, next_step, status_after

OPEN = ("queued", "delivery_attempted")
attempts = st.lists(
    st.builds(PastAttempt, st.integers(1, 9), st.sampled_from(["failed", "calling", "unknown"]), st.just("smtp")),
    max_size=5,
)


def test_a_fresh_message_is_sent() -> None:
    assert next_step("queued", [], "smtp", idempotent=False) == Send(1)


def test_a_failed_attempt_is_followed_by_the_next() -> None:
    assert next_step("delivery_attempted", [PastAttempt(1, "failed", "smtp")], "smtp", idempotent=False) == Send(2)


def test_a_cut_off_attempt_is_not_repeated_where_that_could_deliver_twice() -> None:
    assert next_step("queued", [PastAttempt(1, "calling", "smtp")], "smtp", idempotent=False) == Settled("unknown")


def test_a_cut_off_attempt_is_repeated_where_that_is_harmless() -> None:
    assert next_step("queued", [PastAttempt(1, "calling", "file")], "file", idempotent=True) == Send(2)


def test_a_cut_off_attempt_at_another_provider_is_not_made_harmless_by_this_one() -> None:
    assert next_step("queued", [PastAttempt(1, "calling", "smtp")], "file", idempotent=True) == Settled("unknown")


@pytest.mark.parametrize("status", ["sent", "delivered", "not_sent", "undelivered", "bounced", "unknown"])
def test_a_message_that_is_settled_stays_so(status: str) -> None:
    assert next_step(status, [], "file", idempotent=True) == Settled(status)


@given(st.sampled_from(OPEN), attempts)
def test_without_idempotence_nothing_is_sent_after_a_cut_off_attempt(status: str, past: list[PastAttempt]) -> None:
    step = next_step(status, past, "smtp", idempotent=False)

    assert isinstance(step, Settled) == any(attempt.state == "calling" for attempt in past)


@given(st.sampled_from(OPEN), attempts)
def test_every_attempt_has_a_number_of_its_own(status: str, past: list[PastAttempt]) -> None:
    step = next_step(status, past, "smtp", idempotent=True)

    assert isinstance(step, Send)
    assert step.number not in {attempt.number for attempt in past}


@pytest.mark.parametrize(
    ("error", "last", "status"),
    [
        (Transient("later"), False, "delivery_attempted"),
        (RateLimited("wait"), False, "delivery_attempted"),
        (Transient("later"), True, "undelivered"),
        (Permanent("no", code="recipient_refused"), False, "undelivered"),
        (Permanent("no", code="invalid_header"), False, "not_sent"),
        (Permanent("no", code="provider_unauthorized"), True, "not_sent"),
        (UnknownOutcome("?"), False, "unknown"),
    ],
)
def test_a_failure_leaves_the_message_where_it_belongs(error: JobError, last: bool, status: str) -> None:
    assert status_after(error, last=last) == status


def test_no_status_leads_back() -> None:
    def reachable(status: str) -> set[str]:
        following = {later for later, earlier in FORWARD.items() if status in earlier}
        return following | {further for later in following for further in reachable(later)}

    assert all(status not in reachable(status) for status in ("queued", *FORWARD))
