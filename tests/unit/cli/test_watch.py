"""Following a job through broken streams, proxies that do not stream, and outages."""

from __future__ import annotations

import time

import pytest

from cli.client import Client
from cli.errors import Problem, TimedOut, Unreachable
from cli.watch import describe, follow
from tests.unit.cli.conftest import JOB_ID, Answer, Script, job

NOT_FOUND = {"code": "not_found", "detail": "There is no such job."}


def states(client: Client) -> list[str]:
    return [seen["state"] for seen in follow(client, JOB_ID, outage_seconds=0.5)]


def test_a_stream_is_followed_to_the_jobs_end(script: Script) -> None:
    script.answers = [Answer(events=((1, job("queued")), (2, job("running", 3)), (3, job("succeeded", 10))))]

    with Client(script.url, credential="key") as client:
        assert states(client) == ["queued", "running", "succeeded"]
    assert [path for _, path, _ in script.requests] == [f"/api/v1/jobs/{JOB_ID}/events"]
    assert script.requests[0][2]["Authorization"] == "Bearer key"


def test_a_broken_stream_is_resumed_after_the_last_event(script: Script) -> None:
    script.answers = [
        Answer(events=((4, job("running", 1)),)),
        Answer(hang_up=True),
        Answer(events=((5, job("failed")),)),
    ]

    with Client(script.url) as client:
        assert states(client) == ["running", "failed"]
    assert [headers.get("Last-Event-ID") for _, _, headers in script.requests] == [None, "4", "4"]


def test_where_nothing_streams_the_job_is_polled(script: Script) -> None:
    script.answers = [
        Answer(404, {"code": "route_not_found"}),
        Answer(body=job("running", 1)),
        Answer(body=job("running", 1)),
        Answer(body=job("succeeded")),
    ]

    with Client(script.url) as client:
        assert states(client) == ["running", "succeeded"]
    assert [path.partition("?")[2] for _, path, _ in script.requests] == ["", "", "wait=5", "wait=5"]


def test_a_stream_that_only_ends_gives_way_to_polling(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.watch.PAUSE_SECONDS", 0.01)
    script.answers = [Answer(events=()), Answer(events=()), Answer(events=()), Answer(body=job("cancelled"))]

    with Client(script.url) as client:
        assert states(client) == ["cancelled"]


def test_a_job_that_does_not_exist_ends_the_following_at_once(script: Script) -> None:
    script.answers = [Answer(404, NOT_FOUND)]

    with Client(script.url) as client, pytest.raises(Problem, match=r"There is no such job\. \[not_found\]"):
        states(client)
    assert len(script.requests) == 1


def test_an_overloaded_server_is_asked_again(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.watch.PAUSE_SECONDS", 0.01)
    script.answers = [Answer(503, {"code": "service_unavailable"}), Answer(events=((1, job("succeeded")),))]

    with Client(script.url) as client:
        assert states(client) == ["succeeded"]


def test_an_outage_ends_the_following(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.watch.PAUSE_SECONDS", 0.01)

    with Client("http://127.0.0.1:9") as client, pytest.raises(Unreachable, match="cannot be reached"):
        states(client)


def test_the_clients_deadline_ends_the_following(script: Script) -> None:
    script.answers = [Answer(404, {"code": "route_not_found"}), Answer(body=job("running"))]

    with Client(script.url, deadline=time.monotonic() + 1) as client, pytest.raises(TimedOut):
        states(client)


def test_a_message_from_a_job_cannot_steer_the_terminal() -> None:
    hostile = {**job("running"), "progress": {"done": 1, "total": None, "message": "\x1b[2Jgone\nnext"}}

    assert describe(hostile) == "system.ping running 1 �[2Jgone next"
