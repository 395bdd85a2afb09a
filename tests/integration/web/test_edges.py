"""What reaches the API from outside and is not as it should be: refused, told as a problem, and nothing changed."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydantic import SecretStr

from config.settings import Settings
from tenancy.access import Tenancy
from tests.integration.web.callers import Caller
from tests.integration.web.engine import code_of, program
from tests.integration.web.test_frame import check_problem
from tests.integration.web.test_gunicorn import Server, serving
from web.app import create_app

JOBS = "/api/v1/jobs"


@pytest.fixture
def app_with(settings: Settings) -> Iterator[Callable[..., Flask]]:
    """Makes apps whose settings differ from the run's."""
    made: list[Flask] = []

    def make(**changes: Any) -> Flask:
        made.append(create_app(settings.model_copy(update=changes)))
        return made[-1]

    yield make
    for app in made:
        app.extensions["nexus.tenancy"].dispose()


@pytest.fixture(scope="module")
def impatient(settings: Settings) -> Iterator[Server]:
    """The real server, which waits one second for a body."""
    with serving(settings, NEXUS_BODY_SECONDS="1") as server:
        yield server


def raw(server: Server, request: bytes, seconds: float = 15.0) -> bytes:
    """What the server answers to these very bytes, until it closes."""
    with socket.create_connection(("127.0.0.1", server.port), seconds) as connection:
        connection.sendall(request)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


def test_a_tenants_callers_together_are_held_to_its_limit(
    app_with: Callable[..., Flask], caller: Caller, stranger: Caller, engine_tenancy: Tenancy
) -> None:
    client = app_with(tenant_rate_limit="3/minute", redis_url=None).test_client()
    other = program(caller, engine_tenancy, "job:read")
    answers = [client.get(JOBS, headers=headers) for headers in (caller.headers, other.headers) * 2]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    check_problem(answers[3], 429, "rate_limited")
    assert answers[3].headers["RateLimit-Policy"] == '"tenant";q=3;w=60'
    assert answers[3].headers["RateLimit"].startswith('"tenant";r=0;t=')
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 60
    assert client.get(JOBS, headers=stranger.headers).status_code == 200


def test_a_stranger_uses_up_nothing_of_the_tenant_that_he_names(
    app_with: Callable[..., Flask], caller: Caller, stranger: Caller
) -> None:
    client = app_with(tenant_rate_limit="2/minute", redis_url=None).test_client()
    intruder = {**stranger.headers, "X-Project-ID": str(caller.tenant_id)}

    assert {client.get(JOBS, headers=intruder).status_code for _ in range(5)} == {404}
    assert client.get(JOBS, headers=caller.headers).status_code == 200


