"""A merchant's billing, from a price to a paid invoice: what is billed are the demo's own jobs, at fifty cents each."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cli.client import Client
from cli.demo.stage import PartFailed, Stage
from cli.errors import Problem

METER = {"code": "demo-jobs", "name": "Jobs", "aggregation": "count"}
CHARGE = {"meter": METER["code"], "model": "standard", "terms": {"unit_amount": "50"}}
PLAN = {
    "code": "demo-metered", "name": "Demo daily", "amount": 2900, "currency": "EUR", "interval": "day", "charges": [CHARGE],
}  # fmt: skip
CARD = "pm_card_visa"
PERIODS = 2
"""So many days have ended since the subscription began."""
BACK = timedelta(days=1)
"""The jobs are dated back by this much, so that a day that is over holds them."""
MOST_JOBS = 50


def bill(stage: Stage) -> str:
    """Report the jobs as usage, subscribe a customer with a card two and a half days ago, and wait until all is paid."""
    client = stage.as_tenant()
    _once(client, "meters", METER)
    plan = _once(client, "plans", PLAN)
    customer = _customer(stage, client)
    jobs = client.get("/api/v1/jobs", state="succeeded", limit=MOST_JOBS)["items"]
    _report(client, customer, jobs)
    anchor_at = datetime.now(UTC) - timedelta(days=PERIODS, hours=12)
    subscription = client.post(
        "/api/v1/merchant/subscriptions",
        {"customer_id": customer["id"], "plan_id": plan["id"], "anchor_at": anchor_at.isoformat()},
    )
    stage.tell("subscribed; waiting for beat's tick")

    def paid() -> list[Mapping[str, Any]] | None:
        page = client.get("/api/v1/merchant/invoices", subscription_id=subscription["id"], limit=PERIODS + 1)
        settled = [invoice for invoice in page["items"] if invoice["state"] == "paid"]
        stage.tell(f"subscribed; {len(page['items'])} of {PERIODS} invoices, {len(settled)} paid")
        return page["items"] if len(settled) >= PERIODS else None

    invoices = stage.until("the paid invoices", paid)
    latest = invoices[0]
    _check(client, invoices, len(jobs))
    path = _print(stage, client, latest)
    numbers = ", ".join(f"#{invoice['number']}" for invoice in reversed(invoices))
    amounts = " and ".join(f"{invoice['total'] / 100:.2f}" for invoice in reversed(invoices))
    return f"invoices {numbers} over {amounts} EUR for {len(jobs)} jobs and two days, paid by {CARD}: {path}"


def _once(client: Client, resource: str, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    """Make it; its code is unique, so an earlier run's is found again."""
    try:
        made: Mapping[str, Any] = client.post(f"/api/v1/merchant/{resource}", wanted)
    except Problem as problem:
        if problem.status != 409:
            raise
        return _first(client, resource, "code", str(wanted["code"]))
    return made


def _customer(stage: Stage, client: Client) -> Mapping[str, Any]:
    """A customer of this run's own, with a card."""
    email = f"ada-{secrets.token_hex(4)}@example.com"
    customer: Mapping[str, Any] = client.post(
        "/api/v1/merchant/customers", {"name": "Ada Lovelace", "email": email, "timezone": "UTC"}
    )
    methods = f"/api/v1/merchant/customers/{customer['id']}/payment-methods"
    stage.succeeded(client, client.post(methods, {"provider_id": CARD})["id"])
    return customer


def _report(client: Client, customer: Mapping[str, Any], jobs: Sequence[Mapping[str, Any]]) -> None:
    dated = (datetime.now(UTC) - BACK).isoformat()
    events = [
        {"transaction_id": f"{customer['id']}:{job['id']}", "customer_id": customer["id"], "code": METER["code"],
         "timestamp": dated, "properties": {"kind": job["kind"]}}
        for job in jobs
    ]  # fmt: skip
    if events:
        client.post("/api/v1/merchant/usage-events", {"events": events})


def _check(client: Client, invoices: Sequence[Mapping[str, Any]], jobs: int) -> None:
    """The day before has the fee alone, the last day the jobs too, and the line of the jobs opens to them."""
    totals, expected = [invoice["total"] for invoice in invoices], [2900 + 50 * jobs, 2900]
    if totals != expected:
        raise PartFailed(f"expected invoices over {expected}, found {totals}")
    path = f"/api/v1/merchant/invoices/{invoices[0]['id']}"
    lines = [line for line in client.get(path)["lines"] if line["description"] == METER["name"]]
    opened = [len(client.get(f"{path}/lines/{line['id']}/events", limit=200)["items"]) for line in lines]
    if sum(opened) != jobs:
        raise PartFailed(f"the invoice bills {jobs} jobs, and opens to {sum(opened)}")


def _print(stage: Stage, client: Client, invoice: Mapping[str, Any]) -> Path:
    path = stage.home / f"invoice-{invoice['number']}.pdf"
    with path.open("wb") as file:
        client.download(f"/api/v1/merchant/invoices/{invoice['id']}/pdf", file)
    if not path.read_bytes().startswith(b"%PDF-"):
        raise PartFailed(f"{path} should be a PDF, and is none")
    return path


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
