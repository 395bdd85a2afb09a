"""Searches: answered when the sources have answered, or at the deadline with what is there."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID

import pytest

from domain.ids import new_id
from jobs.control import cancel
from models.tenant import SearchResult
from tenancy.access import Tenancy
from tests.integration.web.callers import Caller
from tests.integration.web.engine import all_of, code_of, pointers_of, program, run, run_queued, worker

SEARCH = "/api/v1/search"
KINDS = ("search.query", "search.source")
ASYNC = {"Prefer": "respond-async"}
TRAVEL = {"q": "travel", "sources": ["documents", "messages"]}


@pytest.fixture
def library(caller: Caller) -> Caller:
    """A tenant with something to find."""
    for name, title in (("a", "Travel expenses"), ("b", "Travel by train"), ("c", "Holidays")):
        put = caller.put(f"/api/v1/search/documents/{name}", json={"title": title, "body": "What is paid."})
        assert put.status_code == 201
    return caller


def found(answer: Any) -> list[str]:
    """Titles of the hits, in order."""
    return [hit["title"] for hit in answer["hits"]]


def statuses(answer: Any) -> dict[str, str]:
    """Each source's status."""
    return {source["name"]: source["status"] for source in answer["sources"]}


def answer_from(tenancy: Tenancy, tenant_id: UUID, search_id: str, source: str, status: str) -> None:
    """Write a source's answer as its job would."""
    with tenancy.session(tenant_id) as session:
        session.add(
            SearchResult(
                tenant_id=tenant_id,
                search_id=UUID(search_id),
                source=source,
                status=status,
                took_ms=1,
                hits=[],
                error="source_failed" if status == "error" else None,
            )
        )


def test_a_search_waits_for_its_sources_and_fuses_their_hits(library: Caller, engine_tenancy: Tenancy) -> None:
    with worker(engine_tenancy, library.tenant_id, *KINDS):
        began = time.monotonic()
        answered = library.post(SEARCH, json=TRAVEL)
        took = time.monotonic() - began
    assert answered.status_code == 200
    assert sorted(found(answered.json)) == ["Travel by train", "Travel expenses"]
    assert statuses(answered.json) == {"documents": "ok", "messages": "ok"}
    assert answered.json["partial"] is False
    assert answered.json["hits"][0]["ranks"] == {"documents": 1}
    assert took < 4, "it must not wait for the deadline of 5 s"
    again = library.get(answered.headers["Location"])
    assert again.json == answered.json


def test_a_source_that_has_not_answered_by_the_deadline_makes_the_answer_partial(
    library: Caller, engine_tenancy: Tenancy
) -> None:
    with worker(engine_tenancy, library.tenant_id, "search.query"):
        answered = library.post(SEARCH, json={**TRAVEL, "timeout_ms": 300})
    assert answered.status_code == 200
    assert answered.json["partial"] is True
    assert found(answered.json) == []
    assert statuses(answered.json) == {"documents": "timeout", "messages": "timeout"}


def test_without_any_worker_the_search_is_still_answered_at_its_deadline(library: Caller) -> None:
    began = time.monotonic()
    answered = library.post(SEARCH, json={"q": "travel", "timeout_ms": 200, "sources": ["documents"]})
    assert answered.status_code == 200
    assert statuses(answered.json) == {"documents": "timeout"}
    assert 0.2 <= time.monotonic() - began < 3


def test_a_client_that_prefers_async_reads_the_answer_as_it_grows(library: Caller, engine_tenancy: Tenancy) -> None:
    asked = library.post(SEARCH, json={**TRAVEL, "timeout_ms": 30_000}, headers=ASYNC)
    assert asked.status_code == 202
    assert asked.headers["Preference-Applied"] == "respond-async"
    assert asked.headers["Location"] == f"{SEARCH}/{asked.json['search_id']}"
    assert statuses(asked.json) == {"documents": "pending", "messages": "pending"}
    run(engine_tenancy, library.tenant_id, UUID(asked.json["search_id"]))
    assert statuses(library.get(asked.headers["Location"]).json)["documents"] == "pending"
    assert run_queued(engine_tenancy, library.tenant_id, "search.source") == 2
    answered = library.get(asked.headers["Location"]).json
    assert answered["partial"] is False
    assert len(found(answered)) == 2


def test_one_source_that_fails_does_not_fail_the_search(library: Caller, engine_tenancy: Tenancy) -> None:
    asked = library.post(SEARCH, json=TRAVEL, headers=ASYNC)
    run(engine_tenancy, library.tenant_id, UUID(asked.json["search_id"]))
    answer_from(engine_tenancy, library.tenant_id, asked.json["search_id"], "documents", "error")
    answer_from(engine_tenancy, library.tenant_id, asked.json["search_id"], "messages", "ok")
    answered = library.get(asked.headers["Location"])
    assert answered.status_code == 200
    assert answered.json["partial"] is True
    assert statuses(answered.json) == {"documents": "error", "messages": "ok"}


