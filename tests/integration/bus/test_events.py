"""Publishing and relaying: with what it tells of or not at all, once, and only to whom it concerns."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import OperationalError

import tasks
from bus import endpoints, events
from bus.events import Event, announce, publish
from bus.relay import RESULT_LIMIT, expire, relay
from bus.subscribers import SUBSCRIBERS, subscriber_named, subscribes
from domain.errors import Conflict, NotFound, Transient
from domain.identity.principals import system
from domain.ids import new_id
from domain.jobs.states import JobState
from jobs.context import JobContext
from jobs.control import cancel
from jobs.handlers import HANDLERS
from jobs.outcomes import Outcome, lost, record, succeeded
from jobs.submit import NewJob, submit
from tenancy.access import Tenancy
from tenancy.scopes import tenant_scope
from tests.conftest import claim_context
from tests.relaying import relay_all

tasks.load()
MakeContext = Callable[..., tuple[JobContext, Mapping[str, Any]]]


def tell(tenancy: Tenancy, tenant: UUID, name: str = "notification.sent", **options: Any) -> UUID:
    """Publish in a transaction of its own."""
    with tenancy.platform.session(tenant_scope(tenant)) as session:
        return publish(session, tenancy.vault(tenant), name, {"n": 1}, **options)


def endpoint(tenancy: Tenancy, tenant: UUID, *event_types: str, enabled: bool = True) -> UUID:
    """An endpoint that nobody answers."""
    values = {"url": "https://example.com/", "event_types": list(event_types), "description": ""}
    with tenancy.platform.session(tenant_scope(tenant)) as session:
        made, _ = endpoints.create(
            session, tenancy.vault(tenant), new_id(), values, enabled=enabled, created_by="system:test"
        )  # fmt: skip
        return made.id


def listed(tenancy: Tenancy, tenant: UUID) -> list[Event]:
    """The tenant's events, the oldest first."""
    return list(events.page(tenancy, tenant, name=None, after=None, limit=200, newest_first=False))


def jobs(tenancy: Tenancy, tenant: UUID, kind: str) -> list[UUID]:
    """The tenant's jobs of the kind."""
    query = "SELECT id FROM jobs WHERE tenant_id = %(tenant)s AND kind = %(kind)s ORDER BY id"
    return [row["id"] for row in tenancy.platform.fetch(query, {"tenant": tenant, "kind": kind})]


@pytest.fixture
def heard() -> Iterator[list[UUID]]:
    """Two subscribers of `search.requested` that note what they hear; the second fails."""
    notes: list[UUID] = []

    def listens(_context: JobContext, event: Event) -> None:
        notes.append(event.id)

    def stumbles(_context: JobContext, _event: Event) -> None:
        raise ValueError

    known = dict(SUBSCRIBERS.get("search.requested", {}))
    for each in (listens, stumbles):
        subscribes("search.requested")(each)
    yield notes
    SUBSCRIBERS["search.requested"] = known


