"""No cent is lost, given twice or asked for again when an invoice is voided or credited and a subscription is ended or resumed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from models.tenant.balances import Balances
from tenancy.access import Tenancy
from tests.integration.web.callers import Caller
from tests.integration.web.engine import all_of, code_of, pointers_of, run_queued
from tests.integration.web.test_merchant_engine import API, bill, drafted, event, made, subscribed


def balances_of(caller: Caller, customer_id: str) -> list[tuple[str, int]]:
    found = caller.get(f"{API}/customers/{customer_id}").json["balances"]
    return [(each["currency"], each["amount"]) for each in found]


def give(engine: Tenancy, caller: Caller, customer_id: str, amount: int, currency: str = "EUR") -> None:
    """A balance, as an earlier credit has left it."""
    with engine.session(caller.tenant_id) as session:
        balances = Balances(session, caller.tenant_id, [])
        balances[customer_id, currency] += amount  # type: ignore[index]  # the API's form of the id
        balances.write()


def pay_with(caller: Caller, engine: Tenancy, customer_id: str, card: str) -> None:
    made(caller, f"customers/{customer_id}/payment-methods", {"provider_id": card}, 202)
    run_queued(engine, caller.tenant_id, "payment_method.attach")


def state_of(caller: Caller, subscription: dict[str, Any]) -> str:
    found: str = caller.get(f"{API}/subscriptions/{subscription['id']}").json["state"]
    return found


def owing(caller: Caller, engine: Tenancy, **plan: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A subscription whose invoice's card was refused, and the invoice."""
    subscription = subscribed(caller, days=1.1, charges=[], **plan)
    pay_with(caller, engine, subscription["customer_id"], "pm_card_chargeDeclined")
    bill(caller, engine)
    (invoice,) = all_of(caller, f"{API}/invoices", customer_id=subscription["customer_id"])
    assert state_of(caller, subscription) == "past_due"
    return subscription, invoice


# --- balances


def test_a_void_invoice_gives_back_the_balance_that_paid_a_part_of_it(caller: Caller, engine_tenancy: Tenancy) -> None:
    subscription = subscribed(caller, days=1.1, charges=[])
    who = subscription["customer_id"]
    give(engine_tenancy, caller, who, 400)
    bill(caller, engine_tenancy)
    (invoice,) = all_of(caller, f"{API}/invoices")
    assert (invoice["total"], balances_of(caller, who)) == (600, [])
    made(caller, f"invoices/{invoice['id']}/void", {}, 200)
    assert balances_of(caller, who) == [("EUR", 400)]
    assert code_of(caller.post(f"{API}/invoices/{invoice['id']}/void")) == (409, "illegal_transition")
    assert balances_of(caller, who) == [("EUR", 400)]


def test_an_invoice_by_hand_is_paid_by_the_balance_first(caller: Caller, engine_tenancy: Tenancy) -> None:
    small, large = drafted(caller, "300"), drafted(caller, "700")
    for draft, left in ((small, 200), (large, 0)):
        give(engine_tenancy, caller, draft["customer_id"], 500)
        final = made(caller, f"invoices/{draft['id']}/finalise", {}, 200)
        assert sum(line["amount"] for line in final["lines"]) == final["total"]
        assert balances_of(caller, draft["customer_id"]) == ([("EUR", left)] if left else [])
    assert [caller.get(f"{API}/invoices/{each['id']}").json["state"] for each in (small, large)] == ["paid", "open"]
    assert caller.get(f"{API}/invoices/{large['id']}").json["total"] == 200


