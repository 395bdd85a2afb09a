"""Usage, changes, invoices by hand, credits and payment methods over HTTP, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.identity.principals import system
from domain.ids import new_id
from jobs.submit import NewJob, submit
from tenancy.access import Tenancy
from tests.integration.web.callers import Caller
from tests.integration.web.engine import all_of, code_of, pointers_of, program, run, run_queued

API = "/api/v1/merchant"
CHARGE = {"meter": "calls", "model": "standard", "terms": {"unit_amount": "0.5"}}


def made(caller: Caller, path: str, body: Any, expect: int = 201) -> Any:
    response = caller.post(f"{API}/{path}", json=body)
    assert response.status_code == expect, response.json
    return response.json


def metered(caller: Caller, **plan: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A plan with a charge for calls, and a customer."""
    if not all_of(caller, f"{API}/meters"):
        made(caller, "meters", {"code": "calls", "name": "Calls", "aggregation": "sum", "property": "n"})
    body = {"code": f"p-{new_id().hex}", "name": "Team", "amount": 1000, "currency": "EUR", "interval": "day",
            "charges": [CHARGE], **plan}  # fmt: skip
    return made(caller, "plans", body), made(caller, "customers", {"name": "Ada", "email": "ada@example.com"})


def subscribed(caller: Caller, days: float = 0, **plan: Any) -> dict[str, Any]:
    sold, customer = metered(caller, **plan)
    anchor = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    body = {"customer_id": customer["id"], "plan_id": sold["id"], "anchor_at": anchor}
    found: dict[str, Any] = made(caller, "subscriptions", body)
    return found


def event(customer_id: str, n: Any = 3, **fields: Any) -> dict[str, Any]:
    return {
        "transaction_id": new_id().hex,
        "customer_id": customer_id,
        "code": "calls",
        "properties": {"n": n},
        **fields,
    }


def bill(caller: Caller, engine: Tenancy) -> None:
    payload = {"until": datetime.now(UTC).isoformat()}
    job = submit(engine, NewJob(kind="billing.cycle", payload=payload, principal=system("beat", caller.tenant_id)))
    run(engine, caller.tenant_id, job.id)
    run_queued(engine, caller.tenant_id, "payment.collect", "payment.refund")


def drafted(caller: Caller, amount: str = "500") -> dict[str, Any]:
    customer = made(caller, "customers", {"name": "Ada", "email": "ada@example.com"})
    lines = [{"description": "Workshop", "unit_amount": amount}]
    found: dict[str, Any] = made(caller, "invoices", {"customer_id": customer["id"], "currency": "eur", "lines": lines})
    return found


# --- from usage to an invoice that opens to what it bills


def test_an_invoice_line_opens_to_the_usage_that_it_bills(caller: Caller, engine_tenancy: Tenancy) -> None:
    subscription = subscribed(caller, days=1.1)
    who = subscription["customer_id"]
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    events = [event(who, "2.5", timestamp=yesterday), event(who, 4, timestamp=yesterday), event(who, 100)]
    assert made(caller, "usage-events", {"events": events}, 200) == {"created": 3, "duplicates": 0}
    assert made(caller, "usage-events", {"events": events}, 200) == {"created": 0, "duplicates": 3}
    bill(caller, engine_tenancy)
    (invoice,) = all_of(caller, f"{API}/invoices")
    whole = caller.get(f"{API}/invoices/{invoice['id']}").json
    assert [(line["kind"], line["quantity"], line["amount"]) for line in whole["lines"]] == [
        ("fee", "1", 1000), ("usage", "6.5", 3),
    ]  # fmt: skip
    line = whole["lines"][1]
    opened = all_of(caller, f"{API}/invoices/{invoice['id']}/lines/{line['id']}/events")
    assert {each["transaction_id"] for each in opened} == {each["transaction_id"] for each in events[:2]}
    preview = caller.get(f"{API}/subscriptions/{subscription['id']}/preview").json
    assert (preview["total"], [line["amount"] for line in preview["lines"]]) == (1050, [1000, 50])
    paper = caller.get(f"{API}/invoices/{invoice['id']}/pdf")
    assert paper.mimetype == "application/pdf"
    assert paper.data.startswith(b"%PDF-")


