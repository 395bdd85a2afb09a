"""`Prefer` and `wait`, as RFC 7240 writes them."""

from __future__ import annotations

import pytest
from flask import Flask

from domain.errors import InvalidPayload
from web.preferences import preferences, wait_seconds, wants_async

APP = Flask("test")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("wait=10", {"wait": "10"}),
        ('respond-async, wait="5"', {"respond-async": "", "wait": "5"}),
        ("Wait = 3 ; strict, return=minimal", {"wait": "3", "return": "minimal"}),
        ("wait=1, wait=2", {"wait": "1"}),
        ("=, ,;", {}),
    ],
)
def test_preferences_are_read_by_name_and_the_first_counts(header: str, expected: dict[str, str]) -> None:
    with APP.test_request_context(headers={"Prefer": header}):
        assert preferences() == expected


def test_a_client_may_prefer_not_to_wait() -> None:
    with APP.test_request_context(headers={"Prefer": "respond-async"}):
        assert wants_async()
        assert wait_seconds() == 0


def test_the_query_goes_before_the_header() -> None:
    with APP.test_request_context("/?wait=4", headers={"Prefer": "wait=9"}):
        assert wait_seconds() == 4


@pytest.mark.parametrize("text", ["31", "-1", "1.5", "", "x", "٣", "1e1"])
def test_a_wait_out_of_bounds_is_refused(text: str) -> None:
    with APP.test_request_context("/", query_string={"wait": text}), pytest.raises(InvalidPayload):
        wait_seconds()
