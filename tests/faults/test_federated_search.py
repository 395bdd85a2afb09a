"""A worker killed in the middle of a search's fan-out: answered with what arrived, and nothing is done twice."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx2
import pytest

from bench.engine import Engine, until
from bench.service import start_web
from bus import events
from config.settings import Settings
from domain.ids import new_id
from tenancy.access import Tenancy
from tenancy.identity.api_keys import create
from tenancy.provisioning import Provisioner
from tests.contracts.source_double import SourceDouble, hits, source_double
from tests.faults.conftest import make_tenant_row

pytestmark = pytest.mark.faults

LOOPBACK = {"NEXUS_SEARCH_PRIVATE_NETWORKS": "127.0.0.0/8"}
SCOPES = ("search:create", "search:read", "search_source:create", "search_source:read")


@pytest.fixture
def double() -> Iterator[SourceDouble]:
    with source_double() as running:
        yield running


@dataclass(frozen=True, slots=True)
class Searcher:
    """A program of a tenant, over HTTP."""

    http: httpx2.Client
    tenant_id: UUID

    def register(self, name: str, url: str) -> None:
        made = self.http.post("/search/sources", json={"name": name, "url": url, "timeout_ms": 30_000})
        assert made.status_code == 201, made.text

    def search(self, timeout_ms: int, *sources: str) -> httpx2.Response:
        return self.http.post("/search", json={"q": "travel", "sources": list(sources), "timeout_ms": timeout_ms})


@pytest.fixture
def searcher(settings: Settings, tenancy: Tenancy, engine: Engine) -> Iterator[Searcher]:
    """Its API, with sources on this machine."""
    engine.environment.update(LOOPBACK)
    tenant_id, owner = make_tenant_row(settings, "pooled")
    saga = Provisioner(settings, tenancy, tenant_id)
    for _, step in saga.steps():
        step()
    saga.close()
    web = Tenancy(settings, "web")
    try:
        _, key = create(
            web.platform, key_id=new_id(), tenant_id=tenant_id, user_id=owner, name="test", scopes=SCOPES, expires_at=None
        )  # fmt: skip
    finally:
        web.dispose()
    _, base_url = start_web(engine)
    headers = {"Authorization": f"Bearer {key}"}
    with httpx2.Client(base_url=f"{base_url}/api/v1", headers=headers, timeout=90) as http:
        yield Searcher(http, tenant_id)


def start_worker(engine: Engine, name: str) -> Any:
    return engine.worker("search", pool="threads", concurrency=4, name=name)


def results(tenancy: Tenancy, tenant_id: UUID) -> list[dict[str, Any]]:
    query = "SELECT source, status FROM search_results WHERE tenant_id = %(id)s ORDER BY source"
    return tenancy.fetch_many(tenant_id, [(query, {"id": tenant_id})])[0]


def jobs(tenancy: Tenancy, tenant_id: UUID) -> list[tuple[str, str]]:
    """Kind and state of the search's jobs."""
    rows = tenancy.platform.fetch(
        "SELECT kind, state FROM jobs WHERE tenant_id = %(id)s AND kind IN ('search.query', 'search.source') ORDER BY kind",
        {"id": tenant_id},
    )
    return [(row["kind"], row["state"]) for row in rows]


def statuses(answer: Any) -> dict[str, str]:
    return {source["name"]: source["status"] for source in answer["sources"]}


ENDED = [("search.query", "succeeded"), ("search.source", "succeeded"), ("search.source", "succeeded")]


def test_a_search_whose_worker_is_killed_is_answered_with_what_arrived(
    engine: Engine, tenancy: Tenancy, searcher: Searcher, double: SourceDouble
) -> None:
    searcher.register("quick", double.source("quick", hits("train")))
    searcher.register("held", double.source("held", hits("late"), held=True))
    engine.dispatcher()
    killed = start_worker(engine, "killed")
    with ThreadPoolExecutor(1) as pool:
        searching = pool.submit(searcher.search, 15_000, "quick", "held")
        assert double.holding.wait(60)
        until(lambda: len(results(tenancy, searcher.tenant_id)) == 1, 14, "the quick source's answer")
        engine.kill(killed)
        answered = searching.result(90)

    assert answered.status_code == 200, answered.text
    assert statuses(answered.json()) == {"quick": "ok", "held": "timeout"}
    assert ([hit["id"] for hit in answered.json()["hits"]], answered.json()["partial"]) == (["train"], True)

    double.released.set()
    start_worker(engine, "next")
    until(lambda: jobs(tenancy, searcher.tenant_id) == ENDED, 90, "all jobs of the search")
    assert [(row["source"], row["status"]) for row in results(tenancy, searcher.tenant_id)] == [
        ("held", "timeout"), ("quick", "ok"),
    ]  # fmt: skip
    assert searcher.http.get(f"/search/{answered.json()['search_id']}").json() == answered.json()
    assert len(double.questions("quick")) == 1
    told = events.page(tenancy, searcher.tenant_id, name="search.requested", after=None, limit=9, newest_first=True)
    assert len(told) == 1


def test_another_worker_takes_over_in_time(
    engine: Engine, tenancy: Tenancy, searcher: Searcher, double: SourceDouble
) -> None:
    """The lease is three seconds, and the search has thirty."""
    searcher.register("quick", double.source("quick", hits("train")))
    searcher.register("held", double.source("held", hits("kept"), held=True))
    engine.dispatcher()
    killed = start_worker(engine, "killed")
    with ThreadPoolExecutor(1) as pool:
        searching = pool.submit(searcher.search, 30_000, "quick", "held")
        assert double.holding.wait(60)
        engine.kill(killed)
        double.released.set()
        start_worker(engine, "next")
        answered = searching.result(120)

    assert statuses(answered.json()) == {"quick": "ok", "held": "ok"}
    assert sorted(hit["id"] for hit in answered.json()["hits"]) == ["kept", "train"]
    assert answered.json()["partial"] is False
    assert len(results(tenancy, searcher.tenant_id)) == 2
    assert len(double.questions("held")) == 2