def test_an_invoice_that_is_issued_is_told_of_once(caller: Caller, engine_tenancy: Tenancy) -> None:
    subscribed(caller, days=1.1, charges=[])
    bill(caller, engine_tenancy)
    bill(caller, engine_tenancy)
    (told,) = all_of(caller, "/api/v1/events", type="invoice.finalised")
    assert told["data"]["number"] == 1


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"properties": {"n": -1}}, "properties/n"),
        ({"properties": {"n": 1.5}}, "properties/n"),
        ({"properties": {}}, "properties/n"),
        ({"code": "unknown"}, "code"),
        ({"customer_id": "00000000-0000-7000-8000-000000000000"}, "customer_id"),
        ({"timestamp": "2199-01-01T00:00:00Z"}, "timestamp"),
        ({"timestamp": "2020-01-01T00:00:00Z"}, "timestamp"),
        ({"transaction_id": "a b"}, "transaction_id"),
    ],
)
def test_one_bad_event_refuses_all_and_says_which(caller: Caller, change: dict[str, Any], pointer: str) -> None:
    who = subscribed(caller, days=5)["customer_id"]
    body = {"events": [event(who), {**event(who), **change}]}
    refused = caller.post(f"{API}/usage-events", json=body)
    assert code_of(refused) == (422, "invalid_payload")
    assert pointers_of(refused) == [f"/events/1/{pointer}"]
    assert all_of(caller, f"{API}/usage-events") == []


# --- subscriptions


def test_a_plan_of_another_currency_or_rhythm_is_no_upgrade(caller: Caller) -> None:
    subscription = subscribed(caller)
    for change in ({"currency": "USD"}, {"interval": "month"}, {"pay_in_advance": True}):
        other, _ = metered(caller, **change)
        refused = caller.post(f"{API}/subscriptions/{subscription['id']}/change-plan", json={"plan_id": other["id"]})
        assert code_of(refused) == (422, "invalid_payload")
        assert pointers_of(refused) == ["/plan_id"]
    assert caller.get(f"{API}/subscriptions/{subscription['id']}").json == subscription


def test_two_changes_in_a_second_are_the_last_of_them(caller: Caller, engine_tenancy: Tenancy) -> None:
    subscription = subscribed(caller, days=0.5, charges=[])
    for amount in (10**9, 2000):
        other, _ = metered(caller, amount=amount, charges=[])
        made(caller, f"subscriptions/{subscription['id']}/change-plan", {"plan_id": other["id"]}, 200)
    total = caller.get(f"{API}/subscriptions/{subscription['id']}/preview").json["total"]
    assert 1490 <= total <= 1510 or total < 10**9, "the plan in between cost nothing, or a few seconds"


def test_what_the_state_does_not_allow_is_refused(caller: Caller) -> None:
    path = f"{API}/subscriptions/{subscribed(caller)['id']}"
    assert code_of(caller.post(f"{path}/resume")) == (409, "illegal_transition")
    assert caller.post(f"{path}/pause").json["available_actions"] == ["resume", "cancel"]
    assert code_of(caller.post(f"{path}/pause")) == (409, "illegal_transition")
    assert caller.post(f"{path}/resume").json["state"] == "active"
    assert caller.post(f"{path}/cancel", json={}).json["available_actions"] == ["keep", "cancel"]
    assert caller.post(f"{path}/keep").json["cancel_at"] is None


def test_in_its_first_second_a_subscription_can_be_set_to_end_with_its_period(caller: Caller) -> None:
    for _ in range(3):
        subscription = subscribed(caller)
        ending = made(caller, f"subscriptions/{subscription['id']}/cancel", {"at": "period_end"}, 200)
        began, ends = (datetime.fromisoformat(ending[name]) for name in ("anchor_at", "cancel_at"))
        assert ends - began == timedelta(days=1)


def test_a_subscription_that_ends_now_gets_its_last_bill(caller: Caller, engine_tenancy: Tenancy) -> None:
    subscription = subscribed(caller, days=0.5, charges=[])
    caller.post(f"{API}/subscriptions/{subscription['id']}/cancel", json={"at": "now"})
    bill(caller, engine_tenancy)
    (invoice,) = all_of(caller, f"{API}/invoices")
    assert 499 <= invoice["total"] <= 501
    ended = caller.get(f"{API}/subscriptions/{subscription['id']}").json
    assert (ended["state"], ended["canceled_at"]) == ("canceled", ended["cancel_at"])


