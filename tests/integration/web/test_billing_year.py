"""A year of one subscription, walked with a moving clock over HTTP: every invoice to the cent.

It begins on 31 January in Auckland, where summer time ends in April and begins in September. There is an upgrade, a pause,
usage that comes late, and a card that fails.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from flask import Flask

from domain.identity.principals import system
from domain.ids import new_id
from jobs.submit import NewJob, submit
from tenancy.access import Tenancy
from tests.integration.web.callers import Caller, access_token
from tests.integration.web.engine import all_of, run, run_queued

AUCKLAND = ZoneInfo("Pacific/Auckland")
ANCHOR = datetime(2027, 1, 31, 10, tzinfo=AUCKLAND)


@dataclass
class Clock:
    """The API and the workers at another time."""

    app: Flask
    web: Tenancy
    engine: Tenancy
    caller: Caller
    at: datetime

    def post(self, path: str, body: dict[str, Any] | None = None, expect: int = 200) -> Any:
        response = self._caller().post(f"/api/v1/merchant/{path}", json=body or {})
        assert response.status_code == expect, response.json
        return response.json

    def list(self, path: str, **query: str) -> list[dict[str, Any]]:
        return all_of(self._caller(), f"/api/v1/merchant/{path}", **query)

    def get(self, path: str) -> Any:
        response = self._caller().get(f"/api/v1/merchant/{path}")
        assert response.status_code == 200, response.json
        return response.json

    def bill(self) -> None:
        """One tick's worth of work: a cycle, and what it submits."""
        tenant_id = self.caller.tenant_id
        payload = {"until": datetime.now(UTC).isoformat()}
        job = submit(self.engine, NewJob(kind="billing.cycle", payload=payload, principal=system("beat", tenant_id)))
        run(self.engine, tenant_id, job.id)
        run_queued(self.engine, tenant_id, "payment.collect", "payment.refund")

    def work(self, *kinds: str) -> None:
        run_queued(self.engine, self.caller.tenant_id, *kinds)

    def _caller(self) -> Caller:
        token = access_token(self.app, self.web, self.caller.user_id)
        return Caller(
            self.app.test_client(),
            self.caller.tenant_id,
            self.caller.user_id,
            {"Authorization": f"Bearer {token}", "X-Project-ID": str(self.caller.tenant_id)},
        )


@pytest.fixture
def travel(app: Flask, web_tenancy: Tenancy, engine_tenancy: Tenancy, caller: Caller) -> Callable[[datetime], Any]:
    def to(moment: datetime) -> Any:
        traveller = time_machine.travel(moment, tick=False)
        return _At(traveller, Clock(app, web_tenancy, engine_tenancy, caller, moment))

    return to


class _At:
    def __init__(self, traveller: Any, clock: Clock):
        self._traveller, self._clock = traveller, clock

    def __enter__(self) -> Clock:
        self._traveller.start()
        return self._clock

    def __exit__(self, *_: object) -> None:
        self._traveller.stop()


def local(month: int, day: int, hour: int = 10, year: int = 2027) -> datetime:
    """A moment on Auckland's wall clock."""
    return datetime(year, month, day, hour, tzinfo=AUCKLAND)


def used(clock: Clock, customer_id: str, at: datetime, calls: str) -> None:
    event = {
        "transaction_id": f"t-{new_id().hex}", "customer_id": customer_id, "code": "calls",
        "timestamp": at.astimezone(UTC).isoformat(), "properties": {"n": calls},
    }  # fmt: skip
    assert clock.post("usage-events", {"events": [event]}) == {"created": 1, "duplicates": 0}