def test_what_a_credit_note_gave_back_is_not_given_back_again_for_unused_time(
    caller: Caller, engine_tenancy: Tenancy
) -> None:
    subscription = subscribed(caller, pay_in_advance=True, charges=[])
    who = subscription["customer_id"]
    pay_with(caller, engine_tenancy, who, "pm_card_visa")
    bill(caller, engine_tenancy)
    (invoice,) = all_of(caller, f"{API}/invoices")
    made(caller, "credit-notes", {"invoice_id": invoice["id"], "amount": 900, "reason": "Outage"})
    made(caller, f"subscriptions/{subscription['id']}/cancel", {"at": "now"}, 200)
    bill(caller, engine_tenancy)
    assert balances_of(caller, who) == [("EUR", 1000)], "900 by the note, and of the unused time what was left of 1000"


# --- states


@pytest.mark.parametrize("how", ["void", "credit"])
def test_a_subscription_goes_on_when_nothing_of_it_is_owed_any_more(
    caller: Caller, engine_tenancy: Tenancy, how: str
) -> None:
    subscription, invoice = owing(caller, engine_tenancy)
    if how == "void":
        made(caller, f"invoices/{invoice['id']}/void", {}, 200)
    else:
        made(caller, "credit-notes", {"invoice_id": invoice["id"], "amount": invoice["total"], "reason": "Sorry"})
    assert state_of(caller, subscription) == "active"


def test_a_pause_is_no_way_around_what_is_owed(caller: Caller, engine_tenancy: Tenancy) -> None:
    subscription, invoice = owing(caller, engine_tenancy)
    path = f"subscriptions/{subscription['id']}"
    made(caller, f"{path}/pause", {}, 200)
    assert made(caller, f"{path}/resume", {}, 200)["state"] == "past_due"
    made(caller, f"{path}/pause", {}, 200)
    made(caller, f"invoices/{invoice['id']}/mark-uncollectible", {}, 200)
    assert made(caller, f"{path}/resume", {}, 200)["state"] == "unpaid"


def test_what_has_ended_cannot_be_ended_later(caller: Caller, engine_tenancy: Tenancy) -> None:
    subscription = subscribed(caller, days=0.5)
    path = f"{API}/subscriptions/{subscription['id']}"
    ended = caller.post(f"{path}/cancel", json={"at": "now"}).json
    assert ended["state"] == "active", "it waits an hour for usage"
    assert code_of(caller.post(f"{path}/cancel", json={"at": "period_end"})) == (409, "illegal_transition")
    assert code_of(caller.post(f"{path}/keep")) == (409, "illegal_transition")
    now = caller.get(path).json
    assert (now["cancel_at"], now["available_actions"]) == (ended["cancel_at"], [])


def test_what_never_began_is_not_charged_after_it_was_canceled(caller: Caller, engine_tenancy: Tenancy) -> None:
    subscription = subscribed(caller, pay_in_advance=True, charges=[])
    bill(caller, engine_tenancy)
    made(caller, f"subscriptions/{subscription['id']}/cancel", {"at": "now"}, 200)
    pay_with(caller, engine_tenancy, subscription["customer_id"], "pm_card_visa")
    bill(caller, engine_tenancy)
    (invoice,) = all_of(caller, f"{API}/invoices")
    assert (invoice["state"], invoice["number"]) == ("void", 1)
    assert state_of(caller, subscription) == "canceled"


def test_a_clock_that_steps_back_does_not_turn_a_subscriptions_changes_around(
    caller: Caller, engine_tenancy: Tenancy
) -> None:
    subscription = subscribed(caller, days=0.5, charges=[])
    path = f"subscriptions/{subscription['id']}"
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=2)):
        made(caller, f"{path}/pause", {}, 200)
    made(caller, f"{path}/resume", {}, 200)
    total = caller.get(f"{API}/{path}/preview").json["total"]
    assert total >= 995, f"{total}: it runs, and is billed for the rest of its day"


# --- collecting by hand


def test_an_invoice_cannot_be_collected_from_nothing(caller: Caller, engine_tenancy: Tenancy) -> None:
    invoice = drafted(caller)
    made(caller, f"invoices/{invoice['id']}/finalise", {}, 200)
    refused = caller.post(f"{API}/invoices/{invoice['id']}/pay")
    assert code_of(refused) == (409, "conflict")
    assert "payment method" in refused.json["detail"]


