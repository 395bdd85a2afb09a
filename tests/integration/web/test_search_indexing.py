"""How a tenant has its documents indexed, over HTTP: chosen once, followed by every write, and told how far it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from tenancy.access import Tenancy
from tests.contracts.llm_double import LlmDouble, llm_double
from tests.integration.web.callers import Caller
from tests.integration.web.engine import code_of, pointers_of, program, run_queued, worker

INDEXING = "/api/v1/search/indexing"
DOCUMENT = {"title": "Harbour", "body": "Where to moor."}
KINDS = ("document.embed", "document.reindex")


@pytest.fixture
def double() -> Iterator[LlmDouble]:
    with llm_double() as running:
        yield running


@pytest.fixture
def engine(engine_tenancy: Tenancy, double: LlmDouble) -> Iterator[Tenancy]:
    """The workers' door of a platform whose OpenAI account is the double."""
    fields = {"openai_api_key": SecretStr("sk-test"), "openai_base_url": f"{double.url}/v1"}
    tenancy = Tenancy(engine_tenancy.settings.model_copy(update=fields), "engine")
    yield tenancy
    tenancy.dispose()


def choose(caller: Caller, **choice: Any) -> Any:
    tag = caller.get(INDEXING).headers["ETag"]
    return caller.put(INDEXING, json={"embeds": True, **choice}, headers={"If-Match": tag})


def counts(caller: Caller) -> tuple[int, int, int, int]:
    told = caller.get(INDEXING).json
    return told["documents"], told["embedded"], told["waiting"], told["failed"]


def test_nothing_is_embedded_until_somebody_chooses_it(caller: Caller, engine: Tenancy) -> None:
    caller.put("/api/v1/search/documents/a", json=DOCUMENT)
    assert caller.get(INDEXING).json == {
        "language": "simple", "embeds": False, "model": None, "dimensions": None, "documents": 1, "embedded": 0, "waiting": 0,
        "failed": 0, "job_id": None,
    }  # fmt: skip
    assert run_queued(engine, caller.tenant_id, *KINDS) == 0
    assert code_of(caller.post(f"{INDEXING}/rebuild")) == (409, "conflict")


def test_the_choice_stands_in_the_audit_with_who_made_it(caller: Caller, engine: Tenancy) -> None:
    assert choose(caller, embeds=False, language="english").status_code == 200
    noted = caller.get("/api/v1/audit", query_string={"resource": f"search_indexing:{caller.tenant_id}"}).json["items"]
    assert [(each["action"], each["actor"]) for each in reversed(noted)] == [
        ("search_indexing.created", f"user:{caller.user_id}"), ("search_indexing.updated", f"user:{caller.user_id}"),
    ]  # fmt: skip
    assert noted[0]["after"] == {"language": "english"}


def test_choosing_it_embeds_what_is_there_and_every_change_from_then_on(
    caller: Caller, engine: Tenancy, double: LlmDouble
) -> None:
    caller.put("/api/v1/search/documents/a", json=DOCUMENT)
    chosen = choose(caller)
    assert chosen.status_code == 200
    assert caller.get(f"/api/v1/jobs/{chosen.json['job_id']}").json["kind"] == "document.reindex"
    assert run_queued(engine, caller.tenant_id, *KINDS) == 1
    assert counts(caller) == (1, 1, 0, 0)

    items = [{"external_id": name, **DOCUMENT, "title": name} for name in ("b", "c")]
    caller.post("/api/v1/search/documents/bulk", json={"items": items})
    caller.put("/api/v1/search/documents/a", json=DOCUMENT)
    assert counts(caller) == (3, 1, 2, 0)
    assert run_queued(engine, caller.tenant_id, *KINDS) == 1, "one job for the batch, none for what did not change"
    assert counts(caller) == (3, 3, 0, 0)
    assert len(double.requests) == 2

    caller.delete("/api/v1/search/documents/a")
    assert counts(caller) == (2, 2, 0, 0)


