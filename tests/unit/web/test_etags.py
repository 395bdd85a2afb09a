"""Preconditions with strong entity tags (RFC 9110)."""

from __future__ import annotations

import pytest
from flask import Flask, Response

from domain.errors import PreconditionFailed, PreconditionRequired
from web.etags import check_if_match, with_etag

APP = Flask("test")


@pytest.mark.parametrize("header", ['"3"', '"1", "3"', "*", '"3-queued"'])
def test_a_present_version_may_be_changed(header: str) -> None:
    with APP.test_request_context(headers={"If-Match": header}):
        check_if_match(3)


@pytest.mark.parametrize("header", ['"2"', 'W/"3"', "3x", "", '""', '"-3"', '"33"', '"33-queued"', 'W/"3-queued"'])
def test_a_stale_weak_or_malformed_tag_does_not_match(header: str) -> None:
    with APP.test_request_context(headers={"If-Match": header}), pytest.raises(PreconditionFailed):
        check_if_match(3)


def test_a_change_without_a_tag_is_refused() -> None:
    with APP.test_request_context(), pytest.raises(PreconditionRequired):
        check_if_match(3)


def test_what_the_client_has_is_not_sent_again() -> None:
    with APP.test_request_context(headers={"If-None-Match": '"3-queued"'}):
        assert with_etag(Response("body"), 3, "queued").status_code == 304
        assert with_etag(Response("body"), 3, "running").status_code == 200


def test_a_write_is_answered_whole_whatever_the_client_has() -> None:
    with APP.test_request_context(method="POST", headers={"If-None-Match": '"3"'}):
        assert with_etag(Response("body"), 3).status_code == 200