def test_a_trial_is_free_and_then_it_is_active(caller: Caller, engine_tenancy: Tenancy) -> None:
    trial = subscribed(caller, trial_days=14)
    assert trial["state"] == "trialing"
    assert trial["next_cycle_at"] == trial["anchor_at"]
    bill(caller, engine_tenancy)
    assert all_of(caller, f"{API}/invoices") == []
    over = subscribed(caller, days=14.5, trial_days=14)
    assert over["state"] == "active"


def test_paid_in_advance_it_waits_for_its_first_payment(caller: Caller, engine_tenancy: Tenancy) -> None:
    subscription = subscribed(caller, pay_in_advance=True, charges=[])
    assert subscription["state"] == "incomplete"
    bill(caller, engine_tenancy)
    (invoice,) = all_of(caller, f"{API}/invoices")
    assert (invoice["total"], invoice["state"]) == (1000, "open")
    path = f"customers/{subscription['customer_id']}/payment-methods"
    made(caller, path, {"provider_id": "pm_card_visa"}, 202)
    run_queued(engine_tenancy, caller.tenant_id, "payment_method.attach")
    bill(caller, engine_tenancy)
    assert caller.get(f"{API}/invoices/{invoice['id']}").json["state"] == "paid"
    assert caller.get(f"{API}/subscriptions/{subscription['id']}").json["state"] == "active"
    # Ended at once, what is left of the day goes back to the customer's balance.
    caller.post(f"{API}/subscriptions/{subscription['id']}/cancel", json={"at": "now"})
    bill(caller, engine_tenancy)
    customer = caller.get(f"{API}/customers/{subscription['customer_id']}").json
    assert customer["balances"][0]["amount"] in range(990, 1001)


def test_entitlements_and_quotas(caller: Caller) -> None:
    subscription = subscribed(caller, entitlements={"sso": True}, quotas={"calls": 5})
    made(caller, "usage-events", {"events": [event(subscription["customer_id"], 6)]}, 200)
    found = caller.get(f"{API}/customers/{subscription['customer_id']}/entitlements").json
    assert found == {
        "entitlements": {"sso": True}, "quotas": {"calls": {"limit": 5, "hard": False, "used": "6", "exceeded": True}},
    }  # fmt: skip


# --- invoices by hand, credits


def test_a_draft_has_no_number_until_it_is_final(caller: Caller, engine_tenancy: Tenancy) -> None:
    thrown = drafted(caller)
    assert (thrown["number"], thrown["available_actions"]) == (None, ["finalise", "delete"])
    assert caller.delete(f"{API}/invoices/{thrown['id']}").status_code == 204
    kept = drafted(caller)
    final = caller.post(f"{API}/invoices/{kept['id']}/finalise").json
    assert (final["number"], final["state"], final["total"]) == (1, "open", 500)
    assert code_of(caller.delete(f"{API}/invoices/{kept['id']}")) == (409, "illegal_transition")
    assert caller.post(f"{API}/invoices/{kept['id']}/void").json["state"] == "void"
    assert code_of(caller.post(f"{API}/invoices/{kept['id']}/pay")) == (409, "illegal_transition")


def test_a_credit_is_no_more_than_the_invoice_and_keeps_its_lines(caller: Caller, engine_tenancy: Tenancy) -> None:
    invoice = drafted(caller)
    caller.post(f"{API}/invoices/{invoice['id']}/finalise")
    body = {"invoice_id": invoice["id"], "amount": 501, "reason": "Outage"}
    refused = caller.post(f"{API}/credit-notes", json=body)
    assert (code_of(refused), pointers_of(refused)) == ((422, "invalid_payload"), ["/amount"])
    note = made(caller, "credit-notes", {**body, "amount": 200})
    assert (note["number"], note["kind"], note["state"]) == (1, "reduction", "done")
    made(caller, "credit-notes", {**body, "amount": 300})
    after = caller.get(f"{API}/invoices/{invoice['id']}").json
    assert (after["state"], after["total"], after["credited"]) == ("paid", 500, 500)


def test_a_refund_goes_back_where_the_money_came_from(caller: Caller, engine_tenancy: Tenancy) -> None:
    invoice = drafted(caller)
    made(caller, f"customers/{invoice['customer_id']}/payment-methods", {"provider_id": "pm_card_visa"}, 202)
    run_queued(engine_tenancy, caller.tenant_id, "payment_method.attach")
    caller.post(f"{API}/invoices/{invoice['id']}/finalise")
    bill(caller, engine_tenancy)
    note = made(caller, "credit-notes", {"invoice_id": invoice["id"], "amount": 100, "reason": "x", "refund": True})
    assert note["state"] == "pending"
    bill(caller, engine_tenancy)
    assert caller.get(f"{API}/credit-notes/{note['id']}").json["state"] == "done"


