"""Search on a running platform, over HTTP alone: every part of it once, as a tenant's program meets it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from bench.engine import until
from cli.processes import PlatformProcess
from providers.circuits import FAILURES_TO_OPEN
from tests.acceptance.tenant import Tenant, administrator
from tests.contracts.llm_double import llm_double
from tests.contracts.source_double import SourceDouble, hits, source_double

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

DOCUMENTS = [
    {"external_id": "expenses", "title": "Travel expenses", "body": "What is paid, and how to ask for it.", "language": "english",
     "metadata": {"year": 2024}},
    {"external_id": "harbour", "title": "The harbour", "body": "Ferries leave at night.", "language": "english", "metadata": {"year": 2019}},
    {"external_id": "hafen", "title": "Häuser am Hafen", "body": "Zwei Schiffe.", "language": "german"},
]  # fmt: skip
PATIENT = {"timeout_ms": 20_000}


@pytest.fixture(scope="module")
def sources() -> Iterator[SourceDouble]:
    with source_double() as running:
        yield running


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, sources: SourceDouble) -> Iterator[httpx2.Client]:
    """The administrator of a platform whose OpenAI is a double, and which lets sources stand on this machine."""
    with llm_double() as models:
        environment = {
            "NEXUS_ADMIN_PASSWORD": "correct horse battery", "NEXUS_SEARCH_PRIVATE_NETWORKS": "127.0.0.0/8",
            "OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": f"{models.url}/v1",
        }  # fmt: skip
        with (
            PlatformProcess(tmp_path_factory.mktemp("search"), environment=environment) as platform,
            administrator(platform) as client,
        ):
            yield client


@pytest.fixture(scope="module")
def library(api: httpx2.Client) -> Tenant:
    """A tenant with three documents."""
    inside = Tenant.create(api, "Library")
    told = inside.post("/search/documents/bulk", {"items": [*DOCUMENTS, {"external_id": "untitled"}]})
    assert (told["created"], told["refused"]) == (3, 1), "one item without a title holds up none"
    return inside


def search(tenant: Tenant, q: str, **fields: Any) -> Any:
    return tenant.post("/search?explain=true", {"q": q, **PATIENT, **fields})


def found(answer: Any) -> list[str]:
    return [hit["id"] for hit in answer["hits"]]


def statuses(answer: Any) -> dict[str, tuple[str, str | None]]:
    return {source["name"]: (source["status"], source["error"]) for source in answer["sources"]}


@pytest.mark.parametrize(
    ("q", "fields", "expected"),
    [
        ("travelling expense", {}, ["expenses"]),
        ("trav", {}, ["expenses"]),
        ("hrabour", {}, ["harbour"]),
        ("Haus", {}, ["hafen"]),
        ('"leave at night"', {}, ["harbour"]),
        ("harbour or travel", {"filters": {"year": {"gt": 2020}}}, ["expenses"]),
        ("harbour -night", {}, []),
    ],
)
def test_words_in_any_form_unfinished_misspelt_in_each_language_and_filtered(
    library: Tenant, q: str, fields: dict[str, Any], expected: list[str]
) -> None:
    answer = search(library, q, sources=["documents"], **fields)

    assert found(answer) == expected
    assert answer["partial"] is False


def test_what_matched_is_marked_and_a_corrected_word_is_named(library: Tenant) -> None:
    answer = search(library, "feries", sources=["documents"])
    (hit,), (source,) = answer["hits"], answer["sources"]
    assert hit["snippet"].startswith("«Ferries» leave")
    assert any("ferri" in note for note in source["notes"]), source["notes"]


def test_a_job_embeds_the_documents_and_they_are_found_by_meaning(library: Tenant) -> None:
    chosen = library.put("/search/indexing", {"language": "english", "embeds": True})
    until(lambda: library.get(f"/jobs/{chosen['job_id']}", wait=5)["state"] == "succeeded", 60, "the job that embeds")
    told = library.get("/search/indexing")
    assert (told["documents"], told["embedded"], told["waiting"]) == (3, 3, 0)

    near = search(library, "nothing of this stands anywhere", mode="semantic", sources=["documents"])
    both = search(library, "harbour", mode="hybrid", sources=["documents"])

    assert sorted(found(near)) == sorted(each["external_id"] for each in DOCUMENTS)
    assert found(both)[0] == "harbour"
    assert len(both["hits"]) == 3, "the words' hit, and the others by meaning"


def test_every_source_answers_with_its_rank_and_weight(library: Tenant, sources: SourceDouble) -> None:
    message = {"to": "ada@example.com", "subject": "Travel plans", "text": "Travel is booked."}
    library.done("/notifications/send", message)
    customer = library.post("/merchant/customers", {"name": "Travel Ltd", "email": "travel@example.com"})
    draft = {
        "customer_id": customer["id"],
        "currency": "EUR",
        "lines": [{"description": "A day of travel", "unit_amount": "500"}],
    }
    library.post("/merchant/invoices", draft)
    url = sources.source("wiki", {"hits": [{"id": "page-7", "title": "Travel", "canonical_id": "document:expenses"}]})
    wiki = library.post(
        "/search/sources", {"name": "wiki", "url": url, "weight": 2, "secret": "Bearer 5d41402abc4b2a76"}
    )
    assert "5d41402a" not in str(wiki), "a secret is never shown"

    answer = search(library, "travel")

    assert statuses(answer) == dict.fromkeys(("documents", "messages", "invoices", "users", "wiki"), ("ok", None))
    assert {hit["source"] for hit in answer["hits"]} == {"documents", "messages", "invoices"}
    best = answer["hits"][0]
    assert (best["id"], best["ranks"]) == ("expenses", {"documents": 1, "wiki": 1}), "the same thing is one hit"
    assert {part["source"]: part["weight"] for part in best["explanation"]} == {"documents": 1.0, "wiki": 2.0}
    assert best["score"] == pytest.approx(3 / 61)
    assert sources.questions("wiki")[-1]["q"] == "travel"
    members = search(library, "admin@example.com", sources=["users"])
    assert [hit["source"] for hit in members["hits"]] == ["users"]


def test_who_may_not_see_a_sources_rows_reads_so(library: Tenant) -> None:
    scopes = ["search:create", "search:read", "document:read"]
    key = library.post("/api-keys", {"name": "reader", "scopes": scopes})["key"]
    response = library.ask(
        "POST", "/search", json={"q": "travel", "sources": ["documents", "messages", "users"], **PATIENT},
        headers={"Authorization": f"Bearer {key}"},
    )  # fmt: skip
    assert statuses(response.json()) == {
        "documents": ("ok", None), "messages": ("unauthorized", None), "users": ("unauthorized", None),
    }  # fmt: skip
    assert found(response.json()) == ["expenses"]


def test_a_deadline_brings_what_arrived_and_a_source_that_fails_does_so_alone(
    library: Tenant, sources: SourceDouble
) -> None:
    for name, script in (("slow", {"delay": 3.0}), ("broken", {"status": 500})):
        library.post(
            "/search/sources", {"name": name, "url": sources.source(name, hits(name), **script), "timeout_ms": 30_000}
        )

    answer = search(library, "travel", sources=["documents", "slow", "broken"], timeout_ms=1_000)

    assert statuses(answer) == {
        "documents": ("ok", None), "slow": ("timeout", None), "broken": ("error", "source_unavailable"),
    }  # fmt: skip
    assert (found(answer), answer["partial"]) == (["expenses"], True)
    assert answer["took_ms"] < 3_000

    refused = library.ask("POST", "/search", json={"q": "x", "sources": ["broken"], **PATIENT})
    assert (refused.status_code, refused.json()["code"]) == (502, "search_failed")
    for _ in range(FAILURES_TO_OPEN - 1):
        answer = search(library, "x", sources=["documents", "broken"])
    assert statuses(answer)["broken"] == ("skipped", "circuit_open")


def test_an_answer_is_read_page_by_page_and_does_not_shift(library: Tenant, sources: SourceDouble) -> None:
    url = sources.source("book", hits(*"abcde"))
    library.post("/search/sources", {"name": "book", "url": url})
    page = search(library, "pages", sources=["book"], limit=2)
    sources.source("book", hits("z"))
    read = found(page)
    while page["next_cursor"]:
        page = library.get(f"/search/{page['search_id']}", cursor=page["next_cursor"], limit=2)
        read += found(page)
    assert read == list("abcde")


def test_the_log_and_the_event_say_as_much_as_the_tenant_lets_them(api: httpx2.Client) -> None:
    tenant = Tenant.create(api, "Discreet")
    settings = tenant.get(f"/tenants/{tenant.id}/settings")
    for level in ("full", "redacted", "off"):
        tenant.put(f"/tenants/{tenant.id}/settings", {**settings, "search_log": level})
        search(tenant, f"mail of ada@example.com {level}", sources=["documents"])

    logged = [each["q"] for each in tenant.get("/search/queries")["items"]]

    assert logged == ["mail of [email] redacted", "mail of ada@example.com full"]
    until(lambda: len(_requested(tenant)) == 3, 30, "the events")
    assert sorted(map(str, _requested(tenant))) == sorted(["None", *logged])


def _requested(tenant: Tenant) -> list[str | None]:
    return [each["data"]["search"]["q"] for each in tenant.get("/events", type="search.requested")["items"]]


def test_a_search_is_metered_once_for_the_tenants_plan(api: httpx2.Client) -> None:
    operator, tenant = Tenant.operator(api), Tenant.create(api, "Metered")
    operator.post("/merchant/meters", {"code": "searches", "name": "Searches", "aggregation": "count"})
    sold = {"code": "searching", "name": "Searching", "amount": 0, "currency": "EUR", "interval": "month",
            "charges": [{"meter": "searches", "model": "standard", "terms": {"unit_amount": "1"}}]}  # fmt: skip
    plan = operator.post("/merchant/plans", sold)["id"]
    tenant.post("/billing/subscribe", {"plan_id": plan, "name": "Metered", "email": "billing@example.com"})

    asked = search(tenant, "metered", sources=["documents"])

    def events() -> list[Any]:
        found: list[Any] = operator.get("/merchant/usage-events", code="searches", limit=200)["items"]
        return [event for event in found if event["source_id"] == asked["search_id"]]

    until(lambda: bool(events()), 180, "the search in the operator's books", pause=1)
    assert len(events()) == 1
