"""Many submissions in one round trip, each with its own answer."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from uuid import UUID

from domain.errors import IdempotencyMismatch, InvalidPayload, UniqueKeyTaken, UnknownKind
from domain.identity.principals import system
from jobs.bulk import Related, submit_many
from jobs.control import cancel
from jobs.queries import get
from jobs.rows import open_json
from jobs.submit import NewJob, Submitted, submit
from tenancy.access import Tenancy


def ping(tenant: UUID, **options: Any) -> NewJob:
    payload = options.pop("payload", {"message": "hello"})
    return NewJob(kind="system.ping", payload=payload, principal=system("test", tenant), **options)


def count(tenancy: Tenancy, tenant: UUID) -> int:
    scope = {"nexus.tenant_id": str(tenant)}
    jobs: int = tenancy.platform.fetch("SELECT count(*) FROM jobs WHERE tenant_id = %(t)s", {"t": tenant}, scope)[0][
        "count"
    ]
    return jobs


def ids(answers: list[Any]) -> list[UUID]:
    assert all(isinstance(each, Submitted) for each in answers), answers
    return [each.id for each in answers]


def test_a_thousand_jobs_cost_one_round_trip(
    web_tenancy: Tenancy, pooled_tenant: UUID, count_trips: Callable[..., Any]
) -> None:
    submit(web_tenancy, ping(pooled_tenant))  # the tenant's keys are cached from here on
    news = [ping(pooled_tenant, idempotency_key=f"k{number}", unique_key=f"u{number}") for number in range(1000)]
    with count_trips(web_tenancy.platform) as trips:
        answers = submit_many(web_tenancy, news)
    assert trips.count == 1
    assert len(set(ids(answers))) == 1000
    assert all(each.created for each in answers if isinstance(each, Submitted))


def test_naming_relatives_costs_one_round_trip_more(
    web_tenancy: Tenancy, pooled_tenant: UUID, count_trips: Callable[..., Any]
) -> None:
    parent = submit(web_tenancy, ping(pooled_tenant)).id
    with count_trips(web_tenancy.platform) as trips:
        answers = submit_many(web_tenancy, [Related(ping(pooled_tenant, parent_id=parent), after=(parent,))] * 50)
    assert trips.count == 2
    assert len(set(ids(answers))) == 50


def test_each_item_has_its_own_answer_and_a_bad_one_stops_no_other(web_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    answers = submit_many(
        web_tenancy,
        [
            ping(pooled_tenant),
            ping(pooled_tenant, payload={"nope": 1}),
            NewJob(kind="nothing.such", payload={}, principal=system("test", pooled_tenant)),
            ping(pooled_tenant, priority=7),
        ],
    )
    assert [type(each) for each in answers] == [Submitted, InvalidPayload, UnknownKind, Submitted]
    assert isinstance(answers[3], Submitted)
    assert answers[3].row["priority"] == 7
    assert count(web_tenancy, pooled_tenant) == 2


def test_payloads_are_sealed_each_for_its_own_row(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    made = ids(submit_many(engine_tenancy, [ping(pooled_tenant, payload={"message": str(n)}) for n in range(5)]))
    rows = engine_tenancy.platform.fetch(
        "SELECT id, payload_sealed FROM jobs WHERE id = ANY(%(ids)s) ORDER BY id", {"ids": made}
    )
    vault = engine_tenancy.vault(pooled_tenant)
    opened = [open_json(bytes(row["payload_sealed"]), "payload_sealed", row["id"], vault) for row in rows]
    assert [payload["message"] for payload in opened] == list("01234")


def test_a_repeated_key_answers_with_the_first_job_also_within_one_request(
    web_tenancy: Tenancy, pooled_tenant: UUID
) -> None:
    first = submit(web_tenancy, ping(pooled_tenant, idempotency_key="before")).id
    answers = submit_many(
        web_tenancy,
        [
            ping(pooled_tenant, idempotency_key="before"),
            ping(pooled_tenant, idempotency_key="new"),
            ping(pooled_tenant, idempotency_key="new"),
            ping(pooled_tenant, idempotency_key="new", payload={}),
        ],
    )
    known, one, same, other = answers
    assert isinstance(known, Submitted)
    assert (known.id, known.created) == (first, False)
    assert isinstance(one, Submitted)
    assert isinstance(same, Submitted)
    assert one.id == same.id
    assert sorted([one.created, same.created]) == [False, True]
    assert isinstance(other, IdempotencyMismatch)
    assert count(web_tenancy, pooled_tenant) == 2


def test_a_taken_unique_key_refuses_its_item_only(web_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    holder = submit(web_tenancy, ping(pooled_tenant, unique_key="only")).id
    answers = submit_many(web_tenancy, [ping(pooled_tenant, unique_key="only"), ping(pooled_tenant, unique_key="free")])
    assert isinstance(answers[0], UniqueKeyTaken)
    assert str(holder) in answers[0].detail
    assert isinstance(answers[1], Submitted)


def test_crossing_bulks_with_the_same_keys_make_each_job_once(web_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    news = [ping(pooled_tenant, idempotency_key=f"k{number}", unique_key=f"u{99 - number}") for number in range(100)]
    barrier = Barrier(4)

    def run(turn: int) -> list[Any]:
        barrier.wait(30)
        return submit_many(web_tenancy, news[::-1] if turn % 2 else news)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(run, range(4)))
    assert sum(each.created for answers in results for each in answers) == 100
    assert {each.id for each in results[0]} == {each.id for each in results[1]}
    assert count(web_tenancy, pooled_tenant) == 100


def test_a_cancelled_parent_takes_no_child_from_a_bulk(web_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    parent = submit(web_tenancy, ping(pooled_tenant)).id
    cancel(web_tenancy, pooled_tenant, parent)
    answers = submit_many(web_tenancy, [Related(ping(pooled_tenant, parent_id=parent)), ping(pooled_tenant)])
    assert [getattr(each, "code", "") for each in answers] == ["illegal_transition", ""]
    assert get(web_tenancy, pooled_tenant, parent)["state"] == "cancelled"
    assert count(web_tenancy, pooled_tenant) == 2