def test_a_tenant_without_a_job_left_writes_documents_and_searches_them(caller: Caller, engine: Tenancy) -> None:
    """Their vectors wait; what was stored is not called refused."""
    assert choose(caller).status_code == 200
    used_up = """INSERT INTO plan_allowances (tenant_id, code, period_start, period_end, quota, hard, used)
                 VALUES (%(tenant)s, 'jobs', now() - interval '1 day', now() + interval '1 day', 2, true, 0)"""
    engine.platform.fetch(used_up, {"tenant": caller.tenant_id})
    assert caller.put("/api/v1/search/documents/a", json=DOCUMENT).status_code == 201
    assert search(caller, engine, q="harbour")[0]["total"] == 1

    put = caller.put("/api/v1/search/documents/b", json={**DOCUMENT, "title": "Another harbour"})
    bulk = caller.post("/api/v1/search/documents/bulk", json={"items": [{**DOCUMENT, "external_id": "c"}]})

    assert (put.status_code, bulk.status_code, bulk.json["created"]) == (201, 200, 1)
    assert counts(caller) == (3, 0, 3, 0)
    assert code_of(caller.post("/api/v1/search", json={"q": "harbour"})) == (402, "plan_quota_exceeded")


def test_another_model_is_a_job_that_embeds_everything_again(
    caller: Caller, engine: Tenancy, double: LlmDouble
) -> None:
    choose(caller)
    caller.put("/api/v1/search/documents/a", json=DOCUMENT)
    run_queued(engine, caller.tenant_id, *KINDS)

    changed = choose(caller, model="text-embedding-3-large")
    assert (changed.json["embedded"], changed.json["model"]) == (0, "text-embedding-3-large")
    run_queued(engine, caller.tenant_id, *KINDS)

    assert counts(caller) == (1, 1, 0, 0)
    assert [body["model"] for _, _, body in double.requests] == ["text-embedding-3-small", "text-embedding-3-large"]
    assert choose(caller, model="text-embedding-3-large").json["embedded"] == 1
    run_queued(engine, caller.tenant_id, *KINDS)
    assert len(double.requests) == 2, "the same choice again embeds nothing"


def test_documents_are_in_the_tenants_language_unless_they_say_otherwise(caller: Caller) -> None:
    choose(caller, embeds=False, language="german")
    assert caller.put("/api/v1/search/documents/a", json=DOCUMENT).json["language"] == "german"
    assert (
        caller.put("/api/v1/search/documents/b", json={**DOCUMENT, "language": "french"}).json["language"] == "french"
    )


def test_a_choice_that_was_not_read_is_not_overwritten(caller: Caller) -> None:
    assert code_of(caller.put(INDEXING, json={"embeds": True})) == (428, "precondition_required")
    tag = caller.get(INDEXING).headers["ETag"]
    choose(caller, embeds=False)
    assert code_of(caller.put(INDEXING, json={"embeds": True}, headers={"If-Match": tag})) == (
        412,
        "precondition_failed",
    )
    assert caller.get(INDEXING).json["embeds"] is False


@pytest.mark.parametrize(
    ("choice", "pointer"),
    [
        ({"language": "klingon"}, "/language"), ({"dimensions": 0}, "/dimensions"), ({"dimensions": 4097}, "/dimensions"),
        ({"dimensions": 2.5}, "/dimensions"), ({"model": ""}, "/model"), ({"embeds": "yes"}, "/embeds"),
    ],
)  # fmt: skip
def test_a_bad_choice_changes_nothing(caller: Caller, choice: dict[str, object], pointer: str) -> None:
    refused = choose(caller, **choice)
    assert code_of(refused) == (422, "invalid_payload")
    assert pointers_of(refused) == [pointer]
    assert caller.get(INDEXING).json["embeds"] is False