def test_it_is_502_only_if_every_source_failed(library: Caller, engine_tenancy: Tenancy) -> None:
    asked = library.post(SEARCH, json=TRAVEL, headers=ASYNC)
    run(engine_tenancy, library.tenant_id, UUID(asked.json["search_id"]))
    for source in ("documents", "messages"):
        answer_from(engine_tenancy, library.tenant_id, asked.json["search_id"], source, "error")
    refused = library.get(asked.headers["Location"])
    assert code_of(refused) == (502, "search_failed")
    assert [error["code"] for error in refused.json["errors"]] == ["source_failed", "source_failed"]


def test_a_search_whose_job_was_cancelled_is_502_and_not_waited_for(library: Caller, engine_tenancy: Tenancy) -> None:
    asked = library.post(SEARCH, json=TRAVEL, headers={**ASYNC, "Idempotency-Key": "k"})
    cancel(engine_tenancy, library.tenant_id, UUID(asked.json["search_id"]))
    assert code_of(library.get(asked.headers["Location"])) == (502, "search_failed")
    began = time.monotonic()
    again = library.post(SEARCH, json=TRAVEL, headers={"Idempotency-Key": "k"})
    assert code_of(again) == (502, "search_failed")
    assert time.monotonic() - began < 3


def test_the_same_idempotency_key_searches_once(library: Caller) -> None:
    ids = [
        library.post(SEARCH, json=TRAVEL, headers={**ASYNC, "Idempotency-Key": "k"}).json["search_id"] for _ in range(2)
    ]
    assert ids[0] == ids[1]
    other = library.post(SEARCH, json={"q": "train"}, headers={**ASYNC, "Idempotency-Key": "k"})
    assert code_of(other) == (422, "idempotency_mismatch")


def test_the_query_log_lists_what_was_asked(library: Caller, engine_tenancy: Tenancy) -> None:
    for question in ("travel", "train"):
        asked = library.post(SEARCH, json={**TRAVEL, "q": question, "limit": 7}, headers=ASYNC)
        run(engine_tenancy, library.tenant_id, UUID(asked.json["search_id"]))
    log = all_of(library, f"{SEARCH}/queries", limit="1")
    assert [(entry["q"], entry["limit"]) for entry in log] == [("train", 7), ("travel", 7)]
    assert log[0]["sources"] == ["documents", "messages"]


def test_an_answer_outlives_its_job(library: Caller, engine_tenancy: Tenancy) -> None:
    with worker(engine_tenancy, library.tenant_id, *KINDS):
        answered = library.post(SEARCH, json=TRAVEL)
    engine_tenancy.platform.fetch("DELETE FROM jobs WHERE tenant_id = %(id)s", {"id": library.tenant_id})
    assert library.get(answered.headers["Location"]).json == answered.json


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/q"),
        ({"q": ""}, "/q"),
        ({"q": "a\0b"}, "/q"),
        ({"q": "x", "sources": ["moon"]}, "/sources/0"),
        ({"q": "x", "sources": []}, "/sources"),
        ({"q": "x", "timeout_ms": 30_001}, "/timeout_ms"),
        ({"q": "x", "mode": "psychic"}, "/mode"),
    ],
)
def test_a_bad_search_is_refused_and_makes_no_job(caller: Caller, body: dict[str, Any], pointer: str) -> None:
    refused = caller.post(SEARCH, json=body)
    assert code_of(refused) == (422, "invalid_payload")
    assert pointers_of(refused) == [pointer]
    assert caller.get("/api/v1/jobs").json["items"] == []


@pytest.mark.parametrize("begun", [False, True])
def test_another_tenants_search_is_not_there(
    library: Caller, stranger: Caller, engine_tenancy: Tenancy, begun: bool
) -> None:
    asked = library.post(SEARCH, json=TRAVEL, headers=ASYNC)
    if begun:
        run(engine_tenancy, library.tenant_id, UUID(asked.json["search_id"]))
    assert code_of(stranger.get(asked.headers["Location"])) == (404, "not_found")
    assert all_of(stranger, f"{SEARCH}/queries") == []


def test_a_tenant_finds_nothing_of_another(library: Caller, stranger: Caller, engine_tenancy: Tenancy) -> None:
    with worker(engine_tenancy, stranger.tenant_id, *KINDS):
        answered = stranger.post(SEARCH, json=TRAVEL)
    assert found(answered.json) == []
    assert answered.json["partial"] is False


def test_a_search_that_is_not_there_is_404(caller: Caller) -> None:
    assert code_of(caller.get(f"{SEARCH}/{new_id()}")) == (404, "not_found")
    assert caller.get(f"{SEARCH}/not-an-id").status_code == 404


def test_reading_answers_does_not_allow_to_search(caller: Caller, web_tenancy: Tenancy) -> None:
    reader = program(caller, web_tenancy, "search:read")
    assert code_of(reader.post(SEARCH, json={"q": "x"})) == (403, "permission_denied")
    assert reader.get(f"{SEARCH}/queries").status_code == 200
