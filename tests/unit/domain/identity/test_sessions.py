"""When a refresh token may be exchanged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain.identity.sessions import Exchange, judge_refresh, new_refresh_token

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=30)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def test_an_unused_token_is_rotated() -> None:
    assert judge_refresh(NOW, expires_at=LATER, used_at=None, last_used_at=ago(900)) is Exchange.ROTATE


def test_an_unused_token_that_expired_is_rejected_without_revoking_anything() -> None:
    assert judge_refresh(NOW, expires_at=NOW, used_at=None, last_used_at=None) is Exchange.REJECT


@pytest.mark.parametrize("age", [0, 9.9, 10])
def test_the_immediate_predecessor_is_answered_again_within_ten_seconds(age: float) -> None:
    assert judge_refresh(NOW, expires_at=LATER, used_at=ago(age), last_used_at=ago(age)) is Exchange.REPEAT


def test_the_immediate_predecessor_revokes_the_family_after_ten_seconds() -> None:
    assert judge_refresh(NOW, expires_at=LATER, used_at=ago(10.1), last_used_at=ago(10.1)) is Exchange.REVOKE


def test_an_older_predecessor_revokes_the_family_even_within_ten_seconds() -> None:
    assert judge_refresh(NOW, expires_at=LATER, used_at=ago(5), last_used_at=ago(2)) is Exchange.REVOKE


def test_refresh_tokens_carry_32_bytes_and_never_repeat() -> None:
    tokens = {new_refresh_token() for _ in range(100)}
    assert len(tokens) == 100
    assert {len(token) for token in tokens} == {43}
