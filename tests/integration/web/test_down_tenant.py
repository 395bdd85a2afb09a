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
        sealed = web_tenancy.vault(tenant).seal(dsn.encode(), "tenants", "dsn_sealed", tenant)
        web_tenancy.platform.fetch(
            "UPDATE tenants SET dsn_sealed = %(sealed)s, version = version + 1 WHERE id = %(id)s",
            {"sealed": sealed, "id": tenant}, {"nexus.tenant_id": str(tenant)},
        )  # fmt: skip
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


def test_the_platform_reads_it_all_the_same(away: Caller) -> None:
    """What stands on the platform needs no tenant's database."""
    assert away.get("/api/v1/jobs").status_code == 200
    assert away.get(f"/api/v1/tenants/{away.tenant_id}").status_code == 200
