"""`payment.collect` against Stripe's wire format: money moves once, whatever is cut off, late, or said in another order."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from domain.errors import Permanent, Transient
from jobs.context import JobContext
from models.tenant import Invoice, Payment, PaymentAttempt, Subscription
from tasks.billing.collecting import collect
from tasks.webhook_sweeps import sweep
from tasks.webhooks import process
from tests.contracts.stripe_double import StripeDouble
from tests.integration.tasks.billing.conftest import event_job
from tests.integration.tasks.conftest import next_attempt


def state_of(context: JobContext, invoice_id: UUID) -> tuple[str, list[str], str]:
    """Of the invoice, its attempts, its subscription."""
    with context.session() as session:
        invoice = session.get_one(Invoice, (context.tenant_id, invoice_id))
        attempts = select(PaymentAttempt.state).where(PaymentAttempt.invoice_id == invoice_id)
        subscription = session.get_one(Subscription, (context.tenant_id, invoice.subscription_id))
        return invoice.state, list(session.scalars(attempts.order_by(PaymentAttempt.number))), subscription.state


def test_a_charge_pays_the_invoice_and_says_whose_it_is(
    open_job: Callable[..., Any], owed: Callable[..., UUID], stripe: StripeDouble
) -> None:
    invoice_id = owed()
    context, payload = open_job("payment.collect", {"invoice_id": str(invoice_id)})

    assert collect(context, payload)["outcome"] == "succeeded"

    (intent,) = stripe.succeeded()
    assert (intent["amount"], intent["currency"], intent["customer"]) == (2900, "eur", "cus_ada")
    assert intent["metadata"]["invoice_id"] == str(invoice_id)
    assert intent["metadata"]["tenant_id"] == str(context.tenant_id)
    (key,) = stripe.keys
    assert key.startswith(f"inv:{invoice_id}:pm:")
    assert key.endswith(":attempt:1")
    assert state_of(context, invoice_id) == ("paid", ["succeeded"], "active")


@pytest.mark.parametrize("lost", ["act_then_hang_up", "hang_up", "500"])
def test_an_outcome_that_was_lost_is_asked_for_again_and_money_moves_once(
    open_job: Callable[..., Any], owed: Callable[..., UUID], stripe: StripeDouble, lost: str
) -> None:
    invoice_id = owed()
    stripe.script.append(lost)
    context, payload = open_job("payment.collect", {"invoice_id": str(invoice_id)})
    with pytest.raises(Transient):
        collect(context, payload)
    assert state_of(context, invoice_id)[:2] == ("open", ["unknown"])

    again, payload = open_job("payment.collect", {"invoice_id": str(invoice_id)})
    assert collect(again, payload)["outcome"] == "succeeded"

    assert len(stripe.succeeded()) == 1
    assert state_of(context, invoice_id)[:2] == ("paid", ["succeeded"])
    with context.session() as session:
        assert len(session.scalars(select(Payment)).all()) == 1


def test_killed_between_the_charge_and_its_record_the_next_run_finds_the_charge(
    open_job: Callable[..., Any], owed: Callable[..., UUID], stripe: StripeDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoice_id = owed()
    context, payload = open_job("payment.collect", {"invoice_id": str(invoice_id)})

    def die(*_: Any) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr("tasks.billing.collecting._finish", die)
        with pytest.raises(SystemExit):
            collect(context, payload)
    assert state_of(context, invoice_id)[:2] == ("open", ["calling"])

    again, payload = open_job("payment.collect", {"invoice_id": str(invoice_id)})
    assert collect(again, payload)["invoice_state"] == "paid"
    assert len(stripe.succeeded()) == 1


def test_an_outcome_that_was_lost_for_a_day_is_looked_for_and_not_asked_for_again(
    open_job: Callable[..., Any], owed: Callable[..., UUID], stripe: StripeDouble
) -> None:
    invoice_id = owed()
    stripe.script.append("act_then_hang_up")
    context, payload = open_job("payment.collect", {"invoice_id": str(invoice_id)})
    with pytest.raises(Transient):
        collect(context, payload)
    stripe.answers.clear()  # as Stripe forgets keys after a day
    with context.session() as session:
        session.execute(update(PaymentAttempt).values(created_at=datetime.now(UTC) - timedelta(days=2)))

    again, payload = open_job("payment.collect", {"invoice_id": str(invoice_id)})
    assert collect(again, payload)["outcome"] == "succeeded"
    assert len(stripe.succeeded()) == 1
    assert state_of(context, invoice_id)[:2] == ("paid", ["succeeded"])


def test_the_answer_and_the_webhook_may_come_in_any_order(
    open_job: Callable[..., Any], owed: Callable[..., UUID], stripe: StripeDouble
) -> None:
    ends = set()
    for number, order in enumerate(itertools.permutations(["answer", "event", "event again"]), start=1):
        invoice_id = owed(number=number)
        stripe.script.append("act_then_hang_up")
        context, payload = open_job("payment.collect", {"invoice_id": str(invoice_id)})
        with pytest.raises(Transient):
            collect(context, payload)
        event = stripe.events[0]
        for step in order:
            if step == "answer":
                claimed, payload = open_job("payment.collect", {"invoice_id": str(invoice_id)})
                collect(claimed, payload)
            else:
                process(*event_job(open_job, event))
        # Whoever came last, a run that finds nothing to do leaves it as it is.
        claimed, payload = open_job("payment.collect", {"invoice_id": str(invoice_id)})
        collect(claimed, payload)
        ends.add(str(state_of(context, invoice_id)))
    assert ends == {"('paid', ['succeeded'], 'active')"}
    assert len(stripe.succeeded()) == 6


def test_a_refused_card_is_tried_by_schedule_and_then_given_up(
    open_job: Callable[..., Any], owed: Callable[..., UUID], stripe: StripeDouble
) -> None:
    invoice_id = owed()
    stripe.script.extend(["decline"] * 5)
    waits = []
    for _ in range(5):
        context, payload = open_job("payment.collect", {"invoice_id": str(invoice_id)})
        assert collect(context, payload)["error_code"] == "generic_decline"
        with context.session() as session:
            at = session.get_one(Invoice, (context.tenant_id, invoice_id)).collect_at
            waits.append(None if at is None else round((at - datetime.now(UTC)) / timedelta(days=1)))
    assert waits == [1, 3, 5, 7, None]
    assert state_of(context, invoice_id) == ("uncollectible", ["failed"] * 5, "unpaid")

    # The same failures, told again by webhooks, change nothing.
    for event in list(stripe.events):
        process(*event_job(open_job, event))
    assert state_of(context, invoice_id) == ("uncollectible", ["failed"] * 5, "unpaid")

    # It is paid after all: the subscription goes on.
    context, payload = open_job("payment.collect", {"invoice_id": str(invoice_id)})
    assert collect(context, payload)["invoice_state"] == "paid"
    assert state_of(context, invoice_id)[2] == "active"


def test_a_payment_that_takes_days_is_settled_by_its_webhook(
    open_job: Callable[..., Any], owed: Callable[..., UUID], stripe: StripeDouble
) -> None:
    invoice_id = owed()
    stripe.script.append("process")
    context, payload = open_job("payment.collect", {"invoice_id": str(invoice_id)})
    assert collect(context, payload)["outcome"] == "pending"
    assert state_of(context, invoice_id)[:2] == ("open", ["pending"])
    (intent,) = stripe.made("payment_intent")
    intent["status"] = "succeeded"
    for _ in range(2):
        process(*event_job(open_job, stripe.happened("payment_intent.succeeded", intent)))
    assert state_of(context, invoice_id)[:2] == ("paid", ["succeeded"])
    assert told_of(context) == ["invoice.paid"]


def test_killed_before_it_has_told_of_the_payment_the_next_run_tells(
    open_job: Callable[..., Any], owed: Callable[..., UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    invoice_id = owed()
    context, payload = open_job("payment.collect", {"invoice_id": str(invoice_id)})

    def die(*_: Any) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr("tasks.billing.collecting.tell_outcome", die)
        with pytest.raises(SystemExit):
            collect(context, payload)
    assert told_of(context) == []
    collect(*open_job("payment.collect", {"invoice_id": str(invoice_id)}))
    assert told_of(context) == ["invoice.paid"]


def test_another_attempt_of_the_same_job_charges_nothing_more(
    open_job: Callable[..., Any], owed: Callable[..., UUID], stripe: StripeDouble
) -> None:
    invoice_id = owed()
    context, payload = open_job("payment.collect", {"invoice_id": str(invoice_id)})
    collect(context, payload)
    assert collect(replace(context, attempt=2), payload) == {"attempted": False}
    assert len(stripe.succeeded()) == 1
    assert next_attempt(context).attempt == 2


def test_a_sweep_takes_in_what_webhooks_did_not_bring_and_nothing_twice(
    open_job: Callable[..., Any], owed: Callable[..., UUID], stripe: StripeDouble
) -> None:
    for number in range(1, 4):
        invoice_id = owed(number=number)
        context, payload = open_job("payment.collect", {"invoice_id": str(invoice_id)})
        collect(context, payload)
    context, payload = open_job("webhook.sweep", {"source": "stripe"})
    assert sweep(context, payload) == {"seen": 3, "repaired": 3}
    context, payload = open_job("webhook.sweep", {"source": "stripe"})
    assert sweep(context, payload) == {"seen": 3, "repaired": 0}
    rows = context.tenancy.platform.fetch(
        "SELECT tenant_id, count(*) AS n FROM external_events WHERE tenant_id = %(id)s GROUP BY 1",
        {"id": context.tenant_id},
    )
    assert rows[0]["n"] == 3


def given_up(open_job: Callable[..., Any], invoice_id: UUID) -> JobContext:
    """The invoice after the last attempt of its schedule has failed."""
    context: JobContext
    for _ in range(5):
        context, payload = open_job("payment.collect", {"invoice_id": str(invoice_id)})
        assert collect(context, payload)["outcome"] == "failed"
    return context


def test_what_was_given_up_and_is_tried_by_hand_is_tried_once(
    open_job: Callable[..., Any], owed: Callable[..., UUID], stripe: StripeDouble
) -> None:
    invoice_id = owed()
    stripe.script.extend(["decline"] * 6)
    context = given_up(open_job, invoice_id)
    claimed, payload = open_job("payment.collect", {"invoice_id": str(invoice_id)})
    assert collect(claimed, payload)["outcome"] == "failed"

    with context.session() as session:
        invoice = session.get_one(Invoice, (context.tenant_id, invoice_id))
        assert (invoice.state, invoice.collect_at) == ("uncollectible", None), (
            "else its card is charged again and again"
        )


def test_a_platform_that_stripe_does_not_know_is_no_failure_of_the_customers(
    open_job: Callable[..., Any], owed: Callable[..., UUID], stripe: StripeDouble
) -> None:
    invoice_id = owed()
    stripe.script.append("401")
    context, payload = open_job("payment.collect", {"invoice_id": str(invoice_id)})
    with pytest.raises(Permanent) as raised:
        collect(context, payload)
    assert raised.value.job_code == "provider_unauthorized"
    assert state_of(context, invoice_id) == ("open", ["calling"], "active")
    with context.session() as session:
        invoice = session.get_one(Invoice, (context.tenant_id, invoice_id))
        assert invoice.failures == 0
        assert invoice.collect_at is not None, "a cycle has it tried again, with whatever key there is then"

    again, payload = open_job("payment.collect", {"invoice_id": str(invoice_id)})
    assert collect(again, payload)["invoice_state"] == "paid"
    assert len(stripe.succeeded()) == 1


def test_an_attempt_that_failed_and_then_was_paid_all_the_same_has_succeeded(
    open_job: Callable[..., Any], owed: Callable[..., UUID], stripe: StripeDouble
) -> None:
    invoice_id = owed()
    stripe.script.append("decline")
    context, payload = open_job("payment.collect", {"invoice_id": str(invoice_id)})
    collect(context, payload)
    assert state_of(context, invoice_id) == ("open", ["failed"], "past_due")
    (intent,) = stripe.made("payment_intent")
    intent["status"] = "succeeded"
    process(*event_job(open_job, stripe.happened("payment_intent.succeeded", intent)))
    assert state_of(context, invoice_id) == ("paid", ["succeeded"], "active")


# --- telling


@pytest.mark.parametrize("order", list(itertools.permutations(["answer", "event", "event again"])))
def test_of_a_payment_it_is_told_once_whoever_hears_of_it_first(
    open_job: Callable[..., Any], owed: Callable[..., UUID], stripe: StripeDouble, order: tuple[str, ...]
) -> None:
    invoice_id = owed()
    stripe.script.append("act_then_hang_up")
    context, payload = open_job("payment.collect", {"invoice_id": str(invoice_id)})
    with pytest.raises(Transient):
        collect(context, payload)
    for step in order:
        if step == "answer":
            collect(*open_job("payment.collect", {"invoice_id": str(invoice_id)}))
        else:
            process(*event_job(open_job, stripe.events[0]))
    assert told_of(context) == ["invoice.paid"]


def test_a_payment_that_fails_after_days_is_told_of(
    open_job: Callable[..., Any], owed: Callable[..., UUID], stripe: StripeDouble
) -> None:
    invoice_id = owed()
    stripe.script.append("process")
    context, payload = open_job("payment.collect", {"invoice_id": str(invoice_id)})
    collect(context, payload)
    (intent,) = stripe.made("payment_intent")
    intent["status"] = "requires_payment_method"
    for _ in range(2):
        process(*event_job(open_job, stripe.happened("payment_intent.payment_failed", intent)))
    assert told_of(context) == ["invoice.payment_failed"]
    assert state_of(context, invoice_id) == ("open", ["failed"], "past_due")


def told_of(context: JobContext) -> list[str]:
    rows = context.tenancy.platform.fetch(
        "SELECT name FROM events WHERE tenant_id = %(id)s AND name LIKE 'invoice.%%' ORDER BY id",
        {"id": context.tenant_id},
    )
    return [row["name"] for row in rows]
