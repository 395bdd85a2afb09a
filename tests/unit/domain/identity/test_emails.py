"""Email addresses as accounts know them."""

from __future__ import annotations

import pytest

from domain.errors import InvalidPayload
from domain.identity.emails import normalise_email


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        (" Ada@Example.COM ", "ada@example.com"),
        ("ada+news@example.com", "ada+news@example.com"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("A\u0308da@example.com", "\u00e4da@example.com"),
    ],
)
def test_spellings_of_one_address_have_one_form(text: str, normal: str) -> None:
    assert normalise_email(text) == normal
    assert normalise_email(normal) == normal


@pytest.mark.parametrize(
    "text", ["", "ada", "ada@", "@example.com", "a b@example.com", "ada@example.com\nBcc: x@y.z", "a\0@b.com"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidPayload) as caught:
        normalise_email(text)
    assert caught.value.errors[0].pointer == "/email"
