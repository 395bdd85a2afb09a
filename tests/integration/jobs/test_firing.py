"""Firing schedules: each period once, whatever crashes and however many fire; and what was missed, by policy."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from bench.engine import until
from config.settings import Settings
from domain.identity.principals import Principal
from domain.ids import new_id
from domain.schedules.missed import Missed
from jobs import firing, schedules
from jobs.firing import fire_due
from jobs.rows import open_json
from jobs.schedules import Definition
from models.platform import Schedule
from tenancy.access import Tenancy
from tenancy.database import NO_SCOPE
from tenancy.identity.principals import permissions_of
from tenancy.scopes import tenant_scope

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def empty(engine_tenancy: Tenancy) -> None:
    """No schedule and no job of an earlier test is there."""
    engine_tenancy.platform.fetch("DELETE FROM schedules", {})
    engine_tenancy.platform.fetch("DELETE FROM jobs", {})


@pytest.fixture
def owner(engine_tenancy: Tenancy, pooled_tenant: UUID, user: UUID) -> Principal:
    """The owner of `pooled_tenant`."""
    found = permissions_of(engine_tenancy.platform, f"user:{user}", pooled_tenant)
    assert found is not None
    return found


@pytest.fixture
def schedule(web_tenancy: Tenancy, owner: Principal, pooled_tenant: UUID) -> Callable[..., UUID]:
    """Makes an hourly schedule whose earliest unfired period is noon, unless told otherwise."""

    def make(after: datetime = NOON - HOUR, **changes: Any) -> UUID:
        schedule_id = new_id()
        plain = {"kind": "system.ping", "payload": {"message": "tick"}, "cron": "@hourly", "timezone": "UTC",
                 "missed": Missed.LAST, "name": str(schedule_id)}  # fmt: skip
        values = schedules.columns(web_tenancy, owner, schedule_id, Definition(**{**plain, **changes}))
        with web_tenancy.platform.session(tenant_scope(pooled_tenant)) as session:
            schedules.create(session, pooled_tenant, schedule_id, values, after)
        return schedule_id

    return make


@pytest.fixture
def second_engine(settings: Settings) -> Iterator[Tenancy]:
    """Another dispatcher's door."""
    door = Tenancy(settings, "engine")
    yield door
    door.dispose()


def row(tenancy: Tenancy, schedule_id: UUID) -> Schedule:
    with tenancy.platform.session(NO_SCOPE) as session:
        return schedules.get(session, schedule_id)


def periods(tenancy: Tenancy) -> list[datetime]:
    """When the jobs that are there were due."""
    return [found["run_at"] for found in tenancy.platform.fetch("SELECT run_at FROM jobs ORDER BY run_at, id", {})]


def test_a_due_period_becomes_a_job_of_its_owner(
    engine_tenancy: Tenancy, schedule: Callable[..., UUID], owner: Principal
) -> None:
    schedule_id = schedule(priority=7)
    assert fire_due(engine_tenancy, NOON - timedelta(microseconds=1)) == 0
    assert fire_due(engine_tenancy, NOON) == 1
    (job,) = engine_tenancy.platform.fetch("SELECT * FROM jobs", {})
    assert (job["kind"], job["run_at"], job["priority"], job["principal"]) == ("system.ping", NOON, 7, owner.subject)
    vault = engine_tenancy.vault(job["tenant_id"])
    payload = open_json(bytes(job["payload_sealed"]), "payload_sealed", job["id"], vault)
    assert payload["message"] == "tick"
    after = row(engine_tenancy, schedule_id)
    assert (after.next_at, after.last_fired_at, after.last_job_id) == (NOON + HOUR, NOON, job["id"])
    assert fire_due(engine_tenancy, NOON) == 0


@pytest.mark.parametrize(
    ("missed", "fired"),
    [
        (Missed.SKIP, []),
        (Missed.LAST, [NOON + 2 * HOUR]),
        (Missed.ALL, [NOON, NOON + HOUR, NOON + 2 * HOUR]),
    ],
)
def test_after_three_missed_periods_the_policy_decides(
    engine_tenancy: Tenancy, schedule: Callable[..., UUID], missed: Missed, fired: list[datetime]
) -> None:
    schedule_id = schedule(missed=missed)
    back_again = NOON + 2 * HOUR + timedelta(minutes=20)
    assert fire_due(engine_tenancy, back_again) == len(fired)
    assert fire_due(engine_tenancy, back_again) == 0
    assert periods(engine_tenancy) == fired
    assert row(engine_tenancy, schedule_id).next_at == NOON + 3 * HOUR


def test_catching_up_is_spread_over_rounds_and_loses_nothing(
    engine_tenancy: Tenancy, schedule: Callable[..., UUID]
) -> None:
    schedule(missed=Missed.ALL, cron="* * * * *", after=NOON)
    now = NOON + timedelta(minutes=250)
    assert [fire_due(engine_tenancy, now) for _ in range(4)] == [100, 100, 50, 0]
    assert periods(engine_tenancy) == [NOON + timedelta(minutes=number) for number in range(1, 251)]


