"""A unique key whose last submission counts: what waits takes it over, what has begun does not."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.errors import Transient, UniqueKeyTaken
from domain.identity.principals import system
from jobs.bulk import Related, submit_related
from jobs.control import cancel
from jobs.leases import hand_back
from jobs.outcomes import failed, record
from jobs.queries import get
from jobs.replacement import submit_or_replace
from jobs.submit import NewJob, submit
from tenancy.access import Tenancy
from tests.conftest import claim_context
from tests.integration.jobs.conftest import dispatch_and_claim

LATER = datetime.now(UTC) + timedelta(hours=1)


def ping(tenant: UUID, message: str = "hello", **options: Any) -> NewJob:
    who = system("test", tenant)
    return NewJob(kind="system.ping", payload={"message": message}, principal=who, unique_key="only", **options)


def message_of(tenancy: Tenancy, tenant: UUID, job_id: UUID) -> Any:
    return claim_context(tenancy, job_id, system("test", tenant))[1]["message"]


def test_a_waiting_job_takes_over_payload_time_and_priority_and_keeps_its_id(
    engine_tenancy: Tenancy, pooled_tenant: UUID
) -> None:
    first = submit_or_replace(engine_tenancy, ping(pooled_tenant, "first", run_at=LATER))
    second = submit_or_replace(engine_tenancy, ping(pooled_tenant, "second", priority=9))
    assert (first.created, first.replaced) == (True, False)
    assert (second.created, second.replaced, second.id) == (False, True, first.id)
    row = get(engine_tenancy, pooled_tenant, first.id)
    assert (row["state"], row["priority"], row["version"]) == ("queued", 9, 2)
    assert row["run_at"] <= datetime.now(UTC)
    assert message_of(engine_tenancy, pooled_tenant, first.id) == "second"


def test_each_submission_puts_the_job_off(web_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    first = submit_or_replace(web_tenancy, ping(pooled_tenant))
    for minutes in (1, 2, 3):
        due = LATER + timedelta(minutes=minutes)
        again = submit_or_replace(web_tenancy, ping(pooled_tenant, run_at=due))
        assert (again.id, again.row["state"], again.row["run_at"]) == (first.id, "scheduled", due)


def test_what_is_on_its_way_runs_or_has_begun_is_not_replaced(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    job_id = submit(engine_tenancy, ping(pooled_tenant, "first")).id
    engine_tenancy.platform.fetch("UPDATE jobs SET state = 'dispatched' WHERE id = %(id)s", {"id": job_id})
    with pytest.raises(UniqueKeyTaken, match=str(job_id)):
        submit_or_replace(engine_tenancy, ping(pooled_tenant, "second"))
    row, token = dispatch_and_claim(engine_tenancy, job_id)
    with pytest.raises(UniqueKeyTaken, match=str(job_id)):
        submit_or_replace(engine_tenancy, ping(pooled_tenant, "second"))
    vault = engine_tenancy.vault(pooled_tenant)
    record(engine_tenancy.platform, [failed(job_id, token, row["kind"], Transient("x"), 1, vault, 0.0)])
    assert get(engine_tenancy, pooled_tenant, job_id)["state"] == "retrying"
    with pytest.raises(UniqueKeyTaken, match="can no longer be replaced"):
        submit_or_replace(engine_tenancy, ping(pooled_tenant, "second"))
    assert message_of(engine_tenancy, pooled_tenant, job_id) == "first"


def test_one_that_was_claimed_but_not_begun_can_be_replaced(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    job_id = submit(engine_tenancy, ping(pooled_tenant, "first")).id
    _, token = dispatch_and_claim(engine_tenancy, job_id)
    hand_back(engine_tenancy.platform, [job_id], token)
    assert submit_or_replace(engine_tenancy, ping(pooled_tenant, "second")).id == job_id
    assert message_of(engine_tenancy, pooled_tenant, job_id) == "second"


def test_after_the_holder_has_finished_a_new_job_is_made(web_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    first = submit_or_replace(web_tenancy, ping(pooled_tenant))
    cancel(web_tenancy, pooled_tenant, first.id)
    second = submit_or_replace(web_tenancy, ping(pooled_tenant))
    assert second.created
    assert get(web_tenancy, pooled_tenant, first.id)["version"] == 2


def test_one_that_waits_for_others_is_not_replaced(web_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    other = submit(web_tenancy, NewJob(kind="system.ping", payload={}, principal=system("test", pooled_tenant))).id
    held = submit_related(web_tenancy, Related(ping(pooled_tenant), (other,))).id
    with pytest.raises(UniqueKeyTaken, match=str(held)):
        submit_or_replace(web_tenancy, ping(pooled_tenant))
    assert get(web_tenancy, pooled_tenant, held)["version"] == 1


def test_another_tenants_key_is_another_key(web_tenancy: Tenancy, make_tenant: Callable[..., UUID]) -> None:
    ids = {submit_or_replace(web_tenancy, ping(tenant)).id for tenant in (make_tenant(), make_tenant())}
    assert len(ids) == 2


def test_twenty_at_once_leave_one_job_with_one_of_their_payloads(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda n: submit_or_replace(engine_tenancy, ping(pooled_tenant, f"m{n}")), range(20)))
    assert len({each.id for each in done}) == 1
    assert sum(each.created for each in done) == 1
    assert get(engine_tenancy, pooled_tenant, done[0].id)["version"] == 20
    assert message_of(engine_tenancy, pooled_tenant, done[0].id) in {f"m{n}" for n in range(20)}
