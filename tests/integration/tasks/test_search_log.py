"""What stays of a search: the query log as the tenant wants it, its sweep, its event, and what it is billed by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

import tasks
from bus import events
from bus.services import SERVICES, call
from domain.errors import InvalidArguments, Permanent, ServiceDenied
from domain.identity.principals import Principal
from domain.ids import new_id
from domain.search.sources import OWN
from jobs.context import JobContext
from jobs.handlers import HANDLERS
from jobs.queries import get, page
from jobs.submissions import submission
from models.tenant import Search, SearchResult
from tasks.search import ask, query
from tasks.search_upkeep import next_sweep, sweep
from tenancy.access import Tenancy
from tests.conftest import claim_context

tasks.load()
MakeContext = Callable[..., tuple[JobContext, Mapping[str, Any]]]
SECRET = "Where is ada@example.com with card 4111 1111 1111 1111?"


@pytest.fixture
def keep(engine_tenancy: Tenancy, pooled_tenant: UUID) -> Callable[..., None]:
    """Sets what the tenant keeps of its searches."""

    def make(level: str = "full", days: int = 30) -> None:
        engine_tenancy.platform.fetch(
            """UPDATE tenants SET preferences = jsonb_build_object('search_log', %(level)s::text, 'search_log_days', %(days)s::int),
                      version = version + 1 WHERE id = %(id)s""",
            {"level": level, "days": days, "id": pooled_tenant},
        )
        engine_tenancy.directory.forget(pooled_tenant)

    return make


def searched(make_context: MakeContext, tenant_id: UUID, q: str = SECRET) -> JobContext:
    """A search whose sources have answered."""
    context, payload = make_context("search.query", tenant_id, {"q": q, "timeout_ms": 30_000})
    query(context, payload)
    for row in page(context.tenancy, tenant_id, filters={"parent_id": context.job_id}):
        ask(*claim_context(context.tenancy, row["id"], context.principal))
    return context


def rows(context: JobContext, model: type[Any] = Search) -> list[Any]:
    with context.session() as session:
        return list(session.scalars(select(model).where(model.tenant_id == context.tenant_id)))


@pytest.mark.parametrize(
    ("level", "kept"), [("full", SECRET), ("redacted", "Where is [email] with card [number]?"), ("off", "")]
)
def test_the_log_keeps_what_the_tenant_lets_it(
    make_context: MakeContext, pooled_tenant: UUID, keep: Callable[..., None], level: str, kept: str
) -> None:
    keep(level)

    context = searched(make_context, pooled_tenant)

    [row] = rows(context)
    assert (row.log, row.query) == (level, kept)
    assert len(rows(context, SearchResult)) == len(OWN)
    [event] = [each for each in _events(context) if each.type == "search.requested"]
    assert event.data["search"]["q"] == (kept or None)


def _events(context: JobContext) -> Any:
    return events.page(context.tenancy, context.tenant_id, name=None, after=None, limit=50, newest_first=False)


def aged(context: JobContext, days: float) -> None:
    """Let the search have been asked so long ago."""
    with context.session() as session:
        row = session.get_one(Search, (context.tenant_id, context.job_id))
        row.created_at = datetime.now(UTC) - timedelta(days=days)


def test_a_sweep_removes_what_has_had_its_time_with_its_answers(
    make_context: MakeContext, pooled_tenant: UUID, keep: Callable[..., None]
) -> None:
    keep(days=7)
    old, young = searched(make_context, pooled_tenant), searched(make_context, pooled_tenant)
    aged(old, 7.1)
    aged(young, 6.9)
    context, payload = make_context("search.sweep", pooled_tenant, {})

    assert sweep(context, payload) == {"removed": 1}

    assert [row.id for row in rows(context)] == [young.job_id]
    assert {row.search_id for row in rows(context, SearchResult)} == {young.job_id}
    assert sweep(context, payload) == {"removed": 0}


def test_what_is_not_logged_is_kept_for_a_day(
    make_context: MakeContext, pooled_tenant: UUID, keep: Callable[..., None]
) -> None:
    keep("off", days=365)
    old, young = searched(make_context, pooled_tenant), searched(make_context, pooled_tenant)
    aged(old, 1.1)
    aged(young, 0.9)

    assert sweep(*make_context("search.sweep", pooled_tenant, {})) == {"removed": 1}

    assert [row.id for row in rows(young)] == [young.job_id]


def test_a_sweep_leaves_other_tenants_alone(
    make_context: MakeContext, pooled_tenant: UUID, make_tenant: Callable[..., UUID]
) -> None:
    theirs = searched(make_context, make_tenant("pooled"))
    aged(theirs, 1000)

    assert sweep(*make_context("search.sweep", pooled_tenant, {})) == {"removed": 0}

    assert len(rows(theirs)) == 1


def sweeps(context: JobContext) -> list[Any]:
    return page(context.tenancy, context.tenant_id, filters={"kind": "search.sweep"})


def test_searches_make_sure_of_one_sweep_within_a_day(make_context: MakeContext, pooled_tenant: UUID) -> None:
    context = searched(make_context, pooled_tenant)
    searched(make_context, pooled_tenant)

    [row] = sweeps(context)
    assert row["state"] == "scheduled"
    assert timedelta(0) < row["run_at"] - datetime.now(UTC) <= timedelta(days=1)


def test_a_sweep_is_followed_by_another_only_while_something_is_kept(
    make_context: MakeContext, pooled_tenant: UUID
) -> None:
    context, payload = make_context("search.sweep", pooled_tenant, {})
    sweep(context, payload)
    assert [row["id"] for row in sweeps(context)] == [context.job_id]

    aged(searched(make_context, pooled_tenant), 1)
    context.tenancy.platform.fetch(
        "DELETE FROM jobs WHERE tenant_id = %(id)s AND kind = 'search.sweep' AND state = 'scheduled'",
        {"id": pooled_tenant},
    )
    sweep(context, payload)

    assert len(sweeps(context)) == 2


def test_each_tenant_sweeps_at_its_own_time_once_a_day() -> None:
    tenant = new_id()
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    first = next_sweep(tenant, now)
    assert first.run_at is not None
    second = next_sweep(tenant, first.run_at)

    assert now < first.run_at <= now + timedelta(days=1)
    assert second.run_at == first.run_at + timedelta(days=1)
    assert next_sweep(tenant, now + timedelta(seconds=1)).idempotency_key == first.idempotency_key
    assert second.idempotency_key != first.idempotency_key


# --- asked by other jobs


@pytest.fixture
def as_user(make_context: MakeContext, pooled_tenant: UUID, user: UUID) -> Callable[..., JobContext]:
    """A job of a user with these permissions."""

    def make(*permissions: str) -> JobContext:
        who = Principal(f"user:{user}", user, pooled_tenant, frozenset(permissions))
        context, _ = make_context("system.ping", pooled_tenant, {})
        return replace(context, principal=who)

    return make


def test_search_is_a_service_with_permission_and_schema(as_user: Callable[..., JobContext]) -> None:
    assert {name: SERVICES[name].permission for name in ("search", "search_answer")} == {
        "search": "search:create", "search_answer": "search:read",
    }  # fmt: skip
    with pytest.raises(ServiceDenied):
        call(as_user("search:read"), "search", q="x")
    for arguments in ({}, {"q": ""}, {"q": "x", "timeout_ms": 1}, {"q": "x", "tenant_id": str(new_id())}):
        with pytest.raises(InvalidArguments):
            call(as_user("search:create"), "search", **arguments)


def test_a_job_searches_once_in_its_callers_name_and_reads_the_answer(as_user: Callable[..., JobContext]) -> None:
    context = as_user("search:create", "search:read")

    first, again = (call(context, "search", q="travel", timeout_ms=30_000) for _ in range(2))

    assert first == again
    search_id = first["search_id"]
    job = get(context.tenancy, context.tenant_id, search_id)
    assert (job["parent_id"], job["principal"]) == (context.job_id, context.principal.subject)
    assert submission(context.tenancy, context.tenant_id, "search.query", search_id).payload["q"] == "travel"
    with pytest.raises(Permanent):
        call(context, "search_answer", search_id=search_id)
    children = page(context.tenancy, context.tenant_id, filters={"parent_id": search_id})
    assert len(children) == len(OWN)
    for row in children:
        HANDLERS["search.source"](*claim_context(context.tenancy, row["id"], context.principal))
    seen = call(context, "search_answer", search_id=search_id)
    assert (seen["complete"], {each["name"]: each["status"] for each in seen["sources"]}) == (
        True, {name: "ok" if permission is None else "unauthorized" for name, permission in OWN.items()},
    )  # fmt: skip


def test_another_tenants_search_cannot_be_read(
    as_user: Callable[..., JobContext], make_context: MakeContext, make_tenant: Callable[..., UUID]
) -> None:
    theirs = searched(make_context, make_tenant("pooled"))

    with pytest.raises(Permanent):
        call(as_user("search:read"), "search_answer", search_id=theirs.job_id)
