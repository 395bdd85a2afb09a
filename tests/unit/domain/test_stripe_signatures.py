"""Stripe's webhook signatures: what is accepted, what is not, and agreement with Stripe's own code."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stripe import SignatureVerificationError, WebhookSignature

from domain.billing.signatures import sign_stripe, verify_stripe
from domain.errors import InvalidSignature

SECRET = "whsec_test"
RAW = b'{"id":"evt_1","object":"event"}'
NOW = 1_900_000_000


def test_what_we_sign_we_accept() -> None:
    verify_stripe(RAW, sign_stripe(RAW, SECRET, NOW), [SECRET], NOW)


def test_a_changed_body_is_refused() -> None:
    with pytest.raises(InvalidSignature):
        verify_stripe(RAW + b" ", sign_stripe(RAW, SECRET, NOW), [SECRET], NOW)


def test_a_changed_time_is_refused() -> None:
    header = sign_stripe(RAW, SECRET, NOW).replace(f"t={NOW}", f"t={NOW + 1}")
    with pytest.raises(InvalidSignature):
        verify_stripe(RAW, header, [SECRET], NOW)


def test_another_secret_is_refused() -> None:
    with pytest.raises(InvalidSignature):
        verify_stripe(RAW, sign_stripe(RAW, "whsec_other", NOW), [SECRET], NOW)


def test_while_a_secret_is_rotated_either_one_signs() -> None:
    verify_stripe(RAW, sign_stripe(RAW, "whsec_old", NOW), [SECRET, "whsec_old"], NOW)
    verify_stripe(RAW, sign_stripe(RAW, SECRET, NOW), [SECRET, "whsec_old"], NOW)


def test_one_good_signature_among_several_is_enough() -> None:
    header = sign_stripe(RAW, SECRET, NOW).replace(",v1=", f",v1={'0' * 64},v0=ignored,v1=")
    verify_stripe(RAW, header, [SECRET], NOW)


@pytest.mark.parametrize("age", [300, -300])
def test_at_the_edge_of_the_replay_window_it_is_accepted(age: int) -> None:
    verify_stripe(RAW, sign_stripe(RAW, SECRET, NOW - age), [SECRET], NOW)


@pytest.mark.parametrize("age", [301, -301])
def test_outside_the_replay_window_it_is_refused(age: int) -> None:
    with pytest.raises(InvalidSignature, match="replay window"):
        verify_stripe(RAW, sign_stripe(RAW, SECRET, NOW - age), [SECRET], NOW)


@pytest.mark.parametrize("secrets", [[], [""], ["  "]])
def test_without_a_secret_nothing_is_accepted(secrets: list[str]) -> None:
    with pytest.raises(InvalidSignature, match="No webhook secret"):
        verify_stripe(RAW, sign_stripe(RAW, "", NOW), secrets, NOW)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=,v1=00",
        "v1=00",
        f"t={NOW}",
        f"t={NOW},t={NOW},v1=00",
        "t=١٢٣,v1=00",
        "t=²,v1=00",
        "t=-5,v1=00",
        "t=1e9,v1=00",
        "t=" + "9" * 5000 + ",v1=00",
        f"t={NOW},v1=é\ud800",
        "\x00\r\n",
    ],
)
def test_a_malformed_header_is_refused(header: str) -> None:
    with pytest.raises(InvalidSignature):
        verify_stripe(RAW, header, [SECRET], NOW)


def test_a_body_that_is_no_text_can_be_signed() -> None:
    raw = b"\xff\xfe\x00%d"
    verify_stripe(raw, sign_stripe(raw, SECRET, NOW), [SECRET], NOW)


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")) | st.from_regex(r"t=.*,v1=.*"), st.binary())
def test_no_header_and_no_body_raise_anything_else(header: str, raw: bytes) -> None:
    with pytest.raises(InvalidSignature):
        verify_stripe(raw, header, [SECRET], NOW)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_stripes_own_code_accepts_what_we_sign(body: str) -> None:
    header = sign_stripe(body.encode(), SECRET, int(time.time()))
    assert WebhookSignature.verify_header(body.encode(), header, SECRET, 300)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_we_accept_what_stripes_own_code_signs(body: str) -> None:
    header = WebhookSignature.generate_signature_header(body, SECRET, NOW)
    verify_stripe(body.encode(), header, [SECRET], NOW)


@given(st.integers(0, 400), st.booleans())
def test_we_and_stripe_agree_on_age_and_secret(age: int, right: bool) -> None:
    now = int(time.time())
    header = sign_stripe(RAW, SECRET if right else "whsec_other", now - age)

    def stripe_accepts() -> bool:
        try:
            return WebhookSignature.verify_header(RAW, header, SECRET, 300)
        except SignatureVerificationError:
            return False

    def we_accept() -> bool:
        try:
            verify_stripe(RAW, header, [SECRET], now)
        except InvalidSignature:
            return False
        return True

    if abs(age - 300) > 5:  # the two clocks may tick apart at the edge
        assert we_accept() == stripe_accepts()
