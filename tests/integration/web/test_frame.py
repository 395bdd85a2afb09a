"""What holds for every route: errors, ids, headers, limits of size and number, the pages for people and machines."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from cli.embedded.valkey import EmbeddedValkey
from config.settings import Settings
from domain.ids import new_id
from jobs.kinds import QUEUES
from tenancy.access import Tenancy
from tenancy.database import Database
from tests.integration.web.callers import Caller
from web.app import create_app
from web.docs import ASSETS
from web.errors import CODES

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


def check_problem(answer: Any, status: int, code: str) -> None:
    """An answer that is a problem of RFC 9457 with all its members."""
    assert (answer.status_code, answer.json["code"]) == (status, code), answer.text
    assert answer.mimetype == "application/problem+json"
    assert set(answer.json) == {"type", "title", "status", "detail", "instance", "code", "errors", "trace_id"}
    assert (answer.json["type"], answer.json["status"]) == (f"/errors/{code}", status)
    assert "Traceback" not in answer.text


def test_an_unknown_route_is_a_problem(client: FlaskClient) -> None:
    check_problem(client.get("/api/v1/nothing"), 404, "route_not_found")


def test_a_method_that_the_route_does_not_know_is_405_with_allow(client: FlaskClient) -> None:
    answer = client.delete(JOBS)

    check_problem(answer, 405, "method_not_allowed")
    assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))


def test_a_caller_without_credentials_is_told_so(client: FlaskClient) -> None:
    answer = client.post(JOBS, data="{not json")

    check_problem(answer, 401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{'a': 1}",
        b'{"a": NaN}',
        b"\xff\xfe",
        b'{"a": 1} x',
        b"[" * 100_000,
        b'{"priority": ' + b"9" * 5000 + b"}",
    ],
)
def test_malformed_json_is_400(caller: Caller, body: bytes) -> None:
    check_problem(caller.post(JOBS, data=body, content_type="application/json"), 400, "malformed_request")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None])
def test_another_content_type_is_415(caller: Caller, kind: str | None) -> None:
    check_problem(caller.post(JOBS, data=b'{"kind": "system.ping"}', content_type=kind), 415, "unsupported_media_type")


@pytest.mark.parametrize("body", [b"[]", b"1", b'"x"', b"null", b""])
def test_a_body_that_is_no_object_is_422(caller: Caller, body: bytes) -> None:
    check_problem(caller.post(JOBS, data=body, content_type="application/json"), 422, "invalid_payload")


@pytest.mark.parametrize("text", ["\\u0000", "\\ud800", "\\udc00\\ud800"])
def test_text_that_cannot_be_stored_is_422_with_its_pointer(caller: Caller, text: str) -> None:
    body = '{"kind": "system.ping", "payload": {"a/b~": ["TEXT"]}}'.replace("TEXT", text)
    answer = caller.post(JOBS, data=body, content_type="application/json")

    check_problem(answer, 422, "invalid_payload")
    assert answer.json["errors"][0]["pointer"] == "/payload/a~1b~0/0"


@pytest.mark.parametrize("query", ["kind=%00", "%00=1", "kind=a&kind=b"])
def test_a_query_that_cannot_be_stored_or_is_ambiguous_is_422(caller: Caller, query: str) -> None:
    check_problem(caller.get(f"{JOBS}?{query}"), 422, "invalid_payload")


def test_a_body_over_the_limit_is_413(caller: Caller, settings: Settings) -> None:
    answer = caller.post(JOBS, data=b" " * (settings.max_body_bytes + 1), content_type="application/json")

    check_problem(answer, 413, "payload_too_large")


def test_a_bug_is_500_and_tells_nothing_of_itself(app_with: Callable[..., Flask]) -> None:
    app = app_with()

    def broken() -> str:
        raise RuntimeError("the secret is hunter2")

    app.add_url_rule("/broken", "broken", broken)
    answer = app.test_client().get("/broken", headers={"X-Request-ID": "find-me"})

    check_problem(answer, 500, "internal_error")
    assert "hunter2" not in answer.text


def test_a_database_that_is_away_is_503_with_retry_after(app_with: Callable[..., Flask], caller: Caller) -> None:
    app = app_with()
    tenancy = app.extensions["nexus.tenancy"]
    tenancy.dispose()
    tenancy.platform = Database("host=/nowhere dbname=x user=x", pool_size=1, application_name="test", timeout=1)
    answer = app.test_client().get(JOBS, headers=caller.headers)

    check_problem(answer, 503, "service_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1


def test_every_code_is_in_the_document(client: FlaskClient) -> None:
    description = client.get("/api/v1/openapi.json").json["info"]["description"]

    assert all(f"`{code}`" in description for code in CODES)
    assert {"invalid_cursor", "rate_limited", "internal_error", "unsupported_media_type"} <= set(CODES)


@pytest.mark.parametrize(("sent", "taken"), [("abc-123._X", True), ("a b", False), ("x" * 129, False), ("ä", False)])
def test_a_request_id_is_taken_over_or_made(client: FlaskClient, sent: str, taken: bool) -> None:
    answer = client.get("/health", headers={"X-Request-ID": sent})

    assert (answer.headers["X-Request-ID"] == sent) is taken
    assert answer.headers["X-Request-ID"]


def test_a_problem_names_the_trace_of_the_client(client: FlaskClient) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    assert client.get("/x", headers={"traceparent": parent}).json["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert client.get("/x", headers={"traceparent": "00-bad"}).json["trace_id"] != "bad"


def test_every_answer_carries_the_security_headers(client: FlaskClient) -> None:
    for path in ("/health", "/nothing", "/docs", JOBS):
        headers = client.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
    assert client.get("/health").headers["Cache-Control"] == "no-store"


def test_only_listed_origins_may_ask(app_with: Callable[..., Flask]) -> None:
    client = app_with(cors_origins=("https://app.example.com",)).test_client()
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}

    def allowed(origin: str) -> str | None:
        answer = client.options(JOBS, headers={"Origin": origin, **preflight})
        return answer.headers.get("Access-Control-Allow-Origin")

    assert allowed("https://app.example.com") == "https://app.example.com"
    assert allowed("https://app.example.com.evil.example") is None
    assert allowed("https://appxexample.com") is None
    assert allowed("null") is None


def test_without_listed_origins_no_other_site_may_ask(client: FlaskClient) -> None:
    answer = client.get("/health", headers={"Origin": "https://app.example.com"})

    assert "Access-Control-Allow-Origin" not in answer.headers


def test_limits_are_told_and_kept_per_caller(app_with: Callable[..., Flask], caller: Caller, stranger: Caller) -> None:
    client = app_with(rate_limit="3/minute", anonymous_rate_limit="2/minute", redis_url=None).test_client()
    answers = [client.get(JOBS, headers=caller.headers) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[0].headers["RateLimit-Policy"] == '"caller";q=3;w=60'
    assert answers[0].headers["RateLimit"].startswith('"caller";r=2;t=')
    check_problem(answers[3], 429, "rate_limited")
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 60
    assert client.get(JOBS, headers=stranger.headers).status_code == 200


def test_the_anonymous_are_limited_by_address(app_with: Callable[..., Flask]) -> None:
    client = app_with(anonymous_rate_limit="2/minute", redis_url=None).test_client()

    assert [client.get(JOBS).status_code for _ in range(3)] == [401, 401, 429]
    assert client.get(JOBS, environ_base={"REMOTE_ADDR": "192.0.2.7"}).status_code == 401


def test_made_up_credentials_do_not_evade_the_limit_of_the_address(app_with: Callable[..., Flask]) -> None:
    client = app_with(anonymous_rate_limit="2/minute", redis_url=None).test_client()
    made_up = [{"Authorization": f"Bearer nxk_{'A' * 106}{number}"} for number in range(4)]

    assert [client.get(JOBS, headers=headers).status_code for headers in made_up] == [401, 401, 429, 429]


def test_bad_credentials_of_a_neighbour_do_not_hold_off_a_known_caller(
    app_with: Callable[..., Flask], caller: Caller
) -> None:
    client = app_with(anonymous_rate_limit="2/minute", redis_url=None).test_client()
    before = client.get(JOBS, headers=caller.headers).status_code
    for number in range(4):
        client.get(JOBS, headers={"Authorization": f"Bearer made-up-{number}"})

    assert (before, client.get(JOBS, headers=caller.headers).status_code) == (200, 200)


def test_watching_is_never_limited(app_with: Callable[..., Flask]) -> None:
    client = app_with(anonymous_rate_limit="1/minute", redis_url=None).test_client()

    assert {client.get("/health").status_code for _ in range(5)} == {200}


def test_requests_are_counted_in_the_process_while_redis_is_away(app_with: Callable[..., Flask]) -> None:
    client = app_with(anonymous_rate_limit="2/minute", redis_url=SecretStr("redis://127.0.0.1:1/0")).test_client()

    assert [client.get(JOBS).status_code for _ in range(3)] == [401, 401, 429]


def test_requests_that_are_under_way_when_redis_freezes_are_answered(app_with: Callable[..., Flask]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as frozen:  # takes connections and never speaks
        app = app_with(redis_url=SecretStr(f"redis://127.0.0.1:{frozen.getsockname()[1]}/0"))
        together = Barrier(8)

        def ask() -> int:
            together.wait(10)
            return app.test_client().get(JOBS).status_code

        with ThreadPoolExecutor(8) as threads:
            answers = [threads.submit(ask) for _ in range(8)]
            assert [answer.result(20) for answer in answers] == [401] * 8


@pytest.mark.parametrize("status", [200, 401])
def test_redis_going_away_within_a_request_changes_nothing_but_its_header_fields(
    app_with: Callable[..., Flask], caller: Caller, tmp_path: Path, status: int
) -> None:
    """Between counting the request and telling what is left; a refused one is counted once more after its answer."""
    valkey = EmbeddedValkey(tmp_path)
    valkey.start()
    app = app_with(redis_url=SecretStr(valkey.url))

    def stop() -> tuple[str, int]:
        valkey.stop()
        return "stopped", status

    app.add_url_rule("/stop", view_func=stop)
    before = app.test_client().get(JOBS, headers=caller.headers)
    answer = app.test_client().get("/stop", headers={"Authorization": "Bearer nxk_unknown"})
    after = app.test_client().get(JOBS, headers=caller.headers)

    assert (before.status_code, "RateLimit" in before.headers) == (200, True)
    assert (answer.status_code, answer.text, "RateLimit" in answer.headers) == (status, "stopped", False)
    assert (after.status_code, "RateLimit" in after.headers) == (200, True)


def test_health_tells_each_part_and_is_unready_without_leader_and_workers(client: FlaskClient) -> None:
    answer = client.get("/health/ready")
    parts = answer.json["parts"]

    assert (answer.status_code, answer.json["status"]) == (503, "unready")
    assert parts["platform_database"]["state"] == parts["broker"]["state"] == parts["storage"]["state"] == "up"
    assert parts["dispatcher"]["state"] == parts["workers:default"]["state"] == "down"
    assert not parts["storage"]["required"]


def test_the_platform_is_ready_with_a_leader_and_workers_for_every_queue(
    client: FlaskClient, engine_tenancy: Tenancy
) -> None:
    worker_id = new_id()
    engine_tenancy.platform.fetch(
        "INSERT INTO leaders (role, holder, epoch, heartbeat_at) VALUES ('dispatcher', 'test', 1, now())", {}
    )
    engine_tenancy.platform.fetch(
        "INSERT INTO workers (id, name, queues, slots, pid, started_at, heartbeat_at)"
        " VALUES (%(id)s, 'test', %(queues)s, 4, 1, now(), now())",
        {"id": worker_id, "queues": list(QUEUES)},
    )
    try:
        answer = client.get("/health/ready")
        figures = metrics_of(client)
    finally:
        engine_tenancy.platform.fetch("DELETE FROM leaders WHERE holder = 'test'", {})
        engine_tenancy.platform.fetch("DELETE FROM workers WHERE id = %(id)s", {"id": worker_id})

    assert (answer.status_code, answer.json["status"]) == (200, "ready"), answer.text
    assert answer.json["parts"]["workers:search"]["slots"] == 4
    assert figures["nexus_worker_slots", (("queue", "search"),)] == 4
    assert figures["nexus_dispatcher_heartbeat_age_seconds", ()] < 5


def test_liveness_needs_nothing(client: FlaskClient) -> None:
    assert client.get("/health").json == {"status": "alive"}


def test_metrics_count_requests_by_route_not_by_path(client: FlaskClient) -> None:
    for number in range(3):
        client.get(f"{JOBS}/{number}")
        client.get(f"/made-up/{number}")
    figures = metrics_of(client)

    unmatched = ("nexus_http_requests_total", (("method", "GET"), ("route", "unmatched"), ("status", "404")))
    assert figures[unmatched] >= 3
    assert not any("made-up" in str(labels) for _, labels in figures)
    assert figures["nexus_platform_database_up", ()] == 1


def test_the_document_can_be_asked_for_conditionally(client: FlaskClient) -> None:
    first = client.get("/api/v1/openapi.json")

    assert json.loads(first.data)["openapi"] == "3.1.0"
    assert client.get("/api/v1/openapi.json", headers={"If-None-Match": first.headers["ETag"]}).status_code == 304


def test_the_docs_need_no_other_site_and_no_inline_script(client: FlaskClient) -> None:
    page = client.get("/docs")

    assert "//" not in page.text.replace("<!DOCTYPE", "")
    assert page.text.count("<script") == page.text.count('<script src="/docs/') == 2
    for name in (*ASSETS, "start.js", "openapi.json"):
        with client.get(f"/docs/{name}") as file:
            assert file.status_code == 200
    check_problem(client.get("/docs/index.html"), 404, "route_not_found")
    assert client.get("/docs/..%2f__init__.py").status_code == 404


def metrics_of(client: FlaskClient) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample of /metrics by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
    }
