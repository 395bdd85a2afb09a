"""What the query log keeps of a question."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.search.log import logged


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("travel expenses 2026", "travel expenses 2026"),
        ("mail to Ada.Lovelace+x@example.com please", "mail to [email] please"),
        ("call +49 (170) 123-4567 now", "call [number] now"),
        ("card 4111 1111 1111 1111", "card [number]"),
        ("key sk-live_4eC39HqLyjWDarjtT1zdp7dc", "key [token]"),
        ("see https://example.com/a?token=1 and this", "see [url] and this"),
        ("Donaudampfschifffahrtsgesellschaft", "Donaudampfschifffahrtsgesellschaft"),
        ("invoice 1042", "invoice 1042"),
    ],
)
def test_what_points_at_a_person_or_opens_something_is_taken_out(text: str, kept: str) -> None:
    assert logged(text, "redacted") == kept


@settings(deadline=None)
@given(st.text(max_size=1000))
def test_full_keeps_all_and_off_nothing(text: str) -> None:
    assert logged(text, "full") == text
    assert logged(text, "off") is None


@settings(deadline=None)
@given(st.integers(10**4, 10**18), st.text("abc ", max_size=10))
def test_no_long_number_is_ever_kept(number: int, around: str) -> None:
    assert str(number) not in (logged(f"{around} {number} {around}", "redacted") or "")