def test_a_tenants_limit_is_counted_in_the_process_while_redis_is_away(
    app_with: Callable[..., Flask], caller: Caller
) -> None:
    client = app_with(tenant_rate_limit="2/minute", redis_url=SecretStr("redis://127.0.0.1:1/0")).test_client()

    assert [client.get(JOBS, headers=caller.headers).status_code for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize("path", ["/api/v1/jobs/%ff", "/api/v1/jobs?kind=%ff%fe", "/api/v1/search/documents/%c0%af"])
def test_a_path_or_query_that_is_no_utf_8_is_refused_or_not_found(caller: Caller, path: str) -> None:
    answer = caller.get(path)

    assert answer.status_code in {200, 400, 404, 422}
    if answer.status_code != 200:
        assert code_of(answer)[0] == answer.status_code


def test_a_body_that_is_no_utf_8_is_malformed(caller: Caller) -> None:
    for body in (b'{"kind": "\xff"}', '{"kind": "system.ping"}'.encode("utf-16"), b'{"kind": "\xed\xa0\x80"}'):
        check_problem(caller.post(JOBS, data=body, content_type="application/json"), 400, "malformed_request")


@pytest.mark.parametrize("header", ["Authorization", "X-Project-ID", "Idempotency-Key", "If-None-Match", "traceparent"])
def test_a_header_that_is_no_ascii_breaks_nothing(caller: Caller, header: str) -> None:
    answer = caller.post(JOBS, json={"kind": "system.ping"}, headers={header: "\xff\xfe\x01"})

    assert answer.status_code < 500


@pytest.mark.parametrize(
    "path",
    ["/docs/../../etc/passwd", "/docs/..%2f..%2fetc%2fpasswd", "/docs/%2e%2e/app.py", "/docs/....//app.py",
     "/api/v1/../../health", "/docs/%00"],
)  # fmt: skip
def test_a_path_that_climbs_leads_nowhere(client: FlaskClient, path: str) -> None:
    answer = client.get(path)

    assert answer.status_code in {200, 404}
    assert "root:" not in answer.text
    assert "import" not in answer.text
    if answer.status_code == 200:
        assert answer.json == {"status": "alive"}, "the client itself has shortened the path"


@pytest.mark.parametrize("name", ["../../etc/passwd", "..", "a/../../b", "\\..\\b", "/etc/passwd"])
def test_a_name_from_a_client_is_never_a_path(caller: Caller, name: str) -> None:
    """Documents are rows: a name that climbs is a name."""
    put = caller.put(f"/api/v1/search/documents/{quote(name, safe='')}", json={"title": "x", "body": "x"})

    assert put.status_code in {201, 308, 404, 422}
    if put.status_code == 201:
        assert put.json["external_id"] == name


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: x=1", "a\nX-Evil: 1", "a\r\n\r\n<script>"])
def test_a_value_with_a_line_break_makes_no_header(impatient: Server, value: str) -> None:
    for request in (
        f"GET /health HTTP/1.1\r\nHost: x\r\nX-Request-ID: {value}\r\nConnection: close\r\n\r\n",
        f"GET /api/v1/jobs/{quote(value, safe='')} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ):
        head = raw(impatient, request.encode()).partition(b"\r\n\r\n")[0].lower()
        assert b"set-cookie" not in head
        assert b"\nx-evil" not in head


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Transfer-Encoding: xchunked",
        b"Content-Length: -1",
    ],
)
def test_a_request_whose_end_is_ambiguous_is_refused(impatient: Server, head: bytes) -> None:
    """Else a proxy and we would disagree about where the next one begins."""
    answer = raw(impatient, b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                 + head + b"\r\nConnection: close\r\n\r\n{}   ")  # fmt: skip

    assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 501")), answer[:200]


def test_a_body_that_comes_too_slowly_is_given_up(impatient: Server) -> None:
    head = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"
    with socket.create_connection(("127.0.0.1", impatient.port), 30) as connection:
        connection.sendall(head + b"Connection: close\r\n\r\n")
        started, answer = time.monotonic(), b""
        connection.settimeout(0.3)
        while time.monotonic() - started < 20 and not answer:
            connection.sendall(b" ")
            try:
                answer = connection.recv(65536)
            except TimeoutError:
                continue
        connection.settimeout(10)
        while chunk := connection.recv(65536):  # the head and the body come in pieces
            answer += chunk

    assert answer.startswith(b"HTTP/1.1 408"), answer[:300]
    assert b'"request_timeout"' in answer
    assert impatient.request("GET", "/health")[0] == 200


def test_headers_beyond_the_limits_are_refused(impatient: Server) -> None:
    for head in (b"X-Long: " + b"a" * 20_000, b"\r\n".join(b"X-%d: 1" % number for number in range(200))):
        answer = raw(impatient, b"GET /health HTTP/1.1\r\nHost: x\r\n" + head + b"\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 4"), answer[:100]


def test_a_preflight_of_a_listed_origin_names_what_it_may_send(app_with: Callable[..., Flask]) -> None:
    client = app_with(cors_origins=("https://app.example.com",)).test_client()
    asked = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "PUT"}
    answer = client.options(JOBS, headers={**asked, "Access-Control-Request-Headers": "authorization, idempotency-key"})
    unlisted = client.options(JOBS, headers={**asked, "Access-Control-Request-Headers": "x-evil"})

    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert {"authorization", "idempotency-key"} <= set(
        answer.headers["Access-Control-Allow-Headers"].lower().split(", ")
    )
    assert "PUT" in answer.headers["Access-Control-Allow-Methods"]
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "Origin" in answer.headers.get_all("Vary")
    assert "x-evil" not in unlisted.headers.get("Access-Control-Allow-Headers", "").lower()


def test_every_answer_with_https_asks_for_https(app_with: Callable[..., Flask]) -> None:
    client = app_with(public_url="https://api.example.com").test_client()

    assert client.get("/health").headers["Strict-Transport-Security"].startswith("max-age=")