def test_the_wall_clock_of_the_zone_counts_across_a_change_of_summer_time(
    engine_tenancy: Tenancy, schedule: Callable[..., UUID]
) -> None:
    before = datetime(2026, 3, 28, tzinfo=UTC)
    schedule(missed=Missed.ALL, cron="30 2 * * *", timezone="Europe/Berlin", after=before)
    fire_due(engine_tenancy, before + timedelta(days=3))
    assert [period.isoformat() for period in periods(engine_tenancy)] == [
        "2026-03-28T01:30:00+00:00",
        "2026-03-29T01:00:00+00:00",
        "2026-03-30T00:30:00+00:00",
    ]


def test_four_leaders_at_once_fire_each_period_once(
    engine_tenancy: Tenancy, second_engine: Tenancy, schedule: Callable[..., UUID]
) -> None:
    ids = [schedule(missed=Missed.ALL) for _ in range(150)]
    now = NOON + 2 * HOUR
    start = threading.Barrier(4)

    def lead(tenancy: Tenancy) -> int:
        start.wait(30)
        return sum(fire_due(tenancy, now) for _ in range(6))

    with ThreadPoolExecutor(4) as pool:
        fired = list(pool.map(lead, [engine_tenancy, second_engine] * 2))
    while more := fire_due(engine_tenancy, now):
        fired.append(more)
    keys = engine_tenancy.platform.fetch("SELECT idempotency_key AS key FROM jobs", {})
    assert sum(fired) == len(keys) == 3 * len(ids)
    assert {found["key"] for found in keys} == {
        firing.period_key(schedule_id, NOON + hours * HOUR) for schedule_id in ids for hours in range(3)
    }


def test_a_leader_that_dies_between_moving_on_and_inserting_neither_loses_nor_doubles(
    engine_tenancy: Tenancy, second_engine: Tenancy, schedule: Callable[..., UUID], settings: Settings
) -> None:
    schedule_id = schedule()
    with psycopg.connect(settings.owner_dsn) as holder, ThreadPoolExecutor(1) as pool:
        holder.execute("LOCK TABLE jobs IN SHARE MODE")  # inserting waits, everything before it is done
        dying = pool.submit(fire_due, second_engine, NOON)
        until(lambda: bool(inserting(engine_tenancy)), 10, "the leader's insert")
        (backend,) = inserting(engine_tenancy)
        engine_tenancy.platform.fetch("SELECT pg_terminate_backend(%(backend)s)", {"backend": backend})
        with pytest.raises(OperationalError):
            dying.result(20)
    assert (row(engine_tenancy, schedule_id).next_at, periods(engine_tenancy)) == (NOON, [])
    assert fire_due(second_engine, NOON) == 1
    assert (row(engine_tenancy, schedule_id).next_at, periods(engine_tenancy)) == (NOON + HOUR, [NOON])


def inserting(tenancy: Tenancy) -> list[int]:
    """Backends that wait for the lock on the jobs."""
    found = tenancy.platform.fetch(
        "SELECT pid FROM pg_locks WHERE NOT granted AND relation = 'jobs'::regclass"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        {},
    )
    return [lock["pid"] for lock in found]


def test_a_leader_that_finds_a_schedule_locked_goes_on_with_the_others(
    engine_tenancy: Tenancy, schedule: Callable[..., UUID], settings: Settings
) -> None:
    held, free = schedule(), schedule()
    with engine_tenancy.platform.connect() as connection, connection.transaction():
        connection.execute("SELECT 1 FROM schedules WHERE id = %s FOR UPDATE", (held,))
        assert fire_due(engine_tenancy, NOON) == 1
    assert [row(engine_tenancy, each).next_at for each in (held, free)] == [NOON, NOON + HOUR]


def test_a_period_that_was_fired_is_not_fired_by_a_schedule_that_was_set_back(
    engine_tenancy: Tenancy, schedule: Callable[..., UUID]
) -> None:
    schedule_id = schedule()
    fire_due(engine_tenancy, NOON)
    engine_tenancy.platform.fetch("UPDATE schedules SET next_at = %(noon)s", {"noon": NOON})
    fire_due(engine_tenancy, NOON)
    assert periods(engine_tenancy) == [NOON]
    assert row(engine_tenancy, schedule_id).next_at == NOON + HOUR