def test_a_year_in_auckland(travel: Callable[[datetime], Any]) -> None:  # noqa: PLR0915 - one story, told whole
    with travel(ANCHOR) as clock:
        clock.post("meters", {"code": "calls", "name": "Calls", "aggregation": "sum", "property": "n"}, 201)
        charge = {"meter": "calls", "model": "standard", "terms": {"unit_amount": "0.5", "free_units": "100"}}
        plan = {"code": "small", "name": "Small", "amount": 2900, "currency": "NZD", "interval": "month"}
        small = clock.post("plans", {**plan, "charges": [charge]}, 201)
        large = clock.post(
            "plans", {**plan, "code": "large", "name": "Large", "amount": 9900, "charges": [charge]}, 201
        )
        customer = clock.post(
            "customers", {"name": "Kiri", "email": "kiri@example.com", "timezone": "Pacific/Auckland"}, 201
        )
        who = customer["id"]
        clock.post(f"customers/{who}/payment-methods", {"provider_id": "pm_card_visa"}, 202)
        clock.work("payment_method.attach")
        subscription = clock.post("subscriptions", {"customer_id": who, "plan_id": small["id"]}, 201)
        path = f"subscriptions/{subscription['id']}"
        assert subscription["next_cycle_at"] == "2027-02-27T22:00:00Z", "28 February 10:00, and the grace hour"

    with travel(local(2, 10)) as clock:
        used(clock, who, local(2, 10), "150.5")
    # Period 1 ends on 28 February. Within the grace hour nothing is billed, and usage still finds its invoice.
    with travel(local(2, 28) + timedelta(minutes=30)) as clock:
        clock.bill()
        assert clock.list("invoices") == []
        used(clock, who, local(2, 27), "10")
    with travel(local(2, 28, 11)) as clock:
        clock.bill()
        (first,) = clock.list("invoices")
        # 160.5 calls, 100 free: 60.5 × 0.5 = 30.25, rounded once.
        assert (first["total"], first["state"]) == (2900 + 30, "paid")
        assert (first["period_start"], first["period_end"]) == ("2027-01-30T21:00:00Z", "2027-02-27T21:00:00Z")
    # Late usage of period 1 comes on 5 March: 20 calls more, 180.5 − 100 = 80.5 × 0.5 = 40.25 → 40, of which 30 are billed.
    with travel(local(3, 5)) as clock:
        used(clock, who, local(2, 20), "20")
        assert clock.get(f"invoices/{first['id']}")["total"] == 2930, "a final invoice never changes"
    with travel(local(3, 31, 11)) as clock:
        clock.bill()
        second = clock.list("invoices")[0]
        whole = clock.get(f"invoices/{second['id']}")
        assert [(line["kind"], line["amount"]) for line in whole["lines"]] == [("fee", 2900), ("adjustment", 10)]
        assert (second["total"], second["period_end"]) == (2910, "2027-03-30T21:00:00Z")
    # Period 3 runs from 31 March to 30 April across the end of summer time: 30 days and an hour. Upgrade on 15 April 10:00.
    with travel(local(4, 15)) as clock:
        changed = clock.post(f"{path}/change-plan", {"plan_id": large["id"]})
        assert changed["plan_id"] == large["id"]
    with travel(local(4, 30, 11)) as clock:
        clock.bill()
        third = clock.get(f"invoices/{clock.list('invoices')[0]['id']}")
        length, until = (30 * 24 + 1) * 3600, (15 * 24 + 1) * 3600
        small_part = round(2900 * until / length)
        large_part = 9900 - round(9900 * until / length)
        assert third["period_end"] == "2027-04-29T22:00:00Z"
        assert [line["amount"] for line in third["lines"]] == [small_part, large_part] == [1452, 4943]
        assert third["snapshot"]["plan"]["code"] == "large"
    # Period 4 ends on 31 May, though April had no 31st. Paused from 10 to 20 May.
    with travel(local(5, 10)) as clock:
        assert clock.post(f"{path}/pause")["state"] == "paused"
    with travel(local(5, 20)) as clock:
        assert clock.post(f"{path}/resume")["state"] == "active"
    with travel(local(5, 31, 11)) as clock:
        clock.bill()
        fourth = clock.get(f"invoices/{clock.list('invoices')[0]['id']}")
        length = 31 * 24 * 3600
        before = round(9900 * 10 / 31)
        after = 9900 - round(9900 * 20 / 31)
        assert [line["amount"] for line in fourth["lines"]] == [before, after] == [3194, 3513]
    # In June the card fails, and is tried again after a day; then there is another card.
    with travel(local(6, 15)) as clock:
        clock.post(f"customers/{who}/payment-methods", {"provider_id": "pm_card_chargeDeclined"}, 202)
        clock.work("payment_method.attach")
    with travel(local(6, 30, 11)) as clock:
        clock.bill()
        fifth = clock.list("invoices")[0]
        assert (fifth["total"], fifth["state"]) == (9900, "open")
        assert clock.get(path)["state"] == "past_due"
        assert fifth["collect_at"][:13] == "2027-06-30T23", "a day later"
    with travel(local(7, 1, 12)) as clock:
        clock.bill()
        again = clock.get(f"invoices/{fifth['id']}")
        assert [attempt["error_code"] for attempt in again["attempts"]] == ["card_declined", "card_declined"]
        clock.post(f"customers/{who}/payment-methods", {"provider_id": "pm_card_visa"}, 202)
        clock.work("payment_method.attach")
    with travel(local(7, 4, 13)) as clock:
        clock.bill()
        paid = clock.get(f"invoices/{fifth['id']}")
        assert (paid["state"], [attempt["state"] for attempt in paid["attempts"]]) == (
            "paid", ["failed", "failed", "succeeded"],
        )  # fmt: skip
        assert clock.get(path)["state"] == "active"
    # Nobody bills until New Year: an outage of periods 6 to 11, made up one by one.
    with travel(local(12, 31, 11)) as clock:
        used(clock, who, local(12, 1), "300")
        clock.bill()
        latest = list(reversed(clock.list("invoices")))
        assert [invoice["total"] for invoice in latest] == [2930, 2910, 6395, 6707, 9900, *[9900] * 5, 9900 + 100]
        assert [invoice["number"] for invoice in latest] == list(range(1, 12))
        ends = [datetime.fromisoformat(invoice["period_end"]).astimezone(AUCKLAND) for invoice in latest]
        assert [(end.month, end.day, end.hour) for end in ends] == [
            (2, 28, 10), (3, 31, 10), (4, 30, 10), (5, 31, 10), (6, 30, 10), (7, 31, 10), (8, 31, 10), (9, 30, 10),
            (10, 31, 10), (11, 30, 10), (12, 31, 10),
        ]  # fmt: skip
        assert all(one["period_end"] == other["period_start"] for one, other in pairwise(latest))
        assert {invoice["state"] for invoice in latest} == {"paid"}
        clock.bill()
        assert len(clock.list("invoices")) == 11, "a second run bills nothing"
    # It ends with the period that runs.
    with travel(local(1, 10, year=2028)) as clock:
        assert clock.post(f"{path}/cancel", {"at": "period_end"})["cancel_at"] == "2028-01-30T21:00:00Z"
    with travel(local(1, 31, 11, year=2028)) as clock:
        clock.bill()
        assert clock.list("invoices")[0]["total"] == 9900
        ended = clock.get(path)
        assert (ended["state"], ended["available_actions"]) == ("canceled", [])
    with travel(local(4, 30, year=2028)) as clock:
        clock.bill()
        assert len(clock.list("invoices")) == 12
