"""One-time passwords and recovery codes."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from domain.identity.totp import (
    RECOVERY_CODES,
    enrolment_uri,
    matching_step,
    new_recovery_codes,
    new_secret,
    recovery_hash,
)

SECRET = base64.b32encode(b"12345678901234567890").decode()
"""Of the vectors in RFC 6238, appendix B, whose codes have eight digits; ours are their last six."""

VECTORS = [
    (59, "287082"),
    (1111111109, "081804"),
    (1111111111, "050471"),
    (1234567890, "005924"),
    (2000000000, "279037"),
    (20000000000, "353130"),
]


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@pytest.mark.parametrize(("seconds", "code"), VECTORS)
def test_the_vectors_of_the_rfc(seconds: int, code: str) -> None:
    assert matching_step(SECRET, code, at(seconds), None) == seconds // 30


@pytest.mark.parametrize(("drift", "accepted"), [(-60, False), (-30, True), (0, True), (30, True), (60, False)])
def test_one_step_of_drift_is_accepted(drift: int, accepted: bool) -> None:
    found = matching_step(SECRET, "005924", at(1234567890 + drift), None)
    assert (found == 1234567890 // 30) is accepted
    assert accepted or found is None


def test_a_used_step_and_those_before_it_count_no_more() -> None:
    step = 1234567890 // 30
    assert matching_step(SECRET, "005924", at(1234567890), step - 1) == step
    assert matching_step(SECRET, "005924", at(1234567890), step) is None
    assert matching_step(SECRET, "005924", at(1234567890), step + 1) is None


@pytest.mark.parametrize("code", ["", "5924", "0059240", "००५९२४", "abcdef"])
def test_what_is_no_code_matches_nothing(code: str) -> None:
    assert matching_step(SECRET, code, at(1234567890), None) is None


def test_an_app_can_read_the_uri() -> None:
    uri = enrolment_uri(SECRET, "ada@example.com", "Nexus")
    assert uri.startswith("otpauth://totp/Nexus:ada")
    assert f"secret={SECRET}" in uri


def test_secrets_have_160_bits_and_differ() -> None:
    secrets = {new_secret() for _ in range(50)}
    assert len(secrets) == 50
    assert {len(base64.b32decode(secret)) for secret in secrets} == {20}


def test_recovery_codes_are_known_however_they_are_typed() -> None:
    codes = new_recovery_codes()
    assert len(set(codes)) == RECOVERY_CODES
    for code in codes:
        hashed = recovery_hash(code)
        assert hashed is not None
        assert {recovery_hash(code.upper()), recovery_hash(code.replace("-", " ")), recovery_hash(f" {code} ")} == {
            hashed
        }
    assert recovery_hash("287082") is None
    assert recovery_hash("oooo-0000-llll-1111") is None
