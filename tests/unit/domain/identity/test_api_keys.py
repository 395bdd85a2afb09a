"""API keys as text."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st

from domain.identity.api_keys import PREFIX, mint_api_key, parse_api_key
from domain.ids import new_id

TENANT, KEY = new_id(), new_id()


def test_a_minted_key_parses_back_to_its_tenant_and_id_and_matches_its_hash() -> None:
    minted = mint_api_key(TENANT, KEY)
    parsed = parse_api_key(minted.text)
    assert parsed is not None
    assert (parsed.tenant_id, parsed.key_id) == (TENANT, KEY)
    assert parsed.matches(minted.secret_hash)


def test_two_keys_of_one_id_have_different_secrets() -> None:
    first, second = mint_api_key(TENANT, KEY), mint_api_key(TENANT, KEY)
    parsed = parse_api_key(first.text)
    assert parsed is not None
    assert not parsed.matches(second.secret_hash)


def test_a_key_shows_neither_text_nor_hash_when_printed() -> None:
    minted = mint_api_key(TENANT, KEY)
    assert minted.text not in repr(minted)
    assert repr(minted.secret_hash) not in repr(minted)
    assert repr(minted.secret_hash) not in repr(parse_api_key(minted.text))


def test_another_spelling_of_the_same_bytes_is_refused() -> None:
    text = mint_api_key(TENANT, KEY).text
    # The last character carries four unused bits: a lenient decoder takes sixteen spellings for one key.
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = text[:-1] + alphabet[alphabet.index(text[-1]) + 1]
    assert base64.urlsafe_b64decode(other[4:] + "==") == base64.urlsafe_b64decode(text[4:] + "==")
    assert parse_api_key(other) is None


@given(st.one_of(st.text(), st.text(min_size=86, max_size=86).map(PREFIX.__add__)))
def test_any_other_text_is_no_key_and_raises_nothing(text: str) -> None:
    assert parse_api_key(text) is None or len(text) == 90
