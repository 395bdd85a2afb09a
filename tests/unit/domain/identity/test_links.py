"""Mailed links: only ours, only for what they are for."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.identity.links import LONGEST, Purpose, read_link, sign_link
from domain.identity.mails import link_mail

KEY, OTHER = b"k" * 32, b"o" * 32
ids = st.uuids()


@given(whose=ids, link_id=ids, purpose=st.sampled_from(Purpose))
def test_what_was_signed_is_read_by_any_key_of_the_ring(whose: UUID, link_id: UUID, purpose: Purpose) -> None:
    text = sign_link(KEY, purpose, whose, link_id)
    assert read_link([OTHER, KEY], purpose, text) == (whose, link_id)
    assert len(text) <= LONGEST


@given(whose=ids, link_id=ids)
def test_another_key_or_purpose_is_refused(whose: UUID, link_id: UUID) -> None:
    text = sign_link(KEY, Purpose.VERIFY_EMAIL, whose, link_id)
    assert read_link([OTHER], Purpose.VERIFY_EMAIL, text) is None
    assert read_link([KEY], Purpose.RESET_PASSWORD, text) is None
    assert read_link([KEY], Purpose.INVITATION, text) is None


@given(position=st.integers(0, 63), bit=st.integers(0, 7))
def test_a_changed_bit_is_refused(position: int, bit: int) -> None:
    import base64

    text = sign_link(KEY, Purpose.RESET_PASSWORD, UUID(int=1), UUID(int=2))
    raw = bytearray(base64.urlsafe_b64decode(text + "=="))
    raw[position] ^= 1 << bit
    changed = base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()
    assert read_link([KEY], Purpose.RESET_PASSWORD, changed) is None


@pytest.mark.parametrize("text", ["", "x", "=", "é" * 20, "a b", "A" * 86, "A" * 200, "\n"])
def test_what_is_no_link_is_none(text: str) -> None:
    assert read_link([KEY], Purpose.VERIFY_EMAIL, text) is None


def test_a_mail_leads_to_the_front_end_or_says_what_to_post() -> None:
    page = link_mail(
        Purpose.VERIFY_EMAIL, "tok-en_1", app_url="https://app.example.com/", api_url="https://api.example.com"
    )
    assert "https://app.example.com/verify-email?token=tok-en_1" in page.text
    bare = link_mail(Purpose.RESET_PASSWORD, "tok-en_1", app_url=None, api_url="https://api.example.com")
    assert "POST https://api.example.com/api/v1/auth/reset-password:\n\ntok-en_1\n" in bare.text
    assert "within 60 minutes" in bare.text
    assert "tok-en_1" not in repr(bare)


def test_a_tenants_name_adds_no_line_to_a_mail() -> None:
    mail = link_mail(
        Purpose.INVITATION, "t", app_url=None, api_url="http://x", inviting="A\r\nBcc: everyone\n{0}{inviting}"
    )
    assert mail.subject == "You are invited to A Bcc: everyone {0}{inviting}"
    assert "\nBcc" not in mail.text