def test_a_customer_is_changed_by_who_read_it(caller: Caller) -> None:
    customer = made(caller, "customers", {"name": "Ada", "email": "ada@example.com"})
    path = f"{API}/customers/{customer['id']}"
    tag = caller.get(path).headers["ETag"]
    body = {"name": "Countess", "email": "ada@example.com"}
    assert code_of(caller.put(path, json=body)) == (428, "precondition_required")
    assert caller.put(path, json=body, headers={"If-Match": tag}).json["name"] == "Countess"
    assert code_of(caller.put(path, json=body, headers={"If-Match": tag})) == (412, "precondition_failed")


# --- who may


def test_another_tenants_billing_is_not_found_and_does_not_change(caller: Caller, stranger: Caller) -> None:
    subscription, invoice = subscribed(caller), drafted(caller)
    customer = f"{API}/customers/{subscription['customer_id']}"
    row, bill_row = f"{API}/subscriptions/{subscription['id']}", f"{API}/invoices/{invoice['id']}"
    for path in (customer, f"{customer}/entitlements", f"{customer}/payment-methods", row, f"{row}/preview", bill_row,
                 f"{bill_row}/pdf", f"{API}/plans/{subscription['plan_id']}"):  # fmt: skip
        assert code_of(stranger.get(path)) == (404, "not_found"), path
    plan = {"plan_id": subscription["plan_id"]}
    for path, body in ((f"{row}/pause", {}), (f"{row}/resume", {}), (f"{row}/cancel", {}), (f"{row}/keep", {}),
                       (f"{row}/change-plan", plan), (f"{bill_row}/finalise", {}), (f"{bill_row}/void", {}),
                       (f"{bill_row}/pay", {}), (f"{bill_row}/mark-uncollectible", {}),
                       (f"{customer}/payment-methods", {"provider_id": "pm_1"}), (f"{customer}/payment-methods/setup", {}),
                       (f"{customer}/portal", {"return_url": "https://example.com"}),
                       (f"{API}/credit-notes", {"invoice_id": invoice["id"], "amount": 1, "reason": "x"})):  # fmt: skip
        assert code_of(stranger.post(path, json=body)) == (404, "not_found"), path
    assert code_of(stranger.delete(bill_row)) == (404, "not_found")
    theirs = stranger.post(f"{API}/usage-events", json={"events": [event(subscription["customer_id"])]})
    assert theirs.status_code == 422
    assert caller.get(row).json == subscription
    assert caller.get(bill_row).json == invoice


def test_reading_is_not_changing(caller: Caller, web_tenancy: Tenancy) -> None:
    subscription, invoice = subscribed(caller), drafted(caller)
    reader = program(
        caller, web_tenancy, "plan:read", "meter:read", "customer:read", "subscription:read", "invoice:read",
        "usage_event:read", "credit_note:read", "payment_method:read", "billing:read",
    )  # fmt: skip
    row, bill_row = f"{API}/subscriptions/{subscription['id']}", f"{API}/invoices/{invoice['id']}"
    for path in (f"{row}/pause", f"{row}/resume", f"{row}/cancel", f"{row}/keep", f"{row}/change-plan", f"{bill_row}/void",
                 f"{bill_row}/finalise", f"{bill_row}/pay", f"{API}/meters", f"{API}/usage-events", f"{API}/invoices",
                 f"{API}/credit-notes", "/api/v1/billing/subscribe", "/api/v1/billing/portal"):  # fmt: skip
        assert code_of(reader.post(path, json={})) == (403, "permission_denied"), path
    assert reader.get(row).status_code == 200
    nobody = program(caller, web_tenancy, "job:read")
    for path in (row, bill_row, f"{API}/usage-events", f"{API}/credit-notes", f"{API}/meters", "/api/v1/billing/plans"):
        assert code_of(nobody.get(path)) == (403, "permission_denied"), path


def test_paypal_says_that_it_is_a_placeholder(client: Any) -> None:
    refused = client.post("/api/v1/webhooks/paypal", json={"id": "WH-1"})
    assert code_of(refused) == (404, "not_found")
    assert "placeholder" in refused.json["detail"]
