"""A tenant billing its own customers: plans, customers, subscriptions, and the invoices that billing makes of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.identity.principals import system
from domain.ids import new_id
from jobs.submit import NewJob, submit
from models.tenant import Invoice
from tenancy.access import Tenancy
from tenancy.scopes import tenant_scope
from tests.integration.web.callers import Caller
from tests.integration.web.engine import all_of, code_of, pointers_of, program, run

PLANS = "/api/v1/merchant/plans"
CUSTOMERS = "/api/v1/merchant/customers"
SUBSCRIPTIONS = "/api/v1/merchant/subscriptions"
INVOICES = "/api/v1/merchant/invoices"
PLAN = {"code": "team", "name": "Team", "amount": 2900, "currency": "eur", "interval": "month"}
CUSTOMER = {"name": "Ada Lovelace", "email": "ada@example.com", "timezone": "Europe/Berlin"}
LISTS = (PLANS, CUSTOMERS, SUBSCRIPTIONS, INVOICES)


def created(caller: Caller, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """What was created."""
    response = caller.post(path, json=body)
    assert response.status_code == 201, response.json
    made: dict[str, Any] = response.json
    return made


def subscribe(caller: Caller, anchor_at: str | None = None, **plan: Any) -> dict[str, Any]:
    """A subscription of a new customer to a new plan."""
    plan_id = created(caller, PLANS, {**PLAN, "code": f"p-{new_id().hex}", **plan})["id"]
    customer_id = created(caller, CUSTOMERS, CUSTOMER)["id"]
    return created(caller, SUBSCRIPTIONS, {"customer_id": customer_id, "plan_id": plan_id, "anchor_at": anchor_at})


def ago(**duration: float) -> str:
    """A moment in the past."""
    return (datetime.now(UTC) - timedelta(**duration)).isoformat()


def due_at(engine: Tenancy, caller: Caller) -> datetime | None:
    """When the platform looks for the tenant's next due period."""
    rows = engine.platform.fetch("SELECT billing_due_at FROM tenants WHERE id = %(id)s", {"id": caller.tenant_id})
    due: datetime | None = rows[0]["billing_due_at"]
    return due


def bill(caller: Caller, engine: Tenancy) -> None:
    """Run a billing cycle until now."""
    payload = {"until": datetime.now(UTC).isoformat()}
    job = submit(engine, NewJob(kind="billing.cycle", payload=payload, principal=system("beat", caller.tenant_id)))
    run(engine, caller.tenant_id, job.id)


def test_a_plan_is_created_and_listed(caller: Caller) -> None:
    plan = created(caller, PLANS, PLAN)
    assert (plan["amount"], plan["currency"], plan["interval_count"]) == (2900, "EUR", 1)
    assert caller.get(PLANS).json == {"items": [plan], "next_cursor": None}


def test_a_plans_code_is_taken_once_in_a_tenant(caller: Caller, stranger: Caller) -> None:
    created(caller, PLANS, PLAN)
    refused = caller.post(PLANS, json={**PLAN, "amount": 1})
    assert code_of(refused) == (409, "conflict")
    assert pointers_of(refused) == ["/code"]
    assert [plan["amount"] for plan in all_of(caller, PLANS)] == [2900]
    created(stranger, PLANS, PLAN)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"amount": -1}, "/amount"),
        ({"amount": 29.5}, "/amount"),
        ({"amount": "2900"}, "/amount"),
        ({"amount": True}, "/amount"),
        ({"amount": 10**13}, "/amount"),
        ({"currency": "euro"}, "/currency"),
        ({"interval": "fortnight"}, "/interval"),
        ({"interval_count": 0}, "/interval_count"),
        ({"code": "Team Plan"}, "/code"),
        ({"name": "a\0b"}, "/name"),
        ({"trial": 14}, "/trial"),
    ],
)
def test_a_bad_plan_is_refused_and_nothing_changes(caller: Caller, change: dict[str, Any], pointer: str) -> None:
    refused = caller.post(PLANS, json={**PLAN, **change})
    assert code_of(refused) == (422, "invalid_payload")
    assert pointers_of(refused) == [pointer]
    assert all_of(caller, PLANS) == []


@pytest.mark.parametrize("zone", ["Mars/Olympus", "America", "../../etc/passwd", "/etc/localtime"])
def test_a_customer_lives_in_a_real_time_zone(caller: Caller, zone: str) -> None:
    refused = caller.post(CUSTOMERS, json={**CUSTOMER, "timezone": zone})
    assert code_of(refused) == (422, "invalid_payload")
    assert pointers_of(refused) == ["/timezone"]
    assert all_of(caller, CUSTOMERS) == []


