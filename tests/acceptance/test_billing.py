"""Both levels of billing on a running platform, over HTTP alone: what a tenant uses is billed and paid, and held to its plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from bench.engine import until
from cli.processes import PlatformProcess
from tests.acceptance.tenant import Tenant, administrator

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]

WHO = {"name": "Acme", "email": "billing@example.com"}
MESSAGE = {"to": "ada@example.com", "subject": "Hello", "text": "Hello Ada."}


@pytest.fixture(scope="module")
def api(platform: PlatformProcess) -> Iterator[httpx2.Client]:
    with administrator(platform) as client:
        yield client


@pytest.fixture(scope="module")
def operator(api: httpx2.Client) -> Tenant:
    """The operator's tenant, with meters for jobs and messages."""
    inside = Tenant.operator(api)
    for code in ("jobs", "messages"):
        inside.post("/merchant/meters", {"code": code, "name": code.title(), "aggregation": "count"})
    return inside


@pytest.fixture
def make_tenant(api: httpx2.Client) -> Callable[[str], Tenant]:
    def make(name: str) -> Tenant:
        return Tenant.create(api, name)

    return make


def plan(seller: Tenant, code: str, **fields: Any) -> str:
    body = {"code": code, "name": code, "amount": 1000, "currency": "EUR", "interval": "month", **fields}
    made: str = seller.post("/merchant/plans", body)["id"]
    return made


def test_a_tenant_subscribes_uses_is_billed_and_pays(operator: Tenant, make_tenant: Callable[[str], Tenant]) -> None:
    acme = make_tenant("Acme")
    charge = {"meter": "messages", "model": "standard", "terms": {"unit_amount": "10"}}
    first = plan(operator, "start", pay_in_advance=True, charges=[charge])
    assert acme.post("/billing/subscribe", {"plan_id": first, **WHO})["state"] == "incomplete"
    acme.done("/billing/payment-methods", {"provider_id": "pm_card_visa"})
    acme.done("/notifications/send", MESSAGE)

    def paid() -> bool:
        return [each["state"] for each in acme.get("/billing/invoices")["items"]] == ["paid"]

    until(lambda: bool(acme.get("/billing/invoices")["items"]), 60, "the invoice")
    until(lambda: paid() or _pay(operator, acme), 120, "the payment")
    assert acme.get("/billing/subscription")["state"] == "active"

    # Going over to another plan has the usage collected at once; the relay brings the message within moments.
    acme.post("/billing/subscribe", {"plan_id": plan(operator, "more", pay_in_advance=True, charges=[charge]), **WHO})
    sent = {message["id"] for message in acme.get("/notifications/history")["items"]}

    def billed() -> set[str]:
        found = operator.get("/merchant/usage-events", code="messages", limit=200)["items"]
        return {event["source_id"] for event in found if event["source_type"] == "message"} & sent

    until(lambda: bool(billed()), 180, "the message in the operator's books")
    assert int(_used(acme, "messages")) >= 1, "the message that welcomes may be one too"


def test_a_tenant_is_held_to_its_plan_and_goes_over_to_another(
    operator: Tenant, make_tenant: Callable[[str], Tenant]
) -> None:
    small = plan(operator, "small", quotas={"jobs": {"limit": 2, "hard": True}})
    large = plan(operator, "large", quotas={"jobs": {"limit": 1_000_000, "hard": True}})
    held, free = make_tenant("Held"), make_tenant("Free")
    held.post("/billing/subscribe", {"plan_id": small, **WHO})
    until(lambda: held.send("/jobs", {"kind": "system.ping"}).status_code == 402, 180, "the plan to hold")
    refused = held.send("/jobs", {"kind": "system.ping"}).json()
    assert refused["code"] == "plan_quota_exceeded"
    assert free.send("/jobs", {"kind": "system.ping"}).status_code == 202

    until(lambda: bool(_events(held)), 240, "the event")
    assert _events(held)[0]["data"]["quota"]["code"] == "jobs"

    held.post("/billing/subscribe", {"plan_id": large, **WHO})
    until(lambda: held.send("/jobs", {"kind": "system.ping"}).status_code == 202, 180, "the larger plan")


