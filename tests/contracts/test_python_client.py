"""The Python client against a server that fails in every way: what is repeated, with which key, and what is raised."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator

import httpx2
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from nexus_client import Client, NexusError, NotFound, Problem, RateLimited, ServerFailed, Unreachable, etag_of
from nexus_client.transport import Transport

JOB = {"id": "1", "kind": "system.ping", "state": "queued"}


def problem(status: int, code: str, **headers: str) -> Response:
    body = json.dumps({"code": code, "status": status, "detail": "No.", "title": "No", "errors": [], "trace_id": "t"})
    return Response(body, status, {**headers, "Content-Type": "application/problem+json"})


def answer(value: object, **headers: str) -> Response:
    return Response(json.dumps(value), 200, {**headers, "Content-Type": "application/json"})


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    with HTTPServer(host="127.0.0.1", threaded=True) as running:
        yield running


@pytest.fixture
def pauses() -> list[float]:
    """Seconds that the client would have slept."""
    return []


@pytest.fixture
def client(server: HTTPServer, pauses: list[float]) -> Iterator[Client]:
    with Client(server.url_for("").rstrip("/"), "nxk_secret") as made:
        made.transport.sleep = pauses.append
        yield made


def played(server: HTTPServer, *answers: Response) -> list[Request]:
    """Let the server give these answers in turn, and note what it was asked."""
    seen: list[Request] = []
    left = list(answers)

    def play(request: Request) -> Response:
        request.get_data()
        seen.append(request)
        return left.pop(0)

    server.expect_request(re.compile("/api/v1/")).respond_with_handler(play)
    return seen


def test_what_carries_a_key_is_repeated_with_the_same_key(
    server: HTTPServer, client: Client, pauses: list[float]
) -> None:
    seen = played(
        server,
        problem(503, "service_unavailable", **{"Retry-After": "3"}),
        problem(409, "idempotency_in_progress"),
        answer(JOB),
    )
    assert client.jobs.submit_job({"kind": "system.ping"}) == JOB
    keys = {request.headers["Idempotency-Key"] for request in seen}
    assert len(seen) == 3
    assert len(keys) == 1
    assert pauses[0] >= 3
    assert [request.get_json() for request in seen] == [{"kind": "system.ping"}] * 3


def test_two_calls_have_two_keys_unless_the_caller_gives_one(server: HTTPServer, client: Client) -> None:
    seen = played(server, *[answer(JOB)] * 3)
    client.jobs.submit_job({"kind": "system.ping"})
    client.jobs.submit_job({"kind": "system.ping"})
    client.jobs.submit_job({"kind": "system.ping"}, idempotency_key="mine")
    keys = [request.headers["Idempotency-Key"] for request in seen]
    assert len(set(keys)) == 3
    assert keys[2] == "mine"


def test_what_changes_something_without_a_key_is_not_repeated(server: HTTPServer, client: Client) -> None:
    seen = played(server, problem(503, "service_unavailable"), answer({}))
    with pytest.raises(ServerFailed) as raised:
        client.jobs.replay_jobs({"state": "failed"})
    assert raised.value.code == "service_unavailable"
    assert len(seen) == 1


def test_too_many_requests_are_waited_for_whatever_it_is(
    server: HTTPServer, client: Client, pauses: list[float]
) -> None:
    seen = played(server, problem(429, "rate_limited", **{"Retry-After": "2"}), answer({"replayed": 0}))
    client.jobs.replay_jobs({"state": "failed"})
    assert len(seen) == 2
    assert pauses[0] >= 2


def test_a_pause_that_is_too_long_is_the_callers_to_decide(
    server: HTTPServer, client: Client, pauses: list[float]
) -> None:
    played(server, problem(429, "rate_limited", **{"Retry-After": "600"}))
    with pytest.raises(RateLimited) as raised:
        client.jobs.get_job("1")
    assert (raised.value.retry_after, pauses) == (600.0, [])


def test_tries_come_to_an_end(server: HTTPServer, client: Client, pauses: list[float]) -> None:
    seen = played(server, *[problem(503, "service_unavailable")] * 9)
    with pytest.raises(ServerFailed):
        client.jobs.get_job("1")
    assert (len(seen), len(pauses)) == (5, 4)
    assert pauses[-1] > pauses[0]


def test_a_refusal_is_an_exception_with_the_code_and_is_not_repeated(server: HTTPServer, client: Client) -> None:
    seen = played(server, problem(404, "not_found"))
    with pytest.raises(NotFound) as raised:
        client.jobs.get_job("1")
    assert (raised.value.code, raised.value.trace_id, len(seen)) == ("not_found", "t", 1)


def test_what_is_no_problem_json_is_a_problem_all_the_same(server: HTTPServer, client: Client) -> None:
    played(server, Response("<html>no such page</html>", 418))
    with pytest.raises(Problem) as raised:
        client.jobs.get_job("1")
    assert (raised.value.code, raised.value.status) == ("http_418", 418)


@pytest.fixture
def cutter() -> Iterator[tuple[str, list[bytes]]]:
    """A server that reads each request and hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))
    got: list[bytes] = []

    def cut() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                got.append(connection.recv(65_536))

    thread = threading.Thread(target=cut, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", got
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


def test_a_broken_connection_is_repeated_only_where_that_is_safe(cutter: tuple[str, list[bytes]]) -> None:
    url, got = cutter
    with Client(url, attempts=3) as client:
        client.transport.sleep = lambda _: None
        with pytest.raises(Unreachable):
            client.jobs.submit_job({"kind": "system.ping"})
        assert len(got) == 3
        with pytest.raises(Unreachable):
            client.jobs.replay_jobs({"state": "failed"})
        assert len(got) == 4


def test_what_never_arrived_is_always_repeated() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    tries: list[float] = []
    with Client(url) as client:
        client.transport.sleep = tries.append
        with pytest.raises(Unreachable):
            client.jobs.replay_jobs({"state": "failed"})
    assert len(tries) == 4


def test_a_change_names_what_was_read(server: HTTPServer, client: Client) -> None:
    seen = played(server, answer({"id": "1"}, ETag='"v7"'), answer({"id": "1"}, ETag='"v8"'))
    read = client.schedules.get_schedule("1")
    client.schedules.put_schedule("1", {"name": "n", "kind": "system.ping", "cron": "@daily"}, if_match=read)
    assert seen[1].headers["If-Match"] == '"v7"' == etag_of(read)
    with pytest.raises(NexusError, match="no entity tag"):
        etag_of({"id": "1"})


def test_items_come_from_every_page(server: HTTPServer, client: Client) -> None:
    seen = played(
        server,
        answer({"items": [{"id": "1"}, {"id": "2"}], "next_cursor": "c"}),
        answer({"items": [{"id": "3"}], "next_cursor": None}),
    )
    assert [job["id"] for job in client.jobs.iterate_jobs(state="failed", created_at_gte="2026-01-01T00:00:00Z")] == [
        "1",
        "2",
        "3",
    ]
    assert [dict(request.args) for request in seen] == [
        {"state": "failed", "created_at[gte]": "2026-01-01T00:00:00Z"},
        {"state": "failed", "created_at[gte]": "2026-01-01T00:00:00Z", "cursor": "c"},
    ]


def events(*texts: str) -> Response:
    return Response("".join(texts), 200, {"Content-Type": "text/event-stream"})


def test_a_stream_is_taken_up_where_it_ended(server: HTTPServer, client: Client) -> None:
    seen = played(
        server,
        events('retry: 1000\n\nid: 1\nevent: job\ndata: {"state": "queued"}\n\n'),
        problem(503, "service_unavailable"),
        events(": heartbeat\n\n"),
        events('id: 2\nevent: job\ndata: {"state": "succeeded"}\n\n'),
    )
    assert [event.data["state"] for event in client.jobs.follow_job("1")] == ["queued", "succeeded"]
    assert [request.headers.get("Last-Event-ID") for request in seen] == [None, "1", "1", "1"]


def test_a_stream_that_is_over_is_not_asked_for_again(server: HTTPServer, client: Client) -> None:
    seen = played(server, Response(status=204))
    assert list(client.jobs.follow_job("1")) == []
    assert len(seen) == 1


def test_a_stream_that_is_refused_says_so(server: HTTPServer, client: Client) -> None:
    played(server, problem(404, "not_found"))
    with pytest.raises(NotFound):
        list(client.jobs.follow_job("1"))


def test_what_stands_in_a_path_cannot_leave_it() -> None:
    asked: list[str] = []

    def note(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.raw_path.decode())
        return httpx2.Response(200, json={})

    with Client("http://nexus.example", http=httpx2.Client(transport=httpx2.MockTransport(note))) as client:
        client.jobs.get_job("../admin/keys?x=1")
    assert asked == ["/api/v1/jobs/..%2Fadmin%2Fkeys%3Fx%3D1"]


def test_a_credential_is_sent_and_a_tenant_selected() -> None:
    assert Transport("http://x", "k", "t").headers["Authorization"] == "Bearer k"
    assert Transport("http://x", "k", "t").headers["X-Project-ID"] == "t"