def test_a_subscription_is_due_at_the_end_of_its_first_period(caller: Caller, engine_tenancy: Tenancy) -> None:
    anchor = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)
    subscription = subscribe(caller, anchor.isoformat(), interval="week")
    assert subscription["anchor_at"] == anchor.isoformat().replace("+00:00", "Z")
    assert subscription["state"] == "active"
    assert subscription["periods_billed"] == 0
    due = due_at(engine_tenancy, caller)
    assert due is not None
    assert subscription["next_cycle_at"] == due.astimezone(UTC).isoformat().replace("+00:00", "Z")
    assert abs(due - anchor - timedelta(days=7)) <= timedelta(hours=1), "a week, but for a change of summer time"


def test_a_later_subscription_does_not_put_off_an_earlier_one(caller: Caller, engine_tenancy: Tenancy) -> None:
    subscribe(caller, interval="day")
    first = due_at(engine_tenancy, caller)
    subscribe(caller, interval="year")
    assert due_at(engine_tenancy, caller) == first
    subscribe(caller, ago(days=40))
    assert due_at(engine_tenancy, caller) < first


def test_a_backdated_subscription_is_billed_for_each_period_since(caller: Caller, engine_tenancy: Tenancy) -> None:
    subscription = subscribe(caller, ago(days=3, hours=2), interval="day", amount=500)
    bill(caller, engine_tenancy)
    invoices = all_of(caller, INVOICES, sort="created_at")
    assert [invoice["number"] for invoice in invoices] == [1, 2, 3]
    assert [invoice["total"] for invoice in invoices] == [500, 500, 500]
    assert invoices[0]["period_start"] == subscription["anchor_at"]
    assert invoices[0]["period_end"] == invoices[1]["period_start"]
    assert caller.get(SUBSCRIPTIONS).json["items"][0]["periods_billed"] == 3


def test_an_invoice_shows_its_lines_and_what_can_be_done(caller: Caller, engine_tenancy: Tenancy) -> None:
    subscribe(caller, ago(days=1, hours=2), interval="day")
    bill(caller, engine_tenancy)
    listed = caller.get(INVOICES).json["items"][0]
    assert "lines" not in listed
    invoice = caller.get(f"{INVOICES}/{listed['id']}").json
    assert listed.items() <= invoice.items()
    assert (invoice["state"], invoice["available_actions"]) == (
        "open",
        ["pay", "void", "mark_uncollectible", "credit"],
    )
    assert [(line["amount"], line["quantity"], line["unit_amount"]) for line in invoice["lines"]] == [
        (2900, "1", "2900")
    ]
    assert sum(line["amount"] for line in invoice["lines"]) == invoice["total"]
    with engine_tenancy.session(caller.tenant_id) as session:
        session.query(Invoice).update({"state": "paid"})
    assert caller.get(f"{INVOICES}/{listed['id']}").json["available_actions"] == ["credit"]


def test_lists_are_filtered(caller: Caller, engine_tenancy: Tenancy) -> None:
    first, second = (subscribe(caller, ago(days=1, hours=2), interval="day") for _ in range(2))
    bill(caller, engine_tenancy)
    mine = all_of(caller, INVOICES, subscription_id=first["id"])
    assert [invoice["subscription_id"] for invoice in mine] == [first["id"]]
    assert all_of(caller, INVOICES, customer_id=second["customer_id"])[0]["subscription_id"] == second["id"]
    assert all_of(caller, INVOICES, state="paid") == []
    assert [found["id"] for found in all_of(caller, SUBSCRIPTIONS, customer_id=first["customer_id"])] == [first["id"]]
    assert code_of(caller.get(INVOICES, query_string={"state": "lost"})) == (422, "invalid_payload")
    assert code_of(caller.get(INVOICES, query_string={"customer_id": "x"})) == (422, "invalid_payload")


def test_a_list_goes_on_while_others_are_added(caller: Caller) -> None:
    made = [created(caller, CUSTOMERS, CUSTOMER)["id"] for _ in range(5)]
    first = caller.get(CUSTOMERS, query_string={"limit": "2"}).json
    created(caller, CUSTOMERS, CUSTOMER)
    second = caller.get(CUSTOMERS, query_string={"limit": "3", "cursor": first["next_cursor"]})
    assert [item["id"] for item in first["items"] + second.json["items"]] == made[::-1]
    foreign = caller.get(PLANS, query_string={"cursor": first["next_cursor"]})
    assert code_of(foreign) == (422, "invalid_cursor")