def test_schedules_of_a_suspended_tenant_wait_and_come_under_their_policy(
    engine_tenancy: Tenancy, schedule: Callable[..., UUID], pooled_tenant: UUID
) -> None:
    schedule(missed=Missed.ALL)
    turn = "UPDATE tenants SET state = %(state)s, version = version + 1 WHERE id = %(id)s"
    engine_tenancy.platform.fetch(turn, {"state": "suspended", "id": pooled_tenant})
    assert fire_due(engine_tenancy, NOON + HOUR) == 0
    engine_tenancy.platform.fetch(turn, {"state": "active", "id": pooled_tenant})
    assert fire_due(engine_tenancy, NOON + HOUR) == 2


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("UPDATE users SET disabled_at = now() WHERE id = %(user)s", "principal_gone"),
        ("DELETE FROM memberships WHERE user_id = %(user)s", "principal_gone"),
        ("DELETE FROM membership_roles WHERE user_id = %(user)s", "permission_denied"),
        ("UPDATE schedules SET payload_sealed = 'x'", "payload_unreadable"),
        ("UPDATE schedules SET timezone = 'Middle/Earth'", "invalid_timing"),
    ],
)
def test_a_schedule_that_cannot_go_on_rests_and_says_why(
    engine_tenancy: Tenancy, schedule: Callable[..., UUID], user: UUID, trouble: str, reason: str
) -> None:
    schedule_id = schedule()
    engine_tenancy.platform.fetch(trouble, {"user": user})  # type: ignore[arg-type]  # one of the statements above
    assert fire_due(engine_tenancy, NOON) == 0
    rests = row(engine_tenancy, schedule_id)
    assert (rests.next_at, rests.disabled_reason, rests.last_fired_at) == (None, reason, None)
    assert fire_due(engine_tenancy, NOON + HOUR) == 0
    assert periods(engine_tenancy) == []


def test_a_payload_that_its_kind_no_longer_takes_stops_only_its_schedule(
    engine_tenancy: Tenancy, schedule: Callable[..., UUID], pooled_tenant: UUID
) -> None:
    broken, sound = schedule(), schedule()
    sealed = schedules.seal_payload({"gone": 1}, broken, engine_tenancy.vault(pooled_tenant))
    engine_tenancy.platform.fetch(
        "UPDATE schedules SET payload_sealed = %(sealed)s WHERE id = %(id)s", {"sealed": sealed, "id": broken}
    )
    assert fire_due(engine_tenancy, NOON) == 1
    assert row(engine_tenancy, broken).disabled_reason == "invalid_payload"
    assert row(engine_tenancy, sound).last_fired_at == NOON


def test_a_bug_stops_its_schedule_and_not_the_leader(
    engine_tenancy: Tenancy, schedule: Callable[..., UUID], pooled_tenant: UUID
) -> None:
    broken, sound = schedule(), schedule()
    no_object = engine_tenancy.vault(pooled_tenant).seal(b"{", "schedules", "payload_sealed", broken)
    engine_tenancy.platform.fetch(
        "UPDATE schedules SET payload_sealed = %(sealed)s WHERE id = %(id)s", {"sealed": no_object, "id": broken}
    )
    assert fire_due(engine_tenancy, NOON) == 1
    assert row(engine_tenancy, broken).disabled_reason == "internal_error"
    assert row(engine_tenancy, sound).last_fired_at == NOON


def test_a_kind_that_this_version_does_not_know_is_left_for_one_that_does(
    engine_tenancy: Tenancy, schedule: Callable[..., UUID]
) -> None:
    schedule_id = schedule()
    engine_tenancy.platform.fetch("UPDATE schedules SET kind = 'later.thing'", {})
    assert fire_due(engine_tenancy, NOON) == 0
    assert row(engine_tenancy, schedule_id).next_at == NOON


def test_the_payload_is_sealed_at_rest(engine_tenancy: Tenancy, schedule: Callable[..., UUID]) -> None:
    schedule_id = schedule()
    (found,) = engine_tenancy.platform.fetch(
        "SELECT s::text AS everything FROM schedules s WHERE id = %(id)s", {"id": schedule_id}
    )
    assert "tick" not in found["everything"]
    assert b"tick".hex() not in found["everything"]


def test_a_web_clock_that_is_behind_does_not_set_a_schedule_back(
    engine_tenancy: Tenancy, web_tenancy: Tenancy, schedule: Callable[..., UUID], owner: Principal
) -> None:
    schedule_id = schedule()
    fire_due(engine_tenancy, NOON)
    behind = NOON - timedelta(seconds=2)
    with web_tenancy.platform.session(tenant_scope(owner.tenant_id or new_id())) as session:
        found = schedules.get(session, schedule_id, to_change=True)
        schedules.pause(found, behind)
        schedules.resume(found, owner, behind)
    assert row(engine_tenancy, schedule_id).next_at == NOON + HOUR


def test_looking_for_due_schedules_costs_one_round_trip(
    engine_tenancy: Tenancy, schedule: Callable[..., UUID], count_trips: Callable[..., Any]
) -> None:
    schedule()
    with count_trips(engine_tenancy.platform) as trips:
        fire_due(engine_tenancy, NOON - HOUR)
    assert trips.count == 1