def test_a_merchant_bills_its_own_customer(make_tenant: Callable[[str], Tenant]) -> None:
    shop = make_tenant("Shop")
    shop.post("/merchant/meters", {"code": "calls", "name": "Calls", "aggregation": "sum", "property": "n"})
    charge = {"meter": "calls", "model": "standard", "terms": {"unit_amount": "0.5", "free_units": "100"}}
    sold = plan(shop, "daily", interval="day", charges=[charge])
    ada = shop.post("/merchant/customers", {"name": "Ada", "email": "ada@example.com", "timezone": "UTC"})
    shop.done(f"/merchant/customers/{ada['id']}/payment-methods", {"provider_id": "pm_card_visa"})
    now = datetime.now(UTC)
    event = {"transaction_id": "t-1", "customer_id": ada["id"], "code": "calls", "properties": {"n": "301"},
             "timestamp": (now - timedelta(days=1)).isoformat()}  # fmt: skip
    assert shop.post("/merchant/usage-events", {"events": [event, event]}) == {"created": 1, "duplicates": 1}
    anchor_at = (now - timedelta(days=2, hours=12)).isoformat()
    shop.post("/merchant/subscriptions", {"customer_id": ada["id"], "plan_id": sold, "anchor_at": anchor_at})

    def settled() -> bool:
        return [each["state"] for each in shop.get("/merchant/invoices")["items"]] == ["paid", "paid"]

    until(settled, 180, "both invoices to be paid")
    latest, earlier = shop.get("/merchant/invoices")["items"]
    assert (earlier["total"], latest["total"]) == (1000, 1000 + 101), "201 calls beyond the free ones at half a cent"
    assert (earlier["number"], latest["number"]) == (1, 2)


def test_a_subscription_tries_changes_rests_and_ends(make_tenant: Callable[[str], Tenant]) -> None:
    shop = make_tenant("Changing shop")
    ada = shop.post("/merchant/customers", {"name": "Ada", "email": "ada@example.com", "timezone": "UTC"})
    sold = {"customer_id": ada["id"], "plan_id": plan(shop, "trying", trial_days=14)}
    assert shop.post("/merchant/subscriptions", sold)["state"] == "trialing"

    half_way = (datetime.now(UTC) - timedelta(hours=12)).isoformat()
    small, large = (
        plan(shop, "by-day", interval="day", amount=1000),
        plan(shop, "by-day-2", interval="day", amount=2000),
    )
    begun = shop.post("/merchant/subscriptions", {"customer_id": ada["id"], "plan_id": small, "anchor_at": half_way})
    path = f"/merchant/subscriptions/{begun['id']}"
    assert shop.get(f"{path}/preview")["total"] == 1000

    assert shop.post(f"{path}/change-plan", {"plan_id": large})["plan_id"] == large
    upgraded = shop.get(f"{path}/preview")
    assert len(upgraded["lines"]) == 2, "each plan for its part of the day"
    assert 1490 <= upgraded["total"] <= 1510

    assert shop.post(f"{path}/pause", {})["available_actions"] == ["resume", "cancel"]
    assert shop.get(f"{path}/preview")["total"] < 520, "the rest of the day is not owed"
    assert shop.post(f"{path}/resume", {})["state"] == "active"
    ending = shop.post(f"{path}/cancel", {"at": "period_end"})
    assert (ending["state"], "keep" in ending["available_actions"]) == ("active", True)
    shop.post(f"{path}/keep", {})
    shop.post(f"{path}/cancel", {"at": "now"})

    until(lambda: bool(shop.get(path)["state"] == "canceled"), 60, "the last invoice")
    (last,) = shop.get("/merchant/invoices")["items"]
    assert 490 <= last["total"] <= 540, "half a day of the one, and seconds of the other"


