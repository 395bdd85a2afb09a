"""The client's promises: what is sent once, what is said when it fails."""

from __future__ import annotations

import pytest

from cli.client import Client
from cli.errors import CommandFailed, Problem, Unreachable
from tests.unit.cli.conftest import Answer, Script


def test_a_request_that_may_have_arrived_is_not_sent_again(script: Script) -> None:
    script.answers = [Answer(hang_up=True)]

    with Client(script.url) as client, pytest.raises(Unreachable):
        client.post("/api/v1/jobs", {})
    assert len(script.requests) == 1


def test_a_problem_tells_detail_code_and_fields_in_one_line(script: Script) -> None:
    fault = {"pointer": "/payload/seconds", "code": "invalid", "detail": "Must be a number."}
    script.answers = [Answer(422, {"code": "invalid_payload", "detail": "The payload is invalid.", "errors": [fault]})]

    with Client(script.url) as client, pytest.raises(Problem) as caught:
        client.post("/api/v1/jobs", {})
    assert str(caught.value) == "The payload is invalid. [invalid_payload] /payload/seconds: Must be a number."
    assert caught.value.status == 422


def test_a_limit_says_when_to_try_again(script: Script) -> None:
    script.answers = [Answer(429, {"code": "rate_limited", "detail": "Too many."}, headers={"Retry-After": "7"})]

    with Client(script.url) as client, pytest.raises(Problem, match="try again in 7 s"):
        client.get("/api/v1/jobs")


def test_an_answer_that_is_no_json_is_a_problem_all_the_same(script: Script) -> None:
    script.answers = [Answer(502, "<html>")]

    with Client(script.url) as client, pytest.raises(Problem, match="http_502"):
        client.get("/api/v1/jobs")


def test_parameters_that_are_none_are_left_out(script: Script) -> None:
    script.answers = [Answer(body={})]

    with Client(script.url) as client:
        client.get("/api/v1/jobs", state="failed", cursor=None)
    assert script.requests[0][1] == "/api/v1/jobs?state=failed"


def test_the_tenant_is_selected_by_its_header(script: Script) -> None:
    script.answers = [Answer(body={})]

    with Client(script.url, credential="token") as client, client.within("t1") as inside:
        inside.get("/api/v1/jobs")
    assert script.requests[0][2]["X-Project-ID"] == "t1"
    assert script.requests[0][2]["Authorization"] == "Bearer token"


@pytest.mark.parametrize("address", ["ftp://example.com", "nexus.example.com", "http://[", "http://a b:x"])
def test_what_is_no_address_is_said_so(address: str) -> None:
    with pytest.raises(CommandFailed, match="is no address"):
        Client(address)
