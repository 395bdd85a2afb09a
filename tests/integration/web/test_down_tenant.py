"""A tenant whose database does not answer: its requests are told so at once, and nobody else's wait."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest

from config.settings import with_address
from tenancy.access import Tenancy
from tests.integration.web.callers import Caller
from tests.integration.web.engine import code_of
from web.app import create_app

PLANS = "/api/v1/merchant/plans"
CONNECT_SECONDS = 2


@pytest.fixture
def away(
    make_tenant: Callable[..., UUID], sign_in: Callable[..., Caller], user: UUID, web_tenancy: Tenancy
) -> Iterator[Caller]:
    """The owner of a tenant whose server accepts connections and says nothing."""
    tenant = make_tenant("dedicated")
    with socket.create_server(("127.0.0.1", 0), backlog=256) as silent:
        address = f"postgresql://127.0.0.1:{silent.getsockname()[1]}?connect_timeout={CONNECT_SECONDS}"
        dsn = with_address(web_tenancy.record(tenant).dsn or "", address)
        move(web_tenancy, tenant, dsn)
        yield sign_in(tenant, user)


def test_a_hundred_requests_for_it_are_answered_in_about_the_time_of_one_and_others_go_on(
    away: Caller, stranger: Caller, web_tenancy: Tenancy
) -> None:
    app = create_app(web_tenancy.settings.model_copy(update={"redis_url": None}))

    def ask(caller: Caller) -> Any:
        started = time.monotonic()
        return app.test_client().get(PLANS, headers=caller.headers), time.monotonic() - started

    try:
        with ThreadPoolExecutor(100) as threads:
            started = time.monotonic()
            refused = [threads.submit(ask, away) for _ in range(100)]
            others = [ask(stranger) for _ in range(20)]
            answers = [each.result() for each in refused]
            whole = time.monotonic() - started
            again = [each.result() for each in [threads.submit(ask, away) for _ in range(100)]]
    finally:
        app.extensions["nexus.tenancy"].dispose()

    assert {code_of(answer) for answer, _ in answers + again} == {(503, "service_unavailable")}
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer, _ in answers)
    assert {answer.status_code for answer, _ in others} == {200}
    assert whole < 100 * CONNECT_SECONDS / 4, "one after another they would take a hundred times as long"
    assert sum(seconds < CONNECT_SECONDS for _, seconds in again) > 50, (
        "now it is known, and one at a time waits for it"
    )


def test_whoever_was_told_is_told_again_without_any_work_until_it_is_time_to_look(
    away: Caller, web_tenancy: Tenancy, count_trips: Callable[..., Any], sign_in: Callable[..., Caller]
) -> None:
    """A crowd that asks again and again costs neither PostgreSQL nor anybody who asks for something else."""
    app = create_app(web_tenancy.settings.model_copy(update={"redis_url": None}))
    tenancy = app.extensions["nexus.tenancy"]
    try:
        first = app.test_client().get(PLANS, headers=away.headers)
        assert code_of(first) == (503, "service_unavailable")
        with count_trips(tenancy.platform) as trips:
            again = [app.test_client().get(PLANS, headers=away.headers) for _ in range(20)]
        assert {code_of(answer) for answer in again} == {(503, "service_unavailable")}
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in again)
        assert all(answer.headers["X-Content-Type-Options"] == "nosniff" for answer in again)
        assert trips.count == 0
        others = [
            dict(away.headers, Authorization="Bearer nonsense"),
            dict(away.headers, **{"X-Project-ID": str(UUID(int=7))}),
        ]
        answers = [app.test_client().get(PLANS, headers=each) for each in others]
        assert [code_of(answer)[0] for answer in answers] == [401, 404], "nobody else is told what this one was"
        viewer = sign_in(away.tenant_id)
        assert code_of(app.test_client().get("/api/v1/audit", headers=viewer.headers))[0] == 403
    finally:
        tenancy.dispose()


def test_a_database_that_is_back_is_found_by_whoever_comes_next(
    make_tenant: Callable[..., UUID], sign_in: Callable[..., Caller], user: UUID, web_tenancy: Tenancy
) -> None:
    """From a port that refuses to the real one: nobody has to wait for what was remembered of callers."""
    tenant = make_tenant("dedicated")
    real = web_tenancy.record(tenant).dsn or ""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    move(web_tenancy, tenant, with_address(real, f"postgresql://127.0.0.1:{port}"))
    caller = sign_in(tenant, user)
    app = create_app(web_tenancy.settings.model_copy(update={"redis_url": None}))
    try:
        for _ in range(3):
            assert code_of(app.test_client().get(PLANS, headers=caller.headers)) == (503, "service_unavailable")
        move(web_tenancy, tenant, real)
        deadline = time.monotonic() + 60
        while app.test_client().get(PLANS, headers=caller.headers).status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        app.extensions["nexus.tenancy"].dispose()


def move(tenancy: Tenancy, tenant: UUID, dsn: str) -> None:
    """Say that the tenant's database is there."""
    tenancy.directory.forget(tenant)
    sealed = tenancy.vault(tenant).seal(dsn.encode(), "tenants", "dsn_sealed", tenant)
    tenancy.platform.fetch(
        "UPDATE tenants SET dsn_sealed = %(sealed)s, version = version + 1 WHERE id = %(id)s",
        {"sealed": sealed, "id": tenant}, {"nexus.tenant_id": str(tenant)},
    )  # fmt: skip


def test_the_platform_reads_it_all_the_same(away: Caller) -> None:
    """What stands on the platform needs no tenant's database."""
    assert away.get("/api/v1/jobs").status_code == 200
    assert away.get(f"/api/v1/tenants/{away.tenant_id}").status_code == 200
    assert away.get("/api/v1/audit").status_code == 200, "what waits in its database is told later"