def test_invoices_by_hand_are_numbered_printed_credited_and_opened_to_what_they_bill(
    make_tenant: Callable[[str], Tenant],
) -> None:
    shop = make_tenant("Careful shop")
    ada = shop.post("/merchant/customers", {"name": "Ada", "email": "ada@example.com", "timezone": "UTC"})
    lines = [{"description": "Workshop", "quantity": "1.5", "unit_amount": "1000"}]
    drafts = [
        shop.post("/merchant/invoices", {"customer_id": ada["id"], "currency": "EUR", "lines": lines}) for _ in range(3)
    ]
    assert [(draft["number"], draft["state"], draft["total"]) for draft in drafts] == [(None, "draft", 1500)] * 3
    assert shop.ask("DELETE", f"/merchant/invoices/{drafts[1]['id']}").status_code == 204
    first, second = (shop.post(f"/merchant/invoices/{draft['id']}/finalise", {}) for draft in (drafts[0], drafts[2]))
    assert (first["number"], second["number"]) == (1, 2), "a draft that is gone leaves no gap"

    printed = shop.ask("GET", f"/merchant/invoices/{first['id']}/pdf")
    assert (printed.headers["Content-Type"], printed.content[:5]) == ("application/pdf", b"%PDF-")
    note = shop.post("/merchant/credit-notes", {"invoice_id": first["id"], "amount": 500, "reason": "Outage"})
    assert (note["kind"], note["state"], note["number"]) == ("reduction", "done", 1)
    assert shop.get(f"/merchant/invoices/{first['id']}")["credited"] == 500
    assert shop.post(f"/merchant/invoices/{second['id']}/void", {})["state"] == "void"

    shop.post("/merchant/meters", {"code": "calls", "name": "Calls", "aggregation": "sum", "property": "n"})
    charge = {"meter": "calls", "model": "standard", "terms": {"unit_amount": "2"}}
    used = {"transaction_id": "t-7", "customer_id": ada["id"], "code": "calls", "properties": {"n": "7"},
            "timestamp": (datetime.now(UTC) - timedelta(days=1)).isoformat()}  # fmt: skip
    shop.post("/merchant/usage-events", {"events": [used]})
    anchor_at = (datetime.now(UTC) - timedelta(days=1, hours=2)).isoformat()
    sold = plan(shop, "daily", interval="day", charges=[charge])
    shop.post("/merchant/subscriptions", {"customer_id": ada["id"], "plan_id": sold, "anchor_at": anchor_at})
    until(lambda: len(shop.get("/merchant/invoices")["items"]) == 3, 60, "the day's invoice")
    billed = shop.get(f"/merchant/invoices/{shop.get('/merchant/invoices')['items'][0]['id']}")
    assert (billed["number"], billed["total"]) == (3, 1014)
    (usage,) = [line for line in billed["lines"] if line["kind"] == "usage"]
    (opened,) = shop.get(f"/merchant/invoices/{billed['id']}/lines/{usage['id']}/events")["items"]
    assert opened["transaction_id"] == "t-7"


def test_a_card_is_set_up_changed_at_the_portal_and_dunned_when_it_declines(
    make_tenant: Callable[[str], Tenant],
) -> None:
    shop = make_tenant("Patient shop")
    ada = shop.post("/merchant/customers", {"name": "Ada", "email": "ada@example.com", "timezone": "UTC"})
    cards = f"/merchant/customers/{ada['id']}/payment-methods"
    assert "secret" in str(shop.done(f"{cards}/setup", {}))
    portal = shop.done(f"/merchant/customers/{ada['id']}/portal", {"return_url": "https://shop.example.com/account"})
    assert portal["url"].startswith("https://shop.example.com/account")
    shop.done(cards, {"provider_id": "pm_card_chargeDeclined"})
    sold = plan(shop, "ahead", pay_in_advance=True)
    made = shop.post("/merchant/subscriptions", {"customer_id": ada["id"], "plan_id": sold})

    def attempts() -> list[Any]:
        found = shop.get("/merchant/invoices")["items"]
        return [] if not found else list(shop.get(f"/merchant/invoices/{found[0]['id']}")["attempts"])

    until(lambda: [each["state"] for each in attempts()] == ["failed"], 60, "the attempt to fail")
    assert attempts()[0]["error_code"] == "card_declined"
    (owed,) = shop.get("/merchant/invoices")["items"]
    assert owed["state"] == "open"
    assert shop.get(f"/merchant/subscriptions/{made['id']}")["state"] in {"incomplete", "past_due"}
    until(lambda: bool(shop.get("/events", type="invoice.payment_failed")["items"]), 30, "the event")

    shop.done(cards, {"provider_id": "pm_card_visa"})
    shop.post(f"/merchant/invoices/{owed['id']}/pay", {})
    until(lambda: bool(shop.get(f"/merchant/invoices/{owed['id']}")["state"] == "paid"), 60, "the payment")
    assert shop.get(f"/merchant/subscriptions/{made['id']}")["state"] == "active"


def _pay(seller: Tenant, buyer: Tenant) -> bool:
    """Have the first invoice collected, which was issued before there was a card."""
    for invoice in buyer.get("/billing/invoices")["items"]:
        if "pay" in invoice["available_actions"]:
            seller.send(f"/merchant/invoices/{invoice['id']}/pay", {})
    return False


def _used(tenant: Tenant, code: str) -> str:
    found = [each["quantity"] for each in tenant.get("/billing/usage")["items"] if each["code"] == code]
    return found[0] if found else ""


def _events(tenant: Tenant) -> list[Any]:
    found: list[Any] = tenant.get("/events", type="quota.reached")["items"]
    return found
