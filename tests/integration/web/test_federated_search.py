"""Searches over HTTP sources that a tenant registered: what they answer, how they fail, and what is shown of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import text

from bench.engine import until
from config.settings import Settings
from domain.search.sources import MOST_REGISTERED, OWN
from providers.circuits import FAILURES_TO_OPEN
from tenancy.access import Tenancy
from tests.contracts.source_double import SourceDouble, hits, source_double
from tests.integration.web.callers import Caller
from tests.integration.web.engine import code_of, pointers_of, program, run, run_queued, worker
from tests.locks import waiting
from web.app import create_app

SEARCH, SOURCES = "/api/v1/search", "/api/v1/search/sources"
KINDS = ("search.query", "search.source")
ASYNC = {"Prefer": "respond-async"}
PATIENT = {"q": "travel", "timeout_ms": 30_000}


@pytest.fixture(scope="module")
def loopback(settings: Settings) -> Settings:
    """Settings that let sources stand on this machine."""
    return settings.model_copy(update={"search_private_networks": "127.0.0.0/8"})


@pytest.fixture(scope="module")
def local_app(loopback: Settings) -> Iterator[Flask]:
    made = create_app(loopback)
    yield made
    made.extensions["nexus.tenancy"].dispose()


@pytest.fixture(scope="module")
def engine(loopback: Settings) -> Iterator[Tenancy]:
    """The workers' door under these settings."""
    tenancy = Tenancy(loopback, "engine")
    yield tenancy
    tenancy.dispose()


@pytest.fixture(scope="module")
def double() -> Iterator[SourceDouble]:
    with source_double() as running:
        yield running


@pytest.fixture
def searcher(local_app: Flask, caller: Caller) -> Caller:
    """The owner of a tenant, in an API that lets sources stand on this machine."""
    return replace(caller, client=local_app.test_client())


