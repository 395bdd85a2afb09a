"""Both levels of billing on a running platform, over HTTP alone: what a tenant uses is billed and paid, and held to its plan."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from bench.engine import until
from cli.processes import PlatformProcess

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]

WHO = {"name": "Acme", "email": "billing@example.com"}
MESSAGE = {"to": "ada@example.com", "subject": "Hello", "text": "Hello Ada."}


class Tenant:
    """The administrator within one tenant."""

    def __init__(self, client: httpx2.Client, tenant_id: str):
        self._client = client
        self._headers = {"X-Project-ID": tenant_id}
        self.id = tenant_id

    def get(self, path: str, **parameters: Any) -> Any:
        response = self._client.get(path, params=parameters, headers=self._headers)
        assert response.status_code == 200, response.text
        return response.json()

    def send(self, path: str, body: Any, **options: Any) -> httpx2.Response:
        return self._client.post(path, json=body, headers=self._headers, **options)

    def post(self, path: str, body: Any) -> Any:
        response = self.send(path, body)
        assert response.is_success, response.text
        return response.json()

    def done(self, path: str, body: Any) -> Any:
        """The result of the job that the request makes."""
        job, deadline = self.post(path, body), time.monotonic() + 120
        while job["state"] not in {"succeeded", "failed", "cancelled"}:
            assert time.monotonic() < deadline, job
            job = self.get(f"/jobs/{job['id']}", wait=10)
        assert job["state"] == "succeeded", job
        return job["result"]


@pytest.fixture(scope="module")
def api(platform: PlatformProcess) -> Any:
    with httpx2.Client(base_url=f"{platform.base_url}/api/v1", timeout=60) as client:
        body = {"email": "admin@example.com", "password": "correct horse battery"}
        client.headers["Authorization"] = f"Bearer {client.post('/auth/login', json=body).json()['access_token']}"
        yield client


@pytest.fixture(scope="module")
def operator(api: httpx2.Client) -> Tenant:
    """The operator's tenant, with meters for jobs and messages."""
    (found,) = [each for each in api.get("/tenants").json()["items"] if each["name"] == "Operator"]
    inside = Tenant(api, found["id"])
    for code in ("jobs", "messages"):
        inside.post("/merchant/meters", {"code": code, "name": code.title(), "aggregation": "count"})
    return inside


@pytest.fixture
def make_tenant(api: httpx2.Client) -> Callable[[str], Tenant]:
    def make(name: str) -> Tenant:
        job = api.post("/tenants", json={"name": name, "tier": "pooled"}).json()
        inside = Tenant(api, job["tenant_id"])
        until(lambda: inside.get(f"/tenants/{inside.id}")["state"] == "active", 120, "the tenant")
        return inside

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
