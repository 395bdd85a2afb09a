"""Replaying by filter: what is found is counted, replayed once, and linked to what it repeats."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.errors import PermissionDenied, UnknownKind
from domain.identity.permissions import ALL
from domain.identity.principals import Principal, system
from domain.ids import new_id
from jobs import replay
from jobs.bulk import Answer
from jobs.control import cancel
from jobs.control import replay as replay_one
from jobs.queries import get
from jobs.replay import ReplayFilter, count, replay_all
from jobs.submit import NewJob, Submitted, submit
from tenancy.access import Tenancy
from tests.conftest import claim_context

FAILED = ReplayFilter("failed")


def owner(tenant: UUID) -> Principal:
    return Principal(subject=f"user:{new_id()}", user_id=new_id(), tenant_id=tenant, permissions=ALL)


def fail(engine: Tenancy, tenant: UUID, number: int = 1, code: str = "boom", **options: Any) -> list[UUID]:
    """Jobs that have failed with `code`."""
    who = system("test", tenant)
    ids = [
        submit(engine, NewJob(kind="system.ping", payload={"message": str(n)}, principal=who, **options)).id
        for n in range(number)
    ]
    engine.platform.fetch(
        "UPDATE jobs SET state = 'failed', error_code = %(code)s, finished_at = now() WHERE id = ANY(%(ids)s)",
        {"ids": ids, "code": code},
    )
    return ids


def made(answers: list[tuple[UUID, Answer]]) -> dict[UUID, UUID]:
    found = {}
    for old, answer in answers:
        assert isinstance(answer, Submitted), answer
        found[old] = answer.id
    return found


def test_what_is_counted_is_replayed_with_its_payload(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    ids = fail(engine_tenancy, pooled_tenant, 3)
    who = owner(pooled_tenant)
    assert count(engine_tenancy, who, FAILED) == {"system.ping": 3}
    new = made(replay_all(engine_tenancy, who, FAILED))
    assert list(new) == ids
    assert get(engine_tenancy, pooled_tenant, new[ids[2]])["replay_of"] == ids[2]
    assert claim_context(engine_tenancy, new[ids[2]], who)[1]["message"] == "2"
    assert {get(engine_tenancy, pooled_tenant, old)["state"] for old in ids} == {"failed"}


def test_a_replayed_job_is_not_found_again_and_the_limit_goes_on_from_there(
    engine_tenancy: Tenancy, pooled_tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "CHUNK", 2)
    ids = fail(engine_tenancy, pooled_tenant, 7)
    who = owner(pooled_tenant)
    assert list(made(replay_all(engine_tenancy, who, FAILED, limit=3))) == ids[:3]
    assert list(made(replay_all(engine_tenancy, who, FAILED))) == ids[3:]
    assert (count(engine_tenancy, who, FAILED), replay_all(engine_tenancy, who, FAILED)) == ({}, [])


def test_singly_and_by_filter_at_once_make_one_new_job(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    (old,) = fail(engine_tenancy, pooled_tenant)
    who = owner(pooled_tenant)
    with ThreadPoolExecutor(8) as pool:
        single = [pool.submit(replay_one, engine_tenancy, who, old) for _ in range(4)]
        several = [pool.submit(replay_all, engine_tenancy, who, FAILED) for _ in range(4)]
        ids = {each.result().id for each in single} | {new for each in several for new in made(each.result()).values()}
    assert len(ids) == 1
    assert replay_one(engine_tenancy, who, old).id in ids


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, {"boom", "other", "scheduled"}),
        ({"error_code": "other"}, {"other"}),
        ({"queue": "default"}, {"boom", "other", "scheduled"}),
        ({"queue": "billing"}, set()),
        ({"kind": "system.ping"}, {"boom", "other", "scheduled"}),
        ({"kind": "search.query"}, set()),
        ({"finished_from": datetime.now(UTC) - timedelta(hours=1)}, {"boom", "other"}),
        ({"finished_to": datetime.now(UTC) - timedelta(hours=1)}, {"scheduled"}),
        ({"state": "cancelled"}, {"cancelled"}),
    ],
)
def test_filters_narrow(
    engine_tenancy: Tenancy, make_tenant: Callable[..., UUID], change: dict[str, Any], expected: set[str]
) -> None:
    tenant, other = make_tenant(), make_tenant()
    fail(engine_tenancy, other)
    names: dict[UUID, str] = {}
    for code in ("boom", "other", "scheduled"):
        names[fail(engine_tenancy, tenant, code=code)[0]] = code
    old = next(job_id for job_id, name in names.items() if name == "scheduled")
    engine_tenancy.platform.fetch(
        "UPDATE jobs SET finished_at = now() - interval '2 hours' WHERE id = %(id)s", {"id": old}
    )
    live = [
        submit(engine_tenancy, NewJob(kind="system.ping", payload={}, principal=system("test", tenant))).id
        for _ in range(2)
    ]
    cancel(engine_tenancy, tenant, live[0])
    names[live[0]] = "cancelled"
    wanted = replace(FAILED, **change)
    assert sum(count(engine_tenancy, owner(tenant), wanted).values()) == len(expected)
    assert {names[job_id] for job_id in made(replay_all(engine_tenancy, owner(tenant), wanted))} == expected


def test_kinds_that_the_caller_may_not_submit_are_left_out_and_refused_by_name(
    engine_tenancy: Tenancy, pooled_tenant: UUID
) -> None:
    fail(engine_tenancy, pooled_tenant)
    clerk = replace(owner(pooled_tenant), permissions=frozenset({"job:replay"}))
    assert count(engine_tenancy, clerk, FAILED) == {}
    assert replay_all(engine_tenancy, clerk, FAILED) == []
    with pytest.raises(PermissionDenied, match="job:create"):
        replay_all(engine_tenancy, clerk, replace(FAILED, kind="system.ping"))
    with pytest.raises(UnknownKind):
        count(engine_tenancy, clerk, replace(FAILED, kind="nothing.such"))


def test_a_taken_unique_key_stops_no_other_replay(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    keyed, free = fail(engine_tenancy, pooled_tenant, unique_key="only") + fail(engine_tenancy, pooled_tenant)
    submit(
        engine_tenancy,
        NewJob(kind="system.ping", payload={}, principal=system("test", pooled_tenant), unique_key="only"),
    )
    answers = dict(replay_all(engine_tenancy, owner(pooled_tenant), FAILED))
    assert getattr(answers[keyed], "code", None) == "unique_key_taken"
    assert isinstance(answers[free], Submitted)