def test_who_may_put_documents_may_not_choose_what_they_cost(caller: Caller, web_tenancy: Tenancy) -> None:
    writer = program(caller, web_tenancy, "document:create", "document:read")
    assert writer.get(INDEXING).status_code == 200
    assert code_of(writer.put(INDEXING, json={"embeds": True})) == (403, "permission_denied")
    assert code_of(writer.post(f"{INDEXING}/rebuild")) == (403, "permission_denied")
    reader = program(caller, web_tenancy, "search:create")
    assert code_of(reader.get(INDEXING)) == (403, "permission_denied")


def test_another_tenants_choice_is_neither_seen_nor_touched(caller: Caller, stranger: Caller) -> None:
    choose(caller, language="german")
    assert stranger.get(INDEXING).json["language"] == "simple"
    choose(stranger, embeds=False, language="french")
    assert caller.get(INDEXING).json["language"] == "german"


def search(caller: Caller, engine: Tenancy, **asked: Any) -> Any:
    """The answer to a search of the documents, and what their source says of itself."""
    with worker(engine, caller.tenant_id, "search.query", "search.source"):
        answered = caller.post("/api/v1/search", json={"sources": ["documents"], "timeout_ms": 30_000, **asked})
    assert answered.status_code == 200
    return answered.json, answered.json["sources"][0]


def test_a_search_finds_by_words_and_by_meaning_within_its_filters(caller: Caller, engine: Tenancy) -> None:
    choose(caller)
    for name, year in (("old", 2019), ("new", 2024)):
        caller.put(f"/api/v1/search/documents/{name}", json={**DOCUMENT, "metadata": {"year": year}})
    run_queued(engine, caller.tenant_id, *KINDS)

    answer, source = search(caller, engine, q="harbour", mode="hybrid", filters={"year": {"gt": 2020}})
    assert ([hit["id"] for hit in answer["hits"]], answer["partial"], source["notes"]) == (["new"], False, [])
    assert "«" not in answer["hits"][0]["title"]

    answer, _ = search(caller, engine, q="nothing of this stands anywhere", mode="semantic")
    assert {hit["id"] for hit in answer["hits"]} == {"old", "new"}


def test_a_model_that_is_down_leaves_the_words_and_the_answer_is_partial(
    caller: Caller, engine: Tenancy, double: LlmDouble
) -> None:
    choose(caller)
    caller.put("/api/v1/search/documents/a", json=DOCUMENT)
    run_queued(engine, caller.tenant_id, *KINDS)
    double.script = ["401"] * 10

    answer, source = search(caller, engine, q="harbour", mode="hybrid")

    assert [hit["id"] for hit in answer["hits"]] == ["a"]
    assert (answer["partial"], source["status"], source["error"]) == (True, "ok", "provider_unauthorized")
    assert source["notes"] == ["keyword_only", "embeddings_unavailable"]


@pytest.mark.parametrize(
    ("filters", "pointer"),
    [
        ({"year": {"like": "2%"}}, "/filters/year"), ({"Year": 1}, "/filters/Year"), ({"year": {"in": []}}, "/filters/year"),
        ({"year') OR true --": 1}, "/filters/year') OR true --"), ({"year": 10**400}, "/filters/year"),
        ({"year": {"gt": -(10**400)}}, "/filters/year"), ({f"Y{n}": 1 for n in range(20_000)}, "/filters"),
        ({"year": {f"op{n}": 1 for n in range(20_000)}}, "/filters"), ({"year": {"x" * 100_000: 1}}, "/filters/year"),
    ],
)  # fmt: skip
def test_filters_that_are_none_are_refused(caller: Caller, filters: dict[str, Any], pointer: str) -> None:
    refused = caller.post("/api/v1/search", json={"q": "x", "filters": filters})
    assert code_of(refused) == (422, "invalid_payload")
    assert pointers_of(refused) == [pointer]
    assert len(refused.data) < 2000
