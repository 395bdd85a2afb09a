"""A tenant whose database is at the schema before: what needs the new one is 503 and changes nothing, the rest works."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest

from domain.errors import NotNow
from domain.identity.principals import system
from jobs.outcomes import failed
from jobs.submit import NewJob, submit
from tasks.completions import create
from tenancy import fleet
from tenancy.access import Tenancy
from tenancy.migrations import head
from tests.conftest import claim_context
from tests.integration.web.callers import Caller
from tests.integration.web.engine import code_of
from tests.platforms import hold_behind

BUDGETS, PLANS = "/api/v1/llm/budgets", "/api/v1/merchant/plans"
BUDGET = {"name": "All", "period": "month", "limit_micros": 1_000_000}
BEFORE_COMPLETIONS = "0003"


@pytest.fixture
def late(
    make_tenant: Callable[..., UUID], sign_in: Callable[..., Caller], user: UUID, engine_tenancy: Tenancy
) -> Caller:
    """The owner of a dedicated tenant that the wave has not reached."""
    tenant_id = make_tenant("dedicated")
    hold_behind(engine_tenancy.settings, engine_tenancy, tenant_id, BEFORE_COMPLETIONS)
    return sign_in(tenant_id, user)


def migrated(tenancy: Tenancy, tenant_id: UUID) -> None:
    """The wave reaches it."""
    (place,) = fleet.places(tenancy.platform, [tenant_id])
    assert fleet.migrate(tenancy, place) is None
    tenancy.directory.forget(tenant_id)


def test_what_needs_the_new_schema_says_when_to_come_again_and_works_then(
    late: Caller, engine_tenancy: Tenancy
) -> None:
    for answer in (late.get(BUDGETS), late.post(BUDGETS, json=BUDGET, headers={"Idempotency-Key": "b"})):
        assert code_of(answer) == (503, "tenant_upgrading")
        assert int(answer.headers["Retry-After"]) > 0
    assert late.get(PLANS).status_code == 200, "the rest of the tenant works"
    migrated(engine_tenancy, late.tenant_id)
    assert late.get(BUDGETS).json["items"] == []
    assert late.post(BUDGETS, json=BUDGET, headers={"Idempotency-Key": "b"}).status_code == 201


def test_a_job_that_needs_it_waits_without_using_up_an_attempt(late: Caller, engine_tenancy: Tenancy) -> None:
    who = system("test", late.tenant_id)
    payload = {"messages": [{"role": "user", "content": "Hi"}]}
    job_id = submit(engine_tenancy, NewJob("completion.create", payload, who)).id
    context, loaded = claim_context(engine_tenancy, job_id, who)
    with pytest.raises(NotNow) as raised:
        create(context, loaded)
    assert raised.value.job_code == "tenant_upgrading"
    vault = engine_tenancy.vault(late.tenant_id)
    outcome = failed(job_id, context.token, context.kind, raised.value, context.attempt, vault, 0.5)
    assert (outcome.state.value, outcome.counted) == ("retrying", False)
    assert outcome.delay >= 10


def test_what_is_missing_in_a_database_that_is_current_is_a_bug_and_no_upgrade(
    late: Caller, engine_tenancy: Tenancy
) -> None:
    engine_tenancy.platform.fetch(
        "UPDATE tenants SET schema_version = %(head)s, version = version + 1 WHERE id = %(id)s",
        {"head": head("tenant"), "id": late.tenant_id}, {"nexus.tenant_id": str(late.tenant_id)},
    )  # fmt: skip
    late.client.application.extensions["nexus.tenancy"].directory.forget(late.tenant_id)
    assert code_of(late.get(BUDGETS)) == (500, "internal_error")
