"""How finished jobs leave: unread once expired, by whole months, singly where their kind is short-lived."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

import psycopg
import pytest

from config.settings import Settings
from domain.errors import NotFound, UniqueKeyTaken
from domain.identity.principals import system
from jobs.control import cancel
from jobs.kinds import KINDS
from jobs.queries import get, page
from jobs.retention import expire_short_lived, free_keys, turn_months
from jobs.submit import NewJob, Submitted, submit
from jobs.watch import Watcher
from tenancy.access import Tenancy
from tests.integration.jobs.conftest import submit_pings
from tests.integration.jobs.test_parts import part_of

pytestmark = pytest.mark.usefixtures("quiet")

OLD = datetime(2020, 1, 15, tzinfo=UTC)


@pytest.fixture
def owner(settings: Settings) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(settings.owner_dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
def old_month(owner: psycopg.Connection[Any]) -> Iterator[str]:
    """A month long past, as if it had been made in time."""
    name = "jobs_finished_2020_01"
    owner.execute(
        f"CREATE TABLE {name} PARTITION OF jobs_finished FOR VALUES"
        " FROM ('016f5e66-e800-0000-0000-000000000000') TO ('016ffe0b-f400-0000-0000-000000000000')"
    )
    yield name
    owner.execute(f"DROP TABLE IF EXISTS {name}")


def expire(tenancy: Tenancy, job_id: UUID) -> None:
    tenancy.platform.fetch("UPDATE jobs SET expires_at = now() - interval '1 second' WHERE id = %(id)s", {"id": job_id})


def ended(tenancy: Tenancy, tenant_id: UUID, at: datetime | None = None, **options: Any) -> UUID:
    """A finished job, submitted `at` that time: its id says so."""
    (job_id,) = submit_pings(tenancy, tenant_id, 1, **options)
    if at is not None:
        moved = UUID(int=(int(at.timestamp() * 1000) << 80) | job_id.int & ((1 << 80) - 1))
        change: LiteralString = "UPDATE jobs SET id = %(new)s WHERE id = %(id)s"
        keys: LiteralString = "UPDATE job_keys SET job_id = %(new)s WHERE job_id = %(id)s"
        ids = {"new": moved, "id": job_id}
        tenancy.platform.fetch_many([(change, ids), (keys, ids)])
        job_id = moved
    cancel(tenancy, tenant_id, job_id)
    return job_id


def parts(owner: psycopg.Connection[Any]) -> set[str]:
    return {row[0] for row in owner.execute("SELECT relname FROM pg_class WHERE relname ~ '^jobs_finished_[0-9_]{7}$'")}


def keyed(tenancy: Tenancy, tenant_id: UUID, key: str, **options: Any) -> Submitted:
    new = NewJob("system.ping", {}, system("test", tenant_id), idempotency_key=key, **options)
    return submit(tenancy, new)


def test_an_expired_job_is_gone_for_whoever_asks(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    kept, gone = (ended(engine_tenancy, pooled_tenant) for _ in range(2))
    known = get(engine_tenancy, pooled_tenant, gone)
    expire(engine_tenancy, gone)
    with pytest.raises(NotFound):
        get(engine_tenancy, pooled_tenant, gone)
    with pytest.raises(NotFound):
        Watcher(engine_tenancy).wait_changed(known, 5.0)
    assert [row["id"] for row in page(engine_tenancy, pooled_tenant)] == [kept]


def test_pages_go_through_live_and_finished_jobs_in_order(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    ids = submit_pings(engine_tenancy, pooled_tenant, 9)
    for job_id in ids[::2]:
        cancel(engine_tenancy, pooled_tenant, job_id)
    seen: list[UUID] = []
    while rows := page(engine_tenancy, pooled_tenant, after=seen[-1] if seen else None, limit=2):
        seen += [row["id"] for row in rows]
    assert seen == ids[::-1]
    assert [row["id"] for row in page(engine_tenancy, pooled_tenant, state="cancelled", newest_first=False)] == ids[::2]
    assert [row["id"] for row in page(engine_tenancy, pooled_tenant, state="queued")] == ids[1::2][::-1]


def test_a_month_is_dropped_when_all_in_it_are_past_their_retention(
    engine_tenancy: Tenancy, pooled_tenant: UUID, owner: psycopg.Connection[Any], old_month: str
) -> None:
    first, second = (ended(engine_tenancy, pooled_tenant, OLD) for _ in range(2))
    assert part_of(engine_tenancy, first) == old_month
    expire(engine_tenancy, first)
    turn_months(engine_tenancy.platform)
    assert part_of(engine_tenancy, first) == old_month
    expire(engine_tenancy, second)
    turn_months(engine_tenancy.platform)
    assert old_month not in parts(owner)
    assert engine_tenancy.platform.fetch("SELECT 1 FROM jobs WHERE id = %(id)s", {"id": first}) == []


def test_the_present_month_stays_although_all_in_it_expired(
    engine_tenancy: Tenancy, pooled_tenant: UUID, owner: psycopg.Connection[Any]
) -> None:
    before = parts(owner)
    expire(engine_tenancy, ended(engine_tenancy, pooled_tenant))
    turn_months(engine_tenancy.platform)
    assert parts(owner) == before
    assert len(before) >= 3


def test_a_month_that_cannot_be_locked_waits_and_nothing_fails(
    engine_tenancy: Tenancy, pooled_tenant: UUID, owner: psycopg.Connection[Any], old_month: str
) -> None:
    expire(engine_tenancy, ended(engine_tenancy, pooled_tenant, OLD))
    with owner.transaction():
        owner.execute("SELECT count(*) FROM jobs")
        turn_months(engine_tenancy.platform)
    assert old_month in parts(owner)
    turn_months(engine_tenancy.platform)
    assert old_month not in parts(owner)


def test_a_month_that_was_not_made_in_time_takes_its_jobs_over(
    engine_tenancy: Tenancy, pooled_tenant: UUID, owner: psycopg.Connection[Any]
) -> None:
    newest = max(parts(owner))
    owner.execute(f"DROP TABLE {newest}")
    year, month = (int(part) for part in newest.split("_")[2:])
    job_id = ended(engine_tenancy, pooled_tenant, datetime(year, month, 15, tzinfo=UTC))
    assert part_of(engine_tenancy, job_id) == "jobs_finished_default"
    before = get(engine_tenancy, pooled_tenant, job_id)
    turn_months(engine_tenancy.platform)
    assert part_of(engine_tenancy, job_id) == newest
    assert get(engine_tenancy, pooled_tenant, job_id) == before


def test_an_expired_job_of_no_month_is_deleted(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    kept, gone = (ended(engine_tenancy, pooled_tenant, OLD) for _ in range(2))
    assert part_of(engine_tenancy, gone) == "jobs_finished_default"
    expire(engine_tenancy, gone)
    turn_months(engine_tenancy.platform)
    assert engine_tenancy.platform.fetch("SELECT id FROM jobs", {}) == [{"id": kept}]


def test_short_lived_kinds_leave_one_by_one_with_their_keys(
    engine_tenancy: Tenancy, pooled_tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, gone = (ended(engine_tenancy, pooled_tenant, idempotency_key=key) for key in ("kept", "gone"))
    expire(engine_tenancy, gone)
    assert expire_short_lived(engine_tenancy.platform) == 0
    monkeypatch.setitem(KINDS, "system.ping", replace(KINDS["system.ping"], retention=timedelta(hours=1)))
    assert expire_short_lived(engine_tenancy.platform) == 1
    assert engine_tenancy.platform.fetch("SELECT id FROM jobs", {}) == [{"id": kept}]
    keys = engine_tenancy.platform.fetch("SELECT key FROM job_keys WHERE tenant_id = %(id)s", {"id": pooled_tenant})
    assert keys == [{"key": "kept"}]


def test_a_key_names_its_job_as_long_as_that_is_kept(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    first = keyed(engine_tenancy, pooled_tenant, "k")
    cancel(engine_tenancy, pooled_tenant, first.id)
    again = keyed(engine_tenancy, pooled_tenant, "k")
    assert (again.id, again.created) == (first.id, False)
    expire(engine_tenancy, first.id)
    fresh = keyed(engine_tenancy, pooled_tenant, "k")
    assert (fresh.id != first.id, fresh.created) == (True, True)


def test_a_key_whose_submission_was_refused_is_free(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    holder = keyed(engine_tenancy, pooled_tenant, "first", unique_key="only")
    for _ in range(2):
        with pytest.raises(UniqueKeyTaken, match=str(holder.id)):
            keyed(engine_tenancy, pooled_tenant, "second", unique_key="only")
    cancel(engine_tenancy, pooled_tenant, holder.id)
    made = keyed(engine_tenancy, pooled_tenant, "second", unique_key="only")
    assert made.created
    assert keyed(engine_tenancy, pooled_tenant, "second", unique_key="only").id == made.id


def test_keys_leave_after_their_month(engine_tenancy: Tenancy, pooled_tenant: UUID, old_month: str) -> None:
    expire(engine_tenancy, ended(engine_tenancy, pooled_tenant, OLD, idempotency_key="old"))
    live = keyed(engine_tenancy, pooled_tenant, "live")
    turn_months(engine_tenancy.platform)
    assert free_keys(engine_tenancy.platform) == 1
    keys = engine_tenancy.platform.fetch("SELECT job_id FROM job_keys WHERE tenant_id = %(id)s", {"id": pooled_tenant})
    assert keys == [{"job_id": live.id}]
