"""Submitting: durable, idempotent, sealed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.errors import IdempotencyMismatch, InvalidPayload, PayloadTooLarge, UniqueKeyTaken, UnknownKind
from domain.identity.principals import system
from jobs.control import cancel
from jobs.queries import get
from jobs.submit import NewJob, submit
from tenancy.access import Tenancy
from tenancy.database import Database


def ping(tenant: UUID, **options: Any) -> NewJob:
    return NewJob(kind="system.ping", payload={"message": "hello"}, principal=system("test", tenant), **options)


def test_a_submitted_job_is_queued_and_readable(web_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    submitted = submit(web_tenancy, ping(pooled_tenant))
    row = get(web_tenancy, pooled_tenant, submitted.id)
    assert submitted.created
    assert (row["state"], row["attempt"], row["queue"]) == ("queued", 0, "default")


def test_a_submission_costs_one_round_trip(
    web_tenancy: Tenancy, pooled_tenant: UUID, count_trips: Callable[..., Any]
) -> None:
    submit(web_tenancy, ping(pooled_tenant))  # the tenant's keys are cached from here on
    with count_trips(web_tenancy.platform) as trips:
        submit(web_tenancy, ping(pooled_tenant))
    assert trips.count == 1


def test_the_payload_is_sealed_at_rest(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    job_id = submit(engine_tenancy, ping(pooled_tenant)).id
    rows = engine_tenancy.platform.fetch("SELECT j::text AS everything FROM jobs j WHERE id = %(id)s", {"id": job_id})
    assert "hello" not in rows[0]["everything"]
    assert b"hello".hex() not in rows[0]["everything"]


def test_the_same_key_and_payload_is_the_same_job(web_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    first = submit(web_tenancy, ping(pooled_tenant, idempotency_key="k1"))
    second = submit(web_tenancy, ping(pooled_tenant, idempotency_key="k1"))
    assert (second.id, second.created) == (first.id, False)


def test_the_same_key_with_another_payload_is_refused(web_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    submit(web_tenancy, ping(pooled_tenant, idempotency_key="k1"))
    other = NewJob(kind="system.ping", payload={}, principal=system("test", pooled_tenant), idempotency_key="k1")
    with pytest.raises(IdempotencyMismatch):
        submit(web_tenancy, other)


def test_twenty_submissions_at_once_with_one_key_make_one_job(web_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: submit(web_tenancy, ping(pooled_tenant, idempotency_key="race")), range(20)))
    assert len({each.id for each in done}) == 1
    assert sum(each.created for each in done) == 1


def test_two_tenants_may_use_the_same_key(web_tenancy: Tenancy, make_tenant: Callable[..., UUID]) -> None:
    first, second = make_tenant(), make_tenant()
    ids = {submit(web_tenancy, ping(tenant, idempotency_key="k1")).id for tenant in (first, second)}
    assert len(ids) == 2


def test_a_unique_key_is_held_by_one_live_job_and_free_after_it(web_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    holder = submit(web_tenancy, ping(pooled_tenant, unique_key="only"))
    with pytest.raises(UniqueKeyTaken, match=str(holder.id)):
        submit(web_tenancy, ping(pooled_tenant, unique_key="only"))
    cancel(web_tenancy, pooled_tenant, holder.id)
    assert submit(web_tenancy, ping(pooled_tenant, unique_key="only")).created


def test_a_time_in_the_future_schedules(web_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    assert submit(web_tenancy, ping(pooled_tenant, run_at=later)).row["state"] == "scheduled"


@pytest.mark.parametrize(
    ("kind", "payload", "error"),
    [
        ("system.pong", {}, UnknownKind),
        ("system.ping", {"massage": "x"}, InvalidPayload),
        ("system.ping", {"seconds": "long"}, InvalidPayload),
        (
            "notification.deliver",
            {"to": "a@example.com", "subject": "a\r\nBcc: b@example.com", "text": "x"},
            InvalidPayload,
        ),
        ("webhook.process", {"source": "s", "event": {"x": "y" * 1_100_000}}, PayloadTooLarge),
    ],
)
def test_bad_submissions_change_nothing(
    web_tenancy: Tenancy, pooled_tenant: UUID, kind: str, payload: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        submit(web_tenancy, NewJob(kind=kind, payload=payload, principal=system("test", pooled_tenant)))
    assert jobs_of(web_tenancy.platform, pooled_tenant) == 0


def test_faults_carry_a_pointer_each(web_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    bad = NewJob(kind="system.ping", payload={"seconds": 61, "nope": 1}, principal=system("test", pooled_tenant))
    with pytest.raises(InvalidPayload) as caught:
        submit(web_tenancy, bad)
    assert {(fault.pointer, fault.code) for fault in caught.value.errors} == {
        ("/payload/seconds", "invalid"),
        ("/payload/nope", "unknown_field"),
    }


def jobs_of(platform: Database, tenant: UUID) -> int:
    scope = {"nexus.tenant_id": str(tenant)}
    count: int = platform.fetch("SELECT count(*) FROM jobs WHERE tenant_id = %(t)s", {"t": tenant}, scope)[0]["count"]
    return count
