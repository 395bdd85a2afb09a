"""What follows an attempt to deliver, which events an endpoint wants, and how a webhook is signed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from domain.events import EVENTS, selectors, selects
from domain.webhooks.delivery import MAX_ATTEMPTS, RETRY_SECONDS, Verdict, decide
from domain.webhooks.signatures import new_secret, signed_headers

draws = st.floats(min_value=0, max_value=1, exclude_max=True)


@given(st.integers(200, 299), st.integers(1, MAX_ATTEMPTS), draws)
def test_any_2xx_is_a_delivery(status: int, attempt: int, draw: float) -> None:
    assert decide(status, attempt, draw).verdict is Verdict.DELIVERED


@given(
    st.one_of(st.none(), st.integers(100, 199), st.integers(300, 409), st.integers(411, 599)),
    st.integers(1, MAX_ATTEMPTS),
    draws,
    st.one_of(st.none(), st.floats(0, 86_400)),
)
def test_anything_else_follows_the_schedule_and_never_comes_before_the_receiver_wants(
    status: int | None, attempt: int, draw: float, wait: float | None
) -> None:
    decision = decide(status, attempt, draw, wait)
    if attempt == MAX_ATTEMPTS:
        assert decision.verdict is Verdict.FAILED
        return
    planned = RETRY_SECONDS[attempt - 1]
    assert decision.verdict is Verdict.RETRY
    assert decision.delay >= max(planned, wait or 0)
    assert decision.delay <= max(planned * 1.1, wait or 0)


def test_410_ends_it_at_once() -> None:
    decision = decide(410, 1, 0.5)
    assert (decision.verdict, decision.gone) == (Verdict.FAILED, True)


def test_the_schedule_lasts_a_little_over_three_days() -> None:
    assert 72 * 3600 < sum(RETRY_SECONDS) < 84 * 3600
    assert list(RETRY_SECONDS) == sorted(RETRY_SECONDS)


@pytest.mark.parametrize(
    ("chosen", "wanted"),
    [
        (["*"], set(EVENTS)),
        (["job.*"], {"job.succeeded", "job.failed", "job.cancelled"}),
        (["job.failed", "tenant.*"], {"job.failed", "tenant.provisioned"}),
        ([], set()),
        (["job"], set()),
    ],
)
def test_an_endpoint_gets_what_it_chose(chosen: list[str], wanted: set[str]) -> None:
    assert {name for name in EVENTS if selects(chosen, name)} == wanted


def test_every_selector_selects_something() -> None:
    assert [one for one in selectors() if not any(selects([one], name) for name in EVENTS)] == []


@given(st.binary(max_size=200), st.integers(1, 3))
def test_the_reference_library_verifies_with_each_live_secret(body: bytes, count: int) -> None:
    secrets = [new_secret() for _ in range(count)]
    text = body.hex()
    headers = signed_headers("evt-1", int(datetime.now(UTC).timestamp()), f'"{text}"'.encode(), secrets)
    for secret in secrets:
        assert standardwebhooks.Webhook(secret).verify(f'"{text}"', headers) == text
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(new_secret()).verify(f'"{text}"', headers)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(secrets[0]).verify(f'"{text}0"', headers)