@pytest.fixture
def register(searcher: Caller, double: SourceDouble) -> Callable[..., dict[str, Any]]:
    """Registers a source that answers like that."""

    def make(name: str, answer: Any = None, script: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
        url = double.source(f"{name}-{searcher.tenant_id}", answer, **(script or {}))
        made = searcher.post(SOURCES, json={"name": name, "url": url, "timeout_ms": 20_000, **fields})
        assert made.status_code == 201, made.text
        body: dict[str, Any] = made.json
        return body

    return make


def by_name(answer: Any) -> dict[str, tuple[str, str | None]]:
    return {source["name"]: (source["status"], source["error"]) for source in answer["sources"]}


def ids(answer: Any) -> list[str]:
    return [hit["id"] for hit in answer["hits"]]


def searched(searcher: Caller, engine: Tenancy, body: dict[str, Any], path: str = SEARCH) -> Any:
    """The answer to a search whose jobs a worker runs, one after the other."""
    with worker(engine, searcher.tenant_id, *KINDS):
        return searcher.post(path, json={**PATIENT, **body})


# --- asking


def test_a_registered_source_is_asked_beside_the_platforms_own(
    searcher: Caller, engine: Tenancy, register: Callable[..., Any], double: SourceDouble
) -> None:
    register("wiki", hits("train", "bus", url=None), secret="Bearer correct-horse", header_name="X-Wiki-Key")
    assert searcher.put(f"{SEARCH}/documents/d", json={"title": "Travel", "body": "x"}).status_code == 201

    answered = searched(searcher, engine, {})

    assert answered.status_code == 200
    assert by_name(answered.json) == dict.fromkeys((*OWN, "wiki"), ("ok", None))
    assert sorted(ids(answered.json)) == ["bus", "d", "train"]
    assert (answered.json["partial"], answered.json["total"]) == (False, 3)
    _, headers, asked = next(each for each in reversed(double.asked) if each[0] == f"/wiki-{searcher.tenant_id}")
    assert headers["x-wiki-key"] == "Bearer correct-horse"
    assert (asked["q"], asked["search_id"], asked["limit"]) == ("travel", answered.json["search_id"], 50)


def test_a_search_asks_each_source_once(
    searcher: Caller, engine: Tenancy, register: Callable[..., Any], double: SourceDouble
) -> None:
    register("wiki", hits("train"))
    asked = searcher.post(SEARCH, json=PATIENT, headers={**ASYNC, "Idempotency-Key": "k"})
    again = searcher.post(SEARCH, json=PATIENT, headers={**ASYNC, "Idempotency-Key": "k"})
    assert (again.json["search_id"], again.headers["Idempotency-Replayed"]) == (asked.json["search_id"], "true")

    run(engine, searcher.tenant_id, UUID(asked.json["search_id"]))

    assert run_queued(engine, searcher.tenant_id, "search.source") == len(OWN) + 1
    assert len(double.questions(f"wiki-{searcher.tenant_id}")) == 1


def test_a_source_that_answers_before_the_question_is_written_down_counts(
    searcher: Caller, engine: Tenancy, register: Callable[..., Any]
) -> None:
    register("wiki", hits("train"))
    asked = searcher.post(SEARCH, json=PATIENT, headers=ASYNC)

    assert run_queued(engine, searcher.tenant_id, "search.source") == len(OWN) + 1

    answered = searcher.get(asked.headers["Location"])
    assert (ids(answered.json), answered.json["partial"]) == (["train"], False)
    run(engine, searcher.tenant_id, UUID(asked.json["search_id"]))
    assert searcher.get(asked.headers["Location"]).json == answered.json


def test_a_search_submitted_as_a_job_asks_all_sources(
    searcher: Caller, engine: Tenancy, register: Callable[..., Any]
) -> None:
    register("wiki", hits("train"))
    job = searcher.post("/api/v1/jobs", json={"kind": "search.query", "payload": PATIENT}).json["id"]

    run_queued(engine, searcher.tenant_id, "search.query")
    run_queued(engine, searcher.tenant_id, "search.source")

    assert ids(searcher.get(f"{SEARCH}/{job}").json) == ["train"]


def test_who_waits_is_woken_by_the_last_source_without_looking(
    searcher: Caller, engine: Tenancy, register: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the hint it would look after a minute."""
    monkeypatch.setattr("web.searching.LOOK_SECONDS", 60.0)
    register("wiki", hits("train"))
    began = time.monotonic()

    answered = searched(searcher, engine, {"timeout_ms": 30_000})

    assert by_name(answered.json)["wiki"] == ("ok", None)
    assert time.monotonic() - began < 25


# --- failing


@pytest.mark.parametrize(
    ("answer", "script", "status", "error"),
    [
        (b"<html>", {}, "error", "malformed_answer"),
        ({"hits": [{"id": 1}]}, {}, "error", "malformed_answer"),
        (None, {"status": 302, "headers": {"location": "http://127.0.0.1:1/"}}, "error", "redirected"),
        (None, {"status": 401}, "error", "credentials_refused"),
        (None, {"status": 503}, "error", "source_unavailable"),
        ({"hits": [{"id": "a", "snippet": "x" * 1_100_000}]}, {}, "error", "answer_too_large"),
    ],
)
def test_a_source_that_fails_fails_alone(
    searcher: Caller,
    engine: Tenancy,
    register: Callable[..., Any],
    answer: Any,
    script: dict[str, Any],
    status: str,
    error: str,
) -> None:
    register("bad", answer, script)
    register("good", hits("train"))

    answered = searched(searcher, engine, {"sources": ["bad", "good"]})

    assert answered.status_code == 200
    assert by_name(answered.json) == {"bad": (status, error), "good": ("ok", None)}
    assert (answered.json["partial"], ids(answered.json)) == (True, ["train"])


def test_a_source_has_its_own_time(searcher: Caller, engine: Tenancy, register: Callable[..., Any]) -> None:
    register("slow", hits("late"), {"delay": 20.0}, timeout_ms=300)
    register("good", hits("train"))

    answered = searched(searcher, engine, {"sources": ["slow", "good"]})

    assert by_name(answered.json) == {"slow": ("timeout", None), "good": ("ok", None)}
    assert (answered.json["partial"], ids(answered.json)) == (True, ["train"])
    assert answered.json["took_ms"] < 20_000


def test_what_comes_after_the_deadline_is_never_merged(
    searcher: Caller, engine: Tenancy, register: Callable[..., Any]
) -> None:
    register("late", hits("train"))

    answered = searcher.post(SEARCH, json={"q": "travel", "sources": ["late"], "timeout_ms": 300})
    run_queued(engine, searcher.tenant_id, "search.source")

    assert by_name(answered.json) == {"late": ("timeout", None)}
    assert searcher.get(answered.headers["Location"]).json == {**answered.json, "took_ms": 300}


def test_only_if_every_source_failed_it_is_502(searcher: Caller, engine: Tenancy, register: Callable[..., Any]) -> None:
    register("one", b"no")
    register("two", None, {"status": 500})

    refused = searched(searcher, engine, {"sources": ["one", "two"]})

    assert code_of(refused) == (502, "search_failed")
    assert [error["code"] for error in refused.json["errors"]] == ["malformed_answer", "source_unavailable"]


def test_a_source_that_keeps_failing_is_left_alone_for_a_while(
    searcher: Caller, engine: Tenancy, register: Callable[..., Any], double: SourceDouble
) -> None:
    made = register("bad", None, {"status": 500})
    register("good", hits("train"))
    for _ in range(FAILURES_TO_OPEN):
        searched(searcher, engine, {"sources": ["bad", "good"]})

    answered = searched(searcher, engine, {"sources": ["bad", "good"]})

    assert by_name(answered.json)["bad"] == ("skipped", "circuit_open")
    assert answered.json["partial"] is True
    assert len(double.questions(f"bad-{searcher.tenant_id}")) == FAILURES_TO_OPEN
    # An edit gives it another chance.
    double.source(f"bad-{searcher.tenant_id}", hits("healed"))
    edit = {"name": "bad", "url": made["url"]}
    etag = searcher.get(f"{SOURCES}/{made['id']}").headers["ETag"]
    assert searcher.put(f"{SOURCES}/{made['id']}", json=edit, headers={"If-Match": etag}).status_code == 200
    assert "healed" in ids(searched(searcher, engine, {"sources": ["bad", "good"]}).json)


def test_a_source_is_not_asked_more_at_once_than_it_takes(
    searcher: Caller, engine: Tenancy, register: Callable[..., Any]
) -> None:
    with source_double() as narrow:
        body = {"name": "narrow", "url": narrow.source("narrow", hits("train"), delay=0.3), "concurrency": 1}
        assert searcher.post(SOURCES, json={**body, "timeout_ms": 20_000}).status_code == 201
        asked = [
            searcher.post(SEARCH, json={**PATIENT, "sources": ["narrow"]}, headers=ASYNC).headers["Location"]
            for _ in range(3)
        ]
        rows = engine.platform.fetch(
            "SELECT id FROM jobs WHERE tenant_id = %(tenant)s AND kind = 'search.source' AND state = 'queued'",
            {"tenant": searcher.tenant_id},
        )
        threads = [threading.Thread(target=run, args=(engine, searcher.tenant_id, row["id"])) for row in rows]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert [ids(searcher.get(address).json) for address in asked] == [["train"]] * 3
        assert narrow.most_at_once == 1


# --- choosing


def test_unknown_sources_are_refused_by_name(searcher: Caller, register: Callable[..., Any]) -> None:
    register("wiki")

    refused = searcher.post(SEARCH, json={"q": "x", "sources": ["wiki", "moon", "documents", "sun"]})

    assert code_of(refused) == (422, "invalid_payload")
    assert pointers_of(refused) == ["/sources/1", "/sources/3"]
    assert searcher.get("/api/v1/jobs").json["items"] == []


@pytest.mark.parametrize(
    "body",
    [
        {"q": "x" * 1001}, {"q": "x", "mode": "psychic"}, {"q": "x", "timeout_ms": 49}, {"q": "x", "timeout_ms": 30_001},
        {"q": "x", "limit": 0}, {"q": "x", "limit": 101}, {"q": "x", "sources": ["a"] * 21}, {"q": "x", "sources": ["A b"]},
        {"q": "x", "filters": {"a'; DROP TABLE searches; --": 1}}, {"q": "x", "filters": {"a": {"like": "%"}}},
        {"q": "x", "filters": []}, {"q": "x", "explain": True},
    ],
)  # fmt: skip
def test_a_bad_search_changes_nothing(searcher: Caller, body: dict[str, Any]) -> None:
    assert code_of(searcher.post(SEARCH, json=body)) == (422, "invalid_payload")
    assert searcher.get("/api/v1/jobs").json["items"] == []


def test_a_disabled_source_is_asked_by_nobody(
    searcher: Caller, engine: Tenancy, register: Callable[..., Any], double: SourceDouble
) -> None:
    register("wiki", hits("train"), enabled=False)
    register("good", hits("bus"))

    named = searched(searcher, engine, {"sources": ["wiki", "good"]}).json
    unnamed = searched(searcher, engine, {}).json

    assert by_name(named) == {"wiki": ("skipped", "source_disabled"), "good": ("ok", None)}
    assert set(by_name(unnamed)) == {*OWN, "good"}
    assert double.questions(f"wiki-{searcher.tenant_id}") == []


def test_a_reader_without_a_sources_permission_sees_nothing_of_it(
    searcher: Caller, engine: Tenancy, web_tenancy: Tenancy, register: Callable[..., Any]
) -> None:
    register("books", hits("ledger"), permission="invoice:read")
    register("open", hits("train"))
    reader = program(searcher, web_tenancy, "search:read")
    answered = searched(searcher, engine, {"sources": ["books", "open"]})

    seen = reader.get(answered.headers["Location"]).json

    assert by_name(answered.json) == {"books": ("ok", None), "open": ("ok", None)}
    assert by_name(seen) == {"books": ("unauthorized", None), "open": ("ok", None)}
    assert (ids(seen), seen["total"]) == (["train"], 1)


# --- fusing and paging


def test_a_weight_and_the_ranks_explain_every_score(
    searcher: Caller, engine: Tenancy, register: Callable[..., Any]
) -> None:
    register("wiki", {"hits": [{"id": "w", "url": "https://example.com/same"}, {"id": "x"}]}, weight=2.5)
    register("news", {"hits": [{"id": "n"}, {"id": "m", "url": "https://example.com/same"}]})

    answered = searched(searcher, engine, {"sources": ["wiki", "news"]}, f"{SEARCH}?explain=true").json

    best = answered["hits"][0]
    assert (best["id"], best["ranks"]) == ("w", {"news": 2, "wiki": 1})
    assert best["explanation"] == [
        {"source": "news", "rank": 2, "weight": 1.0, "contribution": pytest.approx(1 / 62)},
        {"source": "wiki", "rank": 1, "weight": 2.5, "contribution": pytest.approx(2.5 / 61)},
    ]
    assert best["score"] == pytest.approx(sum(part["contribution"] for part in best["explanation"]))
    assert answered["total"] == 3
    plain = searcher.get(f"{SEARCH}/{answered['search_id']}").json
    assert "explanation" not in plain["hits"][0]


def test_a_stranger_does_not_say_what_the_tenants_own_document_looks_like(
    searcher: Caller, engine: Tenancy, register: Callable[..., Any]
) -> None:
    searcher.put(f"{SEARCH}/documents/plan", json={"title": "Travel plan", "body": "x"})
    forged = {"id": "forged", "canonical_id": "document:plan", "title": "Forged", "url": "https://evil.example/"}
    register("liar", {"hits": [forged]}, weight=100)

    answered = searched(searcher, engine, {"sources": ["documents", "liar"]}).json

    (hit,) = answered["hits"]
    assert (hit["title"], hit["url"], hit["ranks"]) == ("Travel plan", None, {"documents": 1, "liar": 1})


def test_pages_do_not_shift_while_sources_and_documents_change(
    searcher: Caller, engine: Tenancy, register: Callable[..., Any]
) -> None:
    made = register("wiki", hits(*(f"w{number}" for number in range(7))), weight=3)
    register("news", hits(*(f"n{number}" for number in range(7))))
    first = searched(searcher, engine, {"sources": ["wiki", "news"], "limit": 4})
    whole = searcher.get(first.headers["Location"], query_string={"limit": 100}).json
    etag = searcher.get(f"{SOURCES}/{made['id']}").headers["ETag"]
    edit = {"name": "wiki", "url": made["url"], "weight": 0.1}
    assert searcher.put(f"{SOURCES}/{made['id']}", json=edit, headers={"If-Match": etag}).status_code == 200

    pages, cursor = [first.json], first.json["next_cursor"]
    while cursor:
        answered = searcher.get(first.headers["Location"], query_string={"cursor": cursor, "limit": 4})
        pages.append(answered.json)
        cursor = answered.json["next_cursor"]

    assert [hit["id"] for page in pages for hit in page["hits"]] == ids(whole)
    assert [len(page["hits"]) for page in pages] == [4, 4, 4, 2]
    assert {page["total"] for page in pages} == {14}
    assert 'rel="next"' in first.headers["Link"]
    assert pages[-1]["next_cursor"] is None


def test_pages_are_of_the_sources_of_the_first_one(
    searcher: Caller, engine: Tenancy, register: Callable[..., Any]
) -> None:
    register("one", hits(*(f"a{number}" for number in range(4))))
    register("two", hits(*(f"b{number}" for number in range(4))))
    asked = searcher.post(SEARCH, json={**PATIENT, "sources": ["one", "two"], "limit": 2}, headers=ASYNC)
    jobs = engine.platform.fetch(
        "SELECT id FROM jobs WHERE tenant_id = %(tenant)s AND kind = 'search.source' AND state = 'queued' ORDER BY id",
        {"tenant": searcher.tenant_id},
    )
    run(engine, searcher.tenant_id, jobs[0]["id"])
    first = searcher.get(asked.headers["Location"]).json
    run(engine, searcher.tenant_id, jobs[1]["id"])

    second = searcher.get(asked.headers["Location"], query_string={"cursor": first["next_cursor"]}).json

    assert (ids(first), ids(second), second["next_cursor"]) == (["a0", "a1"], ["a2", "a3"], None)
    assert len(searcher.get(asked.headers["Location"], query_string={"limit": 8}).json["hits"]) == 8


def test_a_cursor_belongs_to_its_search(searcher: Caller, engine: Tenancy, register: Callable[..., Any]) -> None:
    register("wiki", hits("a", "b", "c"))
    first = searched(searcher, engine, {"sources": ["wiki"], "limit": 1})
    other = searched(searcher, engine, {"sources": ["wiki"], "limit": 1})

    for cursor in (first.json["next_cursor"], "x" * 43):
        refused = searcher.get(other.headers["Location"], query_string={"cursor": cursor})
        assert code_of(refused) == (422, "invalid_cursor")


# --- the sources as a resource


def test_there_are_at_most_so_many_sources(searcher: Caller, register: Callable[..., Any]) -> None:
    for number in range(MOST_REGISTERED):
        register(f"s{number}")

    refused = searcher.post(SOURCES, json={"name": "more", "url": "http://127.0.0.1:9000/"})

    assert code_of(refused) == (409, "conflict")


def test_requests_at_the_same_time_find_room_for_one_source(
    searcher: Caller, engine: Tenancy, register: Callable[..., Any]
) -> None:
    for number in range(MOST_REGISTERED - 1):
        register(f"s{number}")

    def ask(name: str) -> int:
        return int(searcher.post(SOURCES, json={"name": name, "url": "http://127.0.0.1:9000/"}).status_code)

    with ThreadPoolExecutor(2) as callers, engine.session(searcher.tenant_id) as session:
        session.execute(text("LOCK TABLE search_sources IN SHARE ROW EXCLUSIVE MODE"))  # may be read, not written
        asked = [callers.submit(ask, name) for name in ("one", "two")]
        until(lambda: waiting(session) == 2, 10, "both requests")
        session.rollback()
        answers = sorted(each.result() for each in asked)

    assert answers == [201, 409]