# --- quantities


@pytest.mark.parametrize("value", ["1e-300", "1_000", "1e3", " 5", "-0", "0." + "0" * 30 + "1", "١٢", ""])
def test_a_quantity_that_no_invoice_can_multiply_is_refused(caller: Caller, value: str) -> None:
    who = subscribed(caller, days=5)["customer_id"]
    refused = caller.post(f"{API}/usage-events", json={"events": [event(who, value)]})
    assert (code_of(refused), pointers_of(refused)) == ((422, "invalid_payload"), ["/events/0/properties/n"])


def test_properties_that_no_database_holds_are_refused(caller: Caller) -> None:
    who = subscribed(caller)["customer_id"]
    bad = {**event(who), "properties": {"n": 1, "note": "a\x00b"}}
    refused = caller.post(f"{API}/usage-events", json={"events": [bad]})
    assert refused.status_code in (400, 422), refused.json
    assert all_of(caller, f"{API}/usage-events") == []


def test_usage_beyond_what_an_amount_holds_is_said_and_not_an_error_of_ours(
    caller: Caller, engine_tenancy: Tenancy
) -> None:
    terms = {"meter": "calls", "model": "standard", "terms": {"unit_amount": "1000000000000"}}
    subscription = subscribed(caller, charges=[terms])
    events = [event(subscription["customer_id"], 10**15), event(subscription["customer_id"], 10**15)]
    made(caller, "usage-events", {"events": events}, 200)
    refused = caller.get(f"{API}/subscriptions/{subscription['id']}/preview")
    assert code_of(refused) == (409, "conflict")


def test_pausing_gives_no_free_units_anew(caller: Caller, engine_tenancy: Tenancy) -> None:
    terms = {"meter": "calls", "model": "standard", "terms": {"unit_amount": "10", "free_units": "100"}}
    subscription = subscribed(caller, days=0.5, amount=0, charges=[terms])
    who, path = subscription["customer_id"], f"subscriptions/{subscription['id']}"
    began = datetime.now(UTC) - timedelta(hours=1)
    made(caller, "usage-events", {"events": [event(who, 100, timestamp=began.isoformat())]}, 200)
    made(caller, f"{path}/pause", {}, 200)
    made(caller, f"{path}/resume", {}, 200)
    later = event(who, 100, timestamp=(datetime.now(UTC) + timedelta(seconds=30)).isoformat())
    made(caller, "usage-events", {"events": [later]}, 200)
    assert caller.get(f"{API}/{path}/preview").json["total"] == 1000


def test_a_line_opens_to_the_usage_that_was_there_when_it_was_billed(caller: Caller, engine_tenancy: Tenancy) -> None:
    subscription = subscribed(caller, days=1.1)
    who = subscription["customer_id"]
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    first, late = event(who, 4, timestamp=yesterday), event(who, 40, timestamp=yesterday)
    made(caller, "usage-events", {"events": [first]}, 200)
    bill(caller, engine_tenancy)
    made(caller, "usage-events", {"events": [late]}, 200)
    with time_machine.travel(datetime.now(UTC) + timedelta(days=1)):
        bill(caller, engine_tenancy)
    newest, oldest = all_of(caller, f"{API}/invoices")
    opened = []
    for invoice, kind in ((oldest, "usage"), (newest, "adjustment")):
        (line,) = (each for each in caller.get(f"{API}/invoices/{invoice['id']}").json["lines"] if each["kind"] == kind)
        opened.append(all_of(caller, f"{API}/invoices/{invoice['id']}/lines/{line['id']}/events"))
    assert [[each["transaction_id"] for each in events] for events in opened] == [
        [first["transaction_id"]], [late["transaction_id"]],
    ]  # fmt: skip
