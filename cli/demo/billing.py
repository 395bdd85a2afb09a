"""A merchant's billing: a plan, a customer, a subscription that began in the past, and the invoices of beat's next tick."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cli.client import Client
from cli.demo.stage import PartFailed, Stage
from cli.errors import Problem

PLAN = {"code": "demo-daily", "name": "Demo daily", "amount": 2900, "currency": "EUR", "interval": "day"}
CUSTOMER = {"name": "Ada Lovelace", "email": "ada@example.com", "timezone": "UTC"}
PERIODS = 2
"""So many days have ended since the subscription began."""


def bill(stage: Stage) -> str:
    """Subscribe the customer two and a half days ago; beat finds the periods due and the cycle invoices each."""
    client = stage.as_tenant()
    plan, customer = _plan(client), _customer(client)
    anchor_at = datetime.now(UTC) - timedelta(days=PERIODS, hours=12)
    subscription = client.post(
        "/api/v1/merchant/subscriptions",
        {"customer_id": customer["id"], "plan_id": plan["id"], "anchor_at": anchor_at.isoformat()},
    )
    stage.tell("subscribed; waiting for beat's tick")

    def due() -> list[Mapping[str, Any]] | None:
        page = client.get("/api/v1/merchant/invoices", subscription_id=subscription["id"], limit=PERIODS + 1)
        stage.tell(f"subscribed; {len(page['items'])} of {PERIODS} invoices")
        return page["items"] if len(page["items"]) >= PERIODS else None

    invoices = stage.until("the invoices", due)
    totals = [invoice["total"] for invoice in invoices]
    if totals != [PLAN["amount"]] * PERIODS:
        raise PartFailed(f"expected {PERIODS} invoices over {PLAN['amount']}, found totals {totals}")
    numbers = ", ".join(f"#{invoice['number']}" for invoice in reversed(invoices))
    amount = f"{totals[0] / 100:.2f} {invoices[0]['currency']}"
    return f"invoices {numbers} over {amount} each, {invoices[0]['state']}, for {customer['name']}"


def _plan(client: Client) -> Mapping[str, Any]:
    """The demo's plan; its code is unique, so an earlier run's is found again."""
    try:
        plan: Mapping[str, Any] = client.post("/api/v1/merchant/plans", PLAN)
    except Problem as problem:
        if problem.status != 409:
            raise
        return _first(client, "plans", "code", str(PLAN["code"]))
    return plan


def _customer(client: Client) -> Mapping[str, Any]:
    try:
        return _first(client, "customers", "email", CUSTOMER["email"])
    except PartFailed:
        customer: Mapping[str, Any] = client.post("/api/v1/merchant/customers", CUSTOMER)
        return customer


def _first(client: Client, resource: str, name: str, value: str) -> Mapping[str, Any]:
    cursor: str | None = None
    while True:
        page = client.get(f"/api/v1/merchant/{resource}", limit=200, cursor=cursor)
        for item in page["items"]:
            if item[name] == value:
                found: Mapping[str, Any] = item
                return found
        cursor = page["next_cursor"]
        if cursor is None:
            raise PartFailed(f"there is no {value} among the {resource}")
