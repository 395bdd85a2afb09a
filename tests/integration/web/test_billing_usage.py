"""What a tenant uses of the platform: metered in its own database, billed in the operator's, each thing once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from domain.ids import new_id
from models.tenant import Charge, Customer, Meter, MeteredUsage, Plan, Subscription, UsageEvent
from models.tenant.metering import meter
from tasks.billing import relaying
from tenancy.access import Tenancy
from tests.integration.web.books import BILLING, collect, operate, subscribe
from tests.integration.web.callers import Caller
from tests.integration.web.engine import all_of, code_of, run_queued

MESSAGE = {"to": "ada@example.com", "subject": "Your invoice", "text": "It is ready."}
QUESTION = {"messages": [{"role": "user", "content": "Say hello."}]}


def events_of(engine: Tenancy, operator_tenant: UUID, customer_id: str) -> list[UsageEvent]:
    with engine.session(operator_tenant) as session:
        mine = select(UsageEvent).where(UsageEvent.customer_id == UUID(customer_id)).order_by(UsageEvent.id)
        return list(session.scalars(mine))


def metered(engine: Tenancy, tenant_id: UUID) -> list[MeteredUsage]:
    with engine.session(tenant_id) as session:
        return list(session.scalars(select(MeteredUsage).order_by(MeteredUsage.id)))


def price(engine: Tenancy, operator_tenant: UUID, plan_id: UUID, code: str, **fields: Any) -> None:
    """Have the plan charge a cent for each unit of a meter, which is made if it is not there."""
    with engine.session(operator_tenant) as session:
        found = session.scalar(select(Meter).where(Meter.code == code))
        if found is None:
            found = Meter(
                tenant_id=operator_tenant, id=new_id(), code=code, name=code, **{"aggregation": "count", **fields}
            )
            session.add(found)
            session.flush()
        session.add(Charge(tenant_id=operator_tenant, id=new_id(), plan_id=plan_id, meter_id=found.id, name=code,
                           model="standard", terms={"unit_amount": "1"}))  # fmt: skip


@pytest.fixture
def used(caller: Caller, plan: Callable[..., UUID], engine_tenancy: Tenancy) -> dict[str, Any]:
    """A subscribed tenant that has sent two messages and asked for a completion."""
    subscription = subscribe(caller, plan())
    for number in range(2):
        assert caller.post("/api/v1/notifications/send", json={**MESSAGE, "subject": str(number)}).status_code == 202
    assert caller.post("/api/v1/llm/completions", json=QUESTION).status_code == 202
    run_queued(engine_tenancy, caller.tenant_id, "notification.deliver", "completion.create")
    made: dict[str, Any] = subscription
    return made


def test_what_was_sent_and_answered_is_billed_once_and_names_its_source(
    caller: Caller, used: dict[str, Any], operator_tenant: UUID, engine_tenancy: Tenancy
) -> None:
    assert collect(engine_tenancy, operator_tenant, caller.tenant_id) == {"read": 3, "events": 3}
    assert collect(engine_tenancy, operator_tenant, caller.tenant_id) == {"read": 0, "events": 0}

    found = events_of(engine_tenancy, operator_tenant, used["customer_id"])
    sources = {(each.code, each.source_type): each.source_id for each in found if each.code != "jobs"}
    messages = {item["id"] for item in all_of(caller, "/api/v1/notifications/history")}
    (call,) = caller.get("/api/v1/llm/calls").json["items"]
    assert {each.source_id for each in found if each.code == "messages"} == messages
    assert sources["completions", "llm_call"] == call["id"]
    assert [each.code for each in found if each.code in {"messages", "completions"}].count("messages") == 2
    told = next(each for each in found if each.code == "completions").properties
    assert (told["job_id"], told["output_tokens"]) == (call["job_id"], call["output_tokens"])
    assert all(row.relayed_at is not None for row in metered(engine_tenancy, caller.tenant_id))


def test_a_message_that_nobody_took_is_not_billed(
    caller: Caller, plan: Callable[..., UUID], operator_tenant: UUID, engine_tenancy: Tenancy
) -> None:
    subscription = subscribe(caller, plan())
    suppressed = {"address": MESSAGE["to"], "channel": "email", "reason": "manual"}
    assert caller.post("/api/v1/notifications/suppressions", json=suppressed).status_code in {200, 201}
    caller.post("/api/v1/notifications/send", json=MESSAGE)
    run_queued(engine_tenancy, caller.tenant_id, "notification.deliver")
    collect(engine_tenancy, operator_tenant, caller.tenant_id)
    codes = {each.code for each in events_of(engine_tenancy, operator_tenant, subscription["customer_id"])}
    assert codes == {"jobs", "storage"}, "the job is counted, the message was never sent"


def test_a_relay_that_is_killed_between_the_two_databases_loses_and_doubles_nothing(
    caller: Caller,
    used: dict[str, Any],
    operator_tenant: UUID,
    engine_tenancy: Tenancy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(relaying, "PAGE", 2)
    with monkeypatch.context() as patched:
        patched.setattr(relaying, "_mark", die)
        with pytest.raises(Killed):
            operate(engine_tenancy, operator_tenant, "usage.relay", {"tenant_id": str(caller.tenant_id)})
    assert [row.relayed_at for row in metered(engine_tenancy, caller.tenant_id)] == [None, None, None]

    assert collect(engine_tenancy, operator_tenant, caller.tenant_id) == {"read": 3, "events": 1}

    found = events_of(engine_tenancy, operator_tenant, used["customer_id"])
    assert sorted(each.code for each in found if each.source_type != "job" and each.code != "storage") == [
        "completions", "messages", "messages",
    ]  # fmt: skip


def test_a_row_whose_transaction_was_slow_is_passed_on_later(
    caller: Caller, used: dict[str, Any], operator_tenant: UUID, engine_tenancy: Tenancy
) -> None:
    """Its id and its time are older than those of rows that were passed on."""
    collect(engine_tenancy, operator_tenant, caller.tenant_id)
    with engine_tenancy.session(caller.tenant_id) as session:
        slow = MeteredUsage(tenant_id=caller.tenant_id, id=UUID(int=1), code="search", quantity=1, source_kind="search",
                            source_id=new_id())  # fmt: skip
        session.add(slow)
    assert collect(engine_tenancy, operator_tenant, caller.tenant_id) == {"read": 1, "events": 1}


def test_what_was_used_before_there_was_a_customer_is_not_passed_on(
    caller: Caller, used: dict[str, Any], operator_tenant: UUID, engine_tenancy: Tenancy
) -> None:
    with engine_tenancy.session(caller.tenant_id) as session:
        session.execute(update(MeteredUsage).values(occurred_at=datetime.now(UTC) - timedelta(days=1)))
    assert collect(engine_tenancy, operator_tenant, caller.tenant_id) == {"read": 3, "events": 0}
    assert used["customer_id"]


def test_a_meter_of_a_property_or_of_a_channel_counts_that(
    caller: Caller, plan: Callable[..., UUID], operator_tenant: UUID, engine_tenancy: Tenancy
) -> None:
    priced = plan()
    price(engine_tenancy, operator_tenant, priced, "messages.email")
    subscription = subscribe(caller, priced)
    with engine_tenancy.session(caller.tenant_id) as session:
        meter(session, caller.tenant_id, "message.email", "message", [new_id(), new_id()])
        meter(session, caller.tenant_id, "message.sms", "message", [new_id()], parts=3)
    collect(engine_tenancy, operator_tenant, caller.tenant_id)
    found = events_of(engine_tenancy, operator_tenant, subscription["customer_id"])
    counts = {code: sum(each.code == code for each in found) for code in ("messages", "messages.email", "messages.sms")}
    assert counts == {"messages": 3, "messages.email": 2, "messages.sms": 0}
    assert {each.properties.get("parts") for each in found if each.code == "messages"} == {None, 3}


def test_a_line_of_the_invoice_opens_to_what_it_bills(
    caller: Caller, stranger: Caller, plan: Callable[..., UUID], operator_tenant: UUID, engine_tenancy: Tenancy
) -> None:
    priced = plan()
    price(engine_tenancy, operator_tenant, priced, "messages")
    subscription = subscribe(caller, priced)
    assert caller.post("/api/v1/notifications/send", json=MESSAGE).status_code == 202
    run_queued(engine_tenancy, caller.tenant_id, "notification.deliver")
    collect(engine_tenancy, operator_tenant, caller.tenant_id)
    with engine_tenancy.session(operator_tenant) as session:  # as if it had begun a month ago
        month = timedelta(days=40)
        mine = Subscription.id == UUID(subscription["id"])
        session.execute(update(Subscription).where(mine).values(
            anchor_at=Subscription.anchor_at - month, next_cycle_at=Subscription.next_cycle_at - month,
        ))  # fmt: skip
        session.execute(update(UsageEvent).where(UsageEvent.customer_id == UUID(subscription["customer_id"])).values(
            timestamp=UsageEvent.timestamp - month + timedelta(days=1)
        ))  # fmt: skip
    operate(engine_tenancy, operator_tenant, "billing.cycle", {"until": datetime.now(UTC).isoformat()})

    (invoice,) = all_of(caller, f"{BILLING}/invoices")
    whole = caller.get(f"{BILLING}/invoices/{invoice['id']}").json
    line = next(each for each in whole["lines"] if each["description"].startswith("messages"))
    path = f"{BILLING}/invoices/{invoice['id']}/lines/{line['id']}/events"
    (event,) = all_of(caller, path)
    (message,) = all_of(caller, "/api/v1/notifications/history")
    assert (event["source_type"], event["source_id"]) == ("message", message["id"])
    subscribe(stranger, priced)
    assert code_of(stranger.get(path)) == (404, "not_found")
    other = next(each for each in whole["lines"] if each["kind"] == "fee")
    assert code_of(caller.get(path.replace(line["id"], str(new_id())))) == (404, "not_found")
    assert caller.get(path.replace(line["id"], other["id"])).json["items"] == []


def test_a_collecting_run_asks_for_the_relay_of_tenants_in_which_jobs_have_ended(
    caller: Caller, stranger: Caller, plan: Callable[..., UUID], operator_tenant: UUID, engine_tenancy: Tenancy
) -> None:
    """And of each once a day, which the first run is."""
    sold = plan()
    subscribe(caller, sold)
    subscribe(stranger, sold)
    operate(engine_tenancy, operator_tenant, "usage.collect", {})
    _finish_relays(engine_tenancy, operator_tenant, caller, stranger)
    with engine_tenancy.session(operator_tenant) as session:
        assert session.scalar(select(Customer).where(Customer.external_id == str(stranger.tenant_id)))
        assert session.scalar(select(Plan).where(Plan.id == sold))
    operate(engine_tenancy, operator_tenant, "usage.collect", {})
    assert _relays(engine_tenancy, operator_tenant, caller, stranger) == set()
    assert caller.post("/api/v1/jobs", json={"kind": "system.ping"}).status_code == 202
    run_queued(engine_tenancy, caller.tenant_id, "system.ping")
    operate(engine_tenancy, operator_tenant, "usage.collect", {})
    assert _relays(engine_tenancy, operator_tenant, caller, stranger) == {f"relay:{caller.tenant_id}"}


def _relays(engine: Tenancy, operator_tenant: UUID, *callers: Caller) -> set[str]:
    rows = engine.platform.fetch(
        "SELECT unique_key FROM jobs WHERE tenant_id = %(id)s AND kind = 'usage.relay' AND state = 'queued'"
        " AND unique_key = ANY(%(keys)s)",
        {"id": operator_tenant, "keys": [f"relay:{each.tenant_id}" for each in callers]},
    )
    return {row["unique_key"] for row in rows}


def _finish_relays(engine: Tenancy, operator_tenant: UUID, *callers: Caller) -> None:
    assert _relays(engine, operator_tenant, *callers) == {f"relay:{each.tenant_id}" for each in callers}
    run_queued(engine, operator_tenant, "usage.relay")
