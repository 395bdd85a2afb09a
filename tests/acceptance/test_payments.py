"""Payments on a running platform with Stripe's wire format on the other side, over HTTP alone: a merchant that is no operator."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from bench.engine import until
from cli.processes import PlatformProcess
from domain.billing.signatures import sign_stripe
from tests.acceptance.tenant import Tenant, administrator
from tests.contracts.stripe_double import StripeDouble

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

SECRET = "whsec_acceptance"


@pytest.fixture(scope="module")
def stripe() -> Iterator[StripeDouble]:
    double = StripeDouble()
    yield double
    double.close()


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, stripe: StripeDouble) -> Iterator[httpx2.Client]:
    """The administrator of a platform that takes the double for Stripe."""
    environment = {
        "NEXUS_ADMIN_PASSWORD": "correct horse battery", "NEXUS_BILLING_TICK_SECONDS": "1", "STRIPE_API_KEY": "sk_test_1",
        "STRIPE_API_BASE": stripe.url, "STRIPE_WEBHOOK_SECRET": SECRET,
    }  # fmt: skip
    with (
        PlatformProcess(tmp_path_factory.mktemp("payments"), environment=environment) as platform,
        administrator(platform) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def shop(api: httpx2.Client) -> Tenant:
    return Tenant.create(api, "Shop")


@pytest.fixture
def hear(api: httpx2.Client) -> Callable[..., int]:
    """Sends an event as Stripe does; returns the status of the answer."""

    def send(event: dict[str, Any], secret: str = SECRET) -> int:
        raw = json.dumps(event).encode()
        headers = {"Content-Type": "application/json", "Stripe-Signature": sign_stripe(raw, secret, int(time.time()))}
        return api.post("/webhooks/stripe", content=raw, headers=headers).status_code

    return send


def issued(shop: Tenant, amount: str = "2900") -> dict[str, Any]:
    """An invoice by hand of a new customer with a card; it is collected soon."""
    ada = shop.post("/merchant/customers", {"name": "Ada", "email": "ada@example.com"})
    shop.done(f"/merchant/customers/{ada['id']}/payment-methods", {"provider_id": "pm_card_visa"})
    lines = [{"description": "Workshop", "unit_amount": amount}]
    draft = shop.post("/merchant/invoices", {"customer_id": ada["id"], "currency": "EUR", "lines": lines})
    found: dict[str, Any] = shop.post(f"/merchant/invoices/{draft['id']}/finalise", {})
    return found


def becomes(shop: Tenant, path: str, state: str) -> dict[str, Any]:
    """What is there, once it is in that state."""
    until(lambda: bool(shop.get(path)["state"] == state), 60, f"{path} {state}", pause=0.1)
    found: dict[str, Any] = shop.get(path)
    return found


def test_a_card_is_charged_once_and_its_webhooks_change_nothing_more(
    shop: Tenant, stripe: StripeDouble, hear: Callable[..., int]
) -> None:
    invoice = issued(shop)
    paid = becomes(shop, f"/merchant/invoices/{invoice['id']}", "paid")
    assert [attempt["state"] for attempt in paid["attempts"]] == ["succeeded"]
    (event,) = [each for each in stripe.events if each["data"]["object"]["metadata"]["invoice_id"] == invoice["id"]]
    assert event["data"]["object"]["metadata"]["tenant_id"] == shop.id

    assert [hear(event), hear(event), hear(event, "whsec_forged")] == [200, 200, 400]

    def jobs() -> list[dict[str, Any]]:
        found = shop.get("/jobs", kind="webhook.process")["items"]
        return [job for job in found if (job["result"] or {}).get("invoice_id") == invoice["id"]]

    until(lambda: bool(jobs()), 60, "the event's job")
    assert [job["result"]["verified_by"] for job in jobs()] == ["provider"]
    assert becomes(shop, f"/merchant/invoices/{invoice['id']}", "paid")["attempts"] == paid["attempts"]


def test_a_declined_card_is_tried_again_when_asked_and_the_payment_that_was_lost_is_found(
    shop: Tenant, stripe: StripeDouble
) -> None:
    stripe.script.extend(["decline", "act_then_hang_up"])
    invoice = issued(shop, "1700")
    path = f"/merchant/invoices/{invoice['id']}"
    until(lambda: bool(shop.get(path)["attempts"]), 60, "the first attempt")
    until(lambda: bool(shop.get(path)["attempts"][0]["state"] == "failed"), 60, "its failure")
    assert shop.get(path)["attempts"][0]["error_code"] == "generic_decline"

    shop.post(f"{path}/pay", {})

    paid = becomes(shop, path, "paid")
    assert [attempt["state"] for attempt in paid["attempts"]] == ["failed", "succeeded"]
    assert len([each for each in stripe.succeeded() if each["metadata"]["invoice_id"] == invoice["id"]]) == 1


def test_a_refund_that_fails_days_later_is_heard_of_in_the_merchants_books(
    shop: Tenant, stripe: StripeDouble, hear: Callable[..., int]
) -> None:
    invoice = issued(shop, "900")
    path = f"/merchant/invoices/{invoice['id']}"
    becomes(shop, path, "paid")
    note = shop.post(
        "/merchant/credit-notes", {"invoice_id": invoice["id"], "amount": 400, "reason": "Outage", "refund": True}
    )
    becomes(shop, f"/merchant/credit-notes/{note['id']}", "done")
    assert shop.get(path)["credited"] == 400
    (made,) = [each for each in stripe.made("refund") if each["amount"] == 400]

    made["status"] = "failed"
    assert hear(stripe.happened("refund.failed", made)) == 200

    becomes(shop, f"/merchant/credit-notes/{note['id']}", "failed")
    assert shop.get(path)["credited"] == 0
    again = {"invoice_id": invoice["id"], "amount": 900, "reason": "Outage, to the balance"}
    assert shop.post("/merchant/credit-notes", again)["state"] == "done", "all of it can be credited again"


def test_paypal_is_a_placeholder_that_says_so(api: httpx2.Client) -> None:
    answer = api.post("/webhooks/paypal", json={})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "placeholder" in answer.json()["detail"]