def test_an_event_is_there_if_and_only_if_its_transaction_is(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    def give_up() -> None:
        with engine_tenancy.platform.session(tenant_scope(pooled_tenant)) as session:
            publish(session, engine_tenancy.vault(pooled_tenant), "notification.sent", {})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        give_up()
    assert listed(engine_tenancy, pooled_tenant) == []
    event_id = tell(engine_tenancy, pooled_tenant)
    assert [(event.id, event.type, event.data) for event in listed(engine_tenancy, pooled_tenant)] == [
        (event_id, "notification.sent", {"n": 1})
    ]


def test_the_same_key_is_the_same_event(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    assert tell(engine_tenancy, pooled_tenant, key="k") == tell(engine_tenancy, pooled_tenant, key="k")
    assert len(listed(engine_tenancy, pooled_tenant)) == 1


def test_an_unknown_name_is_a_mistake_of_the_publisher(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    with pytest.raises(LookupError):
        tell(engine_tenancy, pooled_tenant, "nothing.such")


def test_a_job_that_runs_again_announces_once(make_context: MakeContext, pooled_tenant: UUID) -> None:
    context, _ = make_context("system.ping", pooled_tenant, {})
    first = announce(context, "notification.sent", {"n": 1}, key="a")
    assert announce(context, "notification.sent", {"n": 1}, key="a") == first
    assert announce(context, "notification.sent", {"n": 2}, key="b") != first


def test_each_subscriber_gets_a_job_once_and_one_that_fails_does_not_touch_the_other(
    engine_tenancy: Tenancy, pooled_tenant: UUID, heard: list[UUID]
) -> None:
    event_id = tell(engine_tenancy, pooled_tenant, "search.requested")
    relay_all(engine_tenancy)
    relay_all(engine_tenancy)
    waiting = jobs(engine_tenancy, pooled_tenant, "event.handle")
    assert len(waiting) == 2
    failures = 0
    for job_id in waiting:
        context, payload = claim_context(engine_tenancy, job_id, system("events", pooled_tenant))
        try:
            HANDLERS["event.handle"](context, payload)
        except ValueError:
            failures += 1
    assert (heard, failures) == ([event_id], 1)


def test_a_subscriber_that_another_version_has_is_waited_for() -> None:
    with pytest.raises(Transient) as error:
        subscriber_named("search.requested", "gone.away")
    assert error.value.job_code == "subscriber_unknown"


def test_a_subscription_to_nothing_and_a_name_taken_are_mistakes(heard: list[UUID]) -> None:
    def listens(_context: JobContext, _event: Event) -> None: ...

    for name in ("nothing.such", "search.requested"):
        with pytest.raises(LookupError):
            subscribes(name)(listens)
    assert heard == []


def test_a_relay_that_is_cut_off_has_done_nothing_and_the_next_does_it_all(
    engine_tenancy: Tenancy, pooled_tenant: UUID, heard: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint(engine_tenancy, pooled_tenant, "*")
    tell(engine_tenancy, pooled_tenant, "search.requested")
    with monkeypatch.context() as patch:
        patch.setattr("bus.relay._RELAYED", "SELECT pg_terminate_backend(pg_backend_pid()), %(id)s, %(payload_sealed)s")
        with pytest.raises(OperationalError):
            relay(engine_tenancy)
    assert jobs(engine_tenancy, pooled_tenant, "event.handle") == []
    assert jobs(engine_tenancy, pooled_tenant, "webhook.deliver") == []
    relay_all(engine_tenancy)
    assert len(jobs(engine_tenancy, pooled_tenant, "event.handle")) == 2
    assert len(jobs(engine_tenancy, pooled_tenant, "webhook.deliver")) == 1
    assert heard == []


def test_an_event_that_cannot_be_relayed_holds_up_no_other(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    hook = endpoint(engine_tenancy, pooled_tenant, "*")
    told = [tell(engine_tenancy, pooled_tenant) for _ in range(3)]
    engine_tenancy.platform.fetch(
        "INSERT INTO webhook_deliveries (id, tenant_id, endpoint_id, event_id, job_id)"
        " VALUES (%(id)s, %(tenant)s, %(hook)s, %(event)s, %(id)s)",
        {"id": new_id(), "tenant": pooled_tenant, "hook": hook, "event": told[1]},
    )
    relay_all(engine_tenancy)
    assert len(jobs(engine_tenancy, pooled_tenant, "webhook.deliver")) == 2
    waits = engine_tenancy.platform.fetch(
        "DELETE FROM events WHERE relay_at IS NOT NULL AND tenant_id = %(tenant)s RETURNING id",
        {"tenant": pooled_tenant},
    )
    assert [row["id"] for row in waits] == [told[1]]


def test_relays_at_once_share_the_work_and_double_none(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    endpoint(engine_tenancy, pooled_tenant, "*")
    told = {tell(engine_tenancy, pooled_tenant) for _ in range(150)}
    threads = [threading.Thread(target=relay_all, args=(engine_tenancy,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    relay_all(engine_tenancy)
    rows = engine_tenancy.platform.fetch(
        "SELECT event_id FROM webhook_deliveries WHERE tenant_id = %(tenant)s", {"tenant": pooled_tenant}
    )
    assert len(rows) == 150
    assert {row["event_id"] for row in rows} == told
    assert len(jobs(engine_tenancy, pooled_tenant, "webhook.deliver")) == 150


def test_a_tenant_whose_keys_cannot_be_had_holds_up_nobody_else(
    engine_tenancy: Tenancy, make_tenant: Callable[..., UUID]
) -> None:
    lost_one, other = make_tenant(), make_tenant()
    for tenant in (lost_one, other):
        endpoint(engine_tenancy, tenant, "*")
        tell(engine_tenancy, tenant)
    engine_tenancy.platform.fetch("DELETE FROM tenant_keys WHERE tenant_id = %(id)s", {"id": lost_one})
    engine_tenancy.directory.forget(lost_one)
    relay_all(engine_tenancy)
    assert len(jobs(engine_tenancy, other, "webhook.deliver")) == 1
    assert jobs(engine_tenancy, lost_one, "webhook.deliver") == []
    waits = engine_tenancy.platform.fetch(
        "DELETE FROM events WHERE tenant_id = %(id)s RETURNING relay_at > now() AS later", {"id": lost_one}
    )
    assert [row["later"] for row in waits] == [True]


def test_a_tenants_endpoints_do_not_count_for_another(
    engine_tenancy: Tenancy, make_tenant: Callable[..., UUID]
) -> None:
    full, other = make_tenant(), make_tenant()
    for _ in range(endpoints.MOST):
        endpoint(engine_tenancy, full, enabled=False)
    with pytest.raises(Conflict):
        endpoint(engine_tenancy, full)
    endpoint(engine_tenancy, other)


def test_events_are_read_within_their_tenant_only(engine_tenancy: Tenancy, make_tenant: Callable[..., UUID]) -> None:
    mine, other = make_tenant(), make_tenant()
    event_id = tell(engine_tenancy, mine)
    assert events.get(engine_tenancy, mine, event_id).id == event_id
    with pytest.raises(NotFound):
        events.get(engine_tenancy, other, event_id)
    assert listed(engine_tenancy, other) == []


def test_events_end_after_their_retention_and_take_their_deliveries_along(
    engine_tenancy: Tenancy, pooled_tenant: UUID
) -> None:
    endpoint(engine_tenancy, pooled_tenant, "*")
    kept = tell(engine_tenancy, pooled_tenant)
    old = tell(engine_tenancy, pooled_tenant)
    relay_all(engine_tenancy)
    aged = UUID(int=old.int - (31 * 86_400_000 << 80))
    parameters = {"old": old, "aged": aged}
    engine_tenancy.platform.fetch("DELETE FROM webhook_deliveries WHERE event_id = %(old)s", parameters)
    engine_tenancy.platform.fetch("UPDATE events SET id = %(aged)s WHERE id = %(old)s", parameters)
    assert expire(engine_tenancy) == 1
    assert [event.id for event in listed(engine_tenancy, pooled_tenant)] == [kept]


# --- the end of jobs


def end(tenancy: Tenancy, tenant: UUID, how: str = "succeeded", result: Any = None, **options: Any) -> UUID:
    """Submit a ping and end it as the engine does; returns its id."""
    who = system("test", tenant)
    job_id = submit(tenancy, NewJob(kind="system.ping", payload={}, principal=who, **options)).id
    if how == "cancelled":
        cancel(tenancy, tenant, job_id)
        return job_id
    context, _ = claim_context(tenancy, job_id, who)
    vault = tenancy.vault(tenant)
    outcome = {
        "succeeded": lambda: succeeded(job_id, context.token, "system.ping", result, vault),
        "failed": lambda: lost(job_id, context.token, "system.ping", 5, 5, vault, 0.5),
        "retrying": lambda: Outcome(job_id, context.token, "system.ping", JobState.RETRYING, delay=60.0),
    }[how]()
    assert record(tenancy.platform, [outcome]) == {job_id}
    return job_id


def test_a_tenant_without_an_endpoint_pays_no_write_for_the_end_of_a_job(
    engine_tenancy: Tenancy, make_tenant: Callable[..., UUID]
) -> None:
    silent, other = make_tenant(), make_tenant()
    endpoint(engine_tenancy, other, "*")
    endpoint(engine_tenancy, silent, "notification.*", "tenant.provisioned")
    endpoint(engine_tenancy, silent, "*", enabled=False)
    for how in ("succeeded", "failed", "cancelled"):
        end(engine_tenancy, silent, how)
    assert engine_tenancy.platform.fetch("SELECT 1 FROM events WHERE tenant_id = %(id)s", {"id": silent}) == []


@pytest.mark.parametrize("how", ["succeeded", "failed", "cancelled"])
@pytest.mark.parametrize("chosen", ["*", "job.*", "exact"])
def test_the_end_of_a_job_is_told_to_an_endpoint_that_wants_it(
    engine_tenancy: Tenancy, pooled_tenant: UUID, how: str, chosen: str
) -> None:
    endpoint(engine_tenancy, pooled_tenant, f"job.{how}" if chosen == "exact" else chosen)
    job_id = end(engine_tenancy, pooled_tenant, how, {"answer": 42})
    relay_all(engine_tenancy)
    [event] = listed(engine_tenancy, pooled_tenant)
    assert event.type == f"job.{how}"
    assert (event.data["job"]["id"], event.data["job"]["state"]) == (str(job_id), how)
    assert event.data["job"]["result"] == ({"answer": 42} if how == "succeeded" else None)
    assert (event.data["job"]["error"] or {}).get("code") == ("worker_lost" if how == "failed" else None)
    assert len(jobs(engine_tenancy, pooled_tenant, "webhook.deliver")) == 1


def test_a_job_that_is_tried_again_has_not_ended(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    endpoint(engine_tenancy, pooled_tenant, "*")
    end(engine_tenancy, pooled_tenant, "retrying")
    relay_all(engine_tenancy)
    assert listed(engine_tenancy, pooled_tenant) == []


def test_the_endpoint_that_a_job_names_hears_of_its_end_and_of_no_others(
    engine_tenancy: Tenancy, pooled_tenant: UUID
) -> None:
    named = endpoint(engine_tenancy, pooled_tenant)
    endpoint(engine_tenancy, pooled_tenant, "notification.*")
    end(engine_tenancy, pooled_tenant)
    job_id = end(engine_tenancy, pooled_tenant, webhook_endpoint_id=named)
    relay_all(engine_tenancy)
    rows = engine_tenancy.platform.fetch(
        "SELECT d.endpoint_id, e.job_id FROM webhook_deliveries d JOIN events e ON e.id = d.event_id"
        " WHERE d.tenant_id = %(tenant)s", {"tenant": pooled_tenant},
    )  # fmt: skip
    assert rows == [{"endpoint_id": named, "job_id": job_id}]


def test_another_tenants_endpoint_gets_nothing_even_if_a_job_names_it(
    engine_tenancy: Tenancy, make_tenant: Callable[..., UUID]
) -> None:
    mine, other = make_tenant(), make_tenant()
    foreign = endpoint(engine_tenancy, other, "*")
    end(engine_tenancy, mine, webhook_endpoint_id=foreign)
    relay_all(engine_tenancy)
    assert jobs(engine_tenancy, mine, "webhook.deliver") == jobs(engine_tenancy, other, "webhook.deliver") == []


def test_a_delivery_causes_no_event_of_its_own(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    endpoint(engine_tenancy, pooled_tenant, "*")
    tell(engine_tenancy, pooled_tenant)
    relay_all(engine_tenancy)
    [job_id] = jobs(engine_tenancy, pooled_tenant, "webhook.deliver")
    cancel(engine_tenancy, pooled_tenant, job_id)
    relay_all(engine_tenancy)
    assert len(listed(engine_tenancy, pooled_tenant)) == 1


def test_a_large_result_stays_with_the_job(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    endpoint(engine_tenancy, pooled_tenant, "*")
    end(engine_tenancy, pooled_tenant, result={"text": "x" * RESULT_LIMIT})
    relay_all(engine_tenancy)
    [event] = listed(engine_tenancy, pooled_tenant)
    assert (event.data["job"]["result"], event.data["result_omitted"]) == (None, True)


def test_ids_that_the_database_makes_are_in_line_with_ours(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    endpoint(engine_tenancy, pooled_tenant, "*")
    before = new_id()
    end(engine_tenancy, pooled_tenant)
    relay_all(engine_tenancy)
    [event] = listed(engine_tenancy, pooled_tenant)
    assert (event.id.version, event.id.variant) == (7, before.variant)
    assert before.int >> 80 <= event.id.int >> 80 <= new_id().int >> 80
