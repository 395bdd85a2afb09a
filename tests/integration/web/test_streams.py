"""Following a job by server-sent events."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from tenancy.access import Tenancy
from tests.integration.web.callers import Caller
from tests.integration.web.test_jobs import JOBS, PING, finish, finish_soon


def events_of(answer: Any) -> list[dict[str, str]]:
    """The events of a stream that has ended, each by its fields; comments and `retry` are left out."""
    blocks = [dict(line.split(": ", 1) for line in block.splitlines()) for block in answer.text.split("\n\n") if block]
    return [block for block in blocks if "event" in block]


def test_a_finished_job_is_one_event_and_the_end(caller: Caller, engine_tenancy: Tenancy) -> None:
    job = caller.post(JOBS, json=PING).json
    finish(engine_tenancy, job["id"])
    answer = caller.get(job["links"]["events"])
    (event,) = events_of(answer)

    assert answer.mimetype == "text/event-stream"
    assert answer.headers["Cache-Control"] == "no-store"
    assert (event["event"], json.loads(event["data"])["state"]) == ("job", "succeeded")
    assert json.loads(event["data"]) == caller.get(job["links"]["self"]).json
    assert int(event["id"]) == 2


def test_each_change_is_an_event_whose_id_grows(caller: Caller, engine_tenancy: Tenancy) -> None:
    job = caller.post(JOBS, json=PING).json
    timer = finish_soon(engine_tenancy, job["id"])
    events = events_of(caller.get(job["links"]["events"]))
    timer.join()

    assert [json.loads(event["data"])["state"] for event in events] == ["queued", "succeeded"]
    assert [int(event["id"]) for event in events] == [1, 2]


def test_a_client_that_returns_hears_only_what_is_new(caller: Caller, engine_tenancy: Tenancy) -> None:
    job = caller.post(JOBS, json=PING).json
    timer = finish_soon(engine_tenancy, job["id"])
    events = events_of(caller.get(job["links"]["events"], headers={"Last-Event-ID": "1"}))
    timer.join()

    assert [int(event["id"]) for event in events] == [2]


def test_a_client_that_has_seen_the_end_is_told_not_to_return(caller: Caller, engine_tenancy: Tenancy) -> None:
    job = caller.post(JOBS, json=PING).json
    finish(engine_tenancy, job["id"])

    assert caller.get(job["links"]["events"], headers={"Last-Event-ID": "2"}).status_code == 204


@pytest.mark.parametrize("seen", ["x", "-1", "9" * 30, "²", ""])
def test_an_id_that_we_never_gave_counts_as_none(caller: Caller, engine_tenancy: Tenancy, seen: str) -> None:
    job = caller.post(JOBS, json=PING).json
    finish(engine_tenancy, job["id"])

    assert len(events_of(caller.get(job["links"]["events"], headers={"Last-Event-ID": seen}))) == 1


def test_a_quiet_stream_beats_and_ends_after_its_time(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.sse.HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr("web.sse.STREAM_SECONDS", 0.35)
    answer = caller.get(caller.post(JOBS, json=PING).json["links"]["events"])

    assert answer.text.count(": heartbeat\n\n") >= 3
    assert len(events_of(answer)) == 1


def test_a_job_that_disappears_ends_its_stream(caller: Caller, engine_tenancy: Tenancy) -> None:
    job = caller.post(JOBS, json=PING).json
    delete = threading.Timer(
        0.3, engine_tenancy.platform.fetch, ("DELETE FROM jobs WHERE id = %(id)s::uuid", {"id": job["id"]})
    )
    delete.start()
    events = events_of(caller.get(job["links"]["events"]))
    delete.join()

    assert len(events) == 1


def test_the_head_of_a_stream_has_no_body(caller: Caller, engine_tenancy: Tenancy) -> None:
    job = caller.post(JOBS, json=PING).json
    finish(engine_tenancy, job["id"])
    answer = caller.client.head(job["links"]["events"], headers=caller.headers)

    assert (answer.status_code, answer.data) == (200, b"")