@pytest.mark.parametrize(
    "anchor",
    ["1990-01-01T00:00:00Z", "2200-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "2026-01-01T00:00:00", "soon"],
)
def test_an_anchor_out_of_reach_is_refused(caller: Caller, engine_tenancy: Tenancy, anchor: str) -> None:
    plan_id = created(caller, PLANS, PLAN)["id"]
    customer_id = created(caller, CUSTOMERS, CUSTOMER)["id"]
    body = {"customer_id": customer_id, "plan_id": plan_id, "anchor_at": anchor}
    refused = caller.post(SUBSCRIPTIONS, json=body)
    assert code_of(refused) == (422, "invalid_payload")
    assert pointers_of(refused) == ["/anchor_at"]
    assert all_of(caller, SUBSCRIPTIONS) == []
    assert due_at(engine_tenancy, caller) is None


@pytest.mark.parametrize("path", [PLANS, CUSTOMERS])
def test_the_same_idempotency_key_creates_once(caller: Caller, path: str) -> None:
    body, key = (PLAN if path == PLANS else CUSTOMER), {"Idempotency-Key": "k"}
    first = caller.post(path, json=body, headers=key)
    again = caller.post(path, json=body, headers=key)
    assert (again.status_code, again.json) == (201, first.json)
    assert len(all_of(caller, path)) == 1
    other = caller.post(path, json={**body, "name": "Other"}, headers=key)
    assert code_of(other) == (422, "idempotency_mismatch")


def test_a_subscription_that_is_repeated_after_a_crash_is_the_same_one(caller: Caller, web_tenancy: Tenancy) -> None:
    plan_id = created(caller, PLANS, PLAN)["id"]
    customer_id = created(caller, CUSTOMERS, CUSTOMER)["id"]
    body, key = {"customer_id": customer_id, "plan_id": plan_id}, {"Idempotency-Key": "k"}
    first = caller.post(SUBSCRIPTIONS, json=body, headers=key).json
    # As a process leaves it that dies between its effect and its answer, a while ago.
    web_tenancy.platform.fetch(
        "UPDATE idempotent_requests SET status = NULL, body_sealed = NULL, created_at = now() - interval '1 hour'",
        {},
        tenant_scope(caller.tenant_id),
    )
    again = caller.post(SUBSCRIPTIONS, json=body, headers=key)
    assert (again.status_code, again.json) == (201, first)
    assert len(all_of(caller, SUBSCRIPTIONS)) == 1


def test_a_customer_or_plan_of_another_tenant_cannot_be_subscribed(caller: Caller, stranger: Caller) -> None:
    plan_id = created(caller, PLANS, PLAN)["id"]
    customer_id = created(caller, CUSTOMERS, CUSTOMER)["id"]
    their_plan = created(stranger, PLANS, PLAN)["id"]
    their_customer = created(stranger, CUSTOMERS, CUSTOMER)["id"]
    for body, pointer in (
        ({"customer_id": their_customer, "plan_id": plan_id}, "/customer_id"),
        ({"customer_id": customer_id, "plan_id": their_plan}, "/plan_id"),
    ):
        refused = caller.post(SUBSCRIPTIONS, json=body)
        assert code_of(refused) == (404, "not_found")
        assert pointers_of(refused) == [pointer]
    assert all_of(caller, SUBSCRIPTIONS) == []


def test_another_tenants_things_are_not_seen(caller: Caller, stranger: Caller, engine_tenancy: Tenancy) -> None:
    subscribe(caller, ago(days=1, hours=2), interval="day")
    bill(caller, engine_tenancy)
    invoice_id = caller.get(INVOICES).json["items"][0]["id"]
    assert code_of(stranger.get(f"{INVOICES}/{invoice_id}")) == (404, "not_found")
    assert [all_of(stranger, path) for path in LISTS] == [[], [], [], []]
    assert all(all_of(caller, path) for path in LISTS)


def test_a_viewer_reads_and_creates_nothing(caller: Caller, web_tenancy: Tenancy) -> None:
    viewer = program(caller, web_tenancy, "plan:read", "customer:read", "subscription:read", "invoice:read")
    assert [viewer.get(path).status_code for path in LISTS] == [200, 200, 200, 200]
    for path, body in ((PLANS, PLAN), (CUSTOMERS, CUSTOMER), (SUBSCRIPTIONS, {})):
        assert code_of(viewer.post(path, json=body)) == (403, "permission_denied")
    writer = program(caller, web_tenancy, "plan:create")
    assert [code_of(writer.get(path)) for path in LISTS] == [(403, "permission_denied")] * 4
