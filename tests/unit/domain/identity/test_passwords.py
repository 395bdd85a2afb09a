"""Passwords: what is accepted, and hashes."""

from __future__ import annotations

import pytest

from domain.errors import InvalidPayload
from domain.identity.passwords import check_password, hash_password, needs_rehash, verify_password


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("elevenchars", "password_too_short"),
        ("x" * 257, "password_too_long"),
        ("my name is ADA.lovelace!", "password_contains_email"),
    ],
)
def test_a_bad_password_is_refused_with_its_reason(password: str, code: str) -> None:
    with pytest.raises(InvalidPayload) as caught:
        check_password(password, "ada.lovelace@example.com")
    assert [(error.pointer, error.code) for error in caught.value.errors] == [("/password", code)]


@pytest.mark.parametrize(
    "password", ["x" * 12, "x" * 256, "correct horse battery", "пароль из слов", "👩‍🚀 to the moon"]
)
def test_any_password_of_12_to_256_characters_is_accepted(password: str) -> None:
    check_password(password, "ada.lovelace@example.com")


def test_an_email_name_of_two_letters_may_occur_in_a_password() -> None:
    check_password("a jovial horse", "jo@example.com")


def test_a_password_verifies_against_its_hash_and_no_other_does() -> None:
    hashed = hash_password("correct horse battery")
    assert verify_password(hashed, "correct horse battery")
    assert not verify_password(hashed, "correct horse batterY")


def test_a_hash_is_argon2id_with_owasp_parameters() -> None:
    hashed = hash_password("correct horse battery")
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert not needs_rehash(hashed)
    assert needs_rehash(hashed.replace("t=2", "t=1"))


def test_nobody_and_an_unusable_hash_have_no_password() -> None:
    assert not verify_password(None, "the account that does not exist")
    assert not verify_password("none", "none")
