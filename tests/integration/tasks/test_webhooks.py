"""`webhook.process`: any order of Stripe's events ends in the same payment and invoice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr
from pytest_httpserver import HTTPServer
from sqlalchemy import select

from domain.errors import Permanent, Transient
from domain.ids import new_id
from jobs.context import JobContext
from models.tenant import Customer, Invoice, Payment, Plan, Subscription
from tasks.webhooks import process

MakeContext = Callable[..., Any]


@pytest.fixture
def context(make_context: MakeContext, pooled_tenant: UUID) -> JobContext:
    """A context in the tenant that the webhooks are for."""
    made: JobContext = make_context("system.ping", pooled_tenant, {})[0]
    return made


@pytest.fixture
def receive(make_context: MakeContext) -> Callable[..., Any]:
    """Process one event as a job of the tenant."""

    def make(context: JobContext, kind: str, data: Any, source: str = "stripe") -> Any:
        event = {"id": f"evt_{new_id().hex}", "type": kind, "data": {"object": data}}
        claimed, payload = make_context("webhook.process", context.tenant_id, {"source": source, "event": event})
        claimed.tenancy = context.tenancy
        return process(claimed, payload)

    return make


def open_invoice(context: JobContext, state: str = "open", total: int = 1999, number: int = 1) -> UUID:
    keys = {"tenant_id": context.tenant_id}
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    with context.session() as session:
        customer = Customer(**keys, name="Ada", email="ada@example.com")
        plan = Plan(**keys, code=f"pro-{new_id()}", name="Pro", amount=total, currency="EUR", interval="month")
        session.add_all([customer, plan])
        session.flush()
        subscription = Subscription(
            **keys, customer_id=customer.id, plan_id=plan.id, anchor_at=start, next_cycle_at=end
        )
        session.add(subscription)
        session.flush()
        invoice = Invoice(
            **keys, number=number, subscription_id=subscription.id, customer_id=customer.id, period_start=start,
            period_end=end, currency="EUR", total=total, state=state, snapshot={},
        )  # fmt: skip
        session.add(invoice)
        session.flush()
        return invoice.id


def intent(invoice_id: UUID | None = None, **fields: Any) -> dict[str, Any]:
    metadata = {} if invoice_id is None else {"invoice_id": str(invoice_id)}
    return {
        "id": "pi_1", "object": "payment_intent", "amount": 1999, "currency": "eur", "metadata": metadata, **fields
    }  # fmt: skip


def succeeded(invoice_id: UUID | None, amount: int = 1999) -> dict[str, Any]:
    return intent(invoice_id, status="succeeded", amount_received=amount)


def payments(context: JobContext) -> list[tuple[str, str, int, str, UUID | None]]:
    with context.session() as session:
        rows = session.scalars(select(Payment).order_by(Payment.provider_id))
        return [(row.provider_id, row.state, row.amount, row.currency, row.invoice_id) for row in rows]


def invoice_of(context: JobContext, id: UUID) -> Invoice:
    with context.session() as session:
        return session.get_one(Invoice, (context.tenant_id, id))


def test_a_payment_that_succeeded_pays_its_invoice(receive: Callable[..., Any], context: JobContext) -> None:
    invoice_id = open_invoice(context)

    result = receive(context, "payment_intent.succeeded", succeeded(invoice_id))

    assert result == {
        "handled": True, "payment_id": "pi_1", "payment_state": "succeeded", "invoice_id": str(invoice_id),
        "invoice_state": "paid", "verified_by": "signature",
    }  # fmt: skip
    assert payments(context) == [("pi_1", "succeeded", 1999, "EUR", invoice_id)]
    invoice = invoice_of(context, invoice_id)
    assert invoice.state == "paid"
    assert invoice.paid_at is not None


def test_an_event_that_comes_twice_changes_nothing(receive: Callable[..., Any], context: JobContext) -> None:
    invoice_id = open_invoice(context)
    receive(context, "payment_intent.succeeded", succeeded(invoice_id))
    paid_at = invoice_of(context, invoice_id).paid_at

    again = receive(context, "payment_intent.succeeded", succeeded(invoice_id))

    assert again["invoice_state"] == "paid"
    assert len(payments(context)) == 1
    assert invoice_of(context, invoice_id).paid_at == paid_at


def test_any_order_of_events_ends_in_the_same_state(receive: Callable[..., Any], context: JobContext) -> None:
    ends = set()
    for number, order in enumerate(permutations(range(4)), start=1):
        invoice_id = open_invoice(context, number=number)
        of_this = {"id": f"pi_{number}"}
        charge = {
            "id": f"ch_{number}",
            "payment_intent": f"pi_{number}",
            "amount": 1999,
            "currency": "eur",
            "refunded": True,
        }
        story = [
            ("payment_intent.processing", intent(invoice_id, status="processing", **of_this)),
            ("payment_intent.payment_failed", intent(invoice_id, status="requires_payment_method", **of_this)),
            ("payment_intent.succeeded", {**succeeded(invoice_id), **of_this}),
            ("charge.refunded", charge),
        ]
        for step in order:
            receive(context, *story[step])
        with context.session() as session:
            payment = session.scalars(select(Payment).where(Payment.provider_id == f"pi_{number}")).one()
            ends.add((payment.state, payment.amount, payment.invoice_id == invoice_id))
        ends.add(invoice_of(context, invoice_id).state)

    assert ends == {("refunded", 1999, True), "paid"}


@pytest.mark.parametrize("data", [{"amount": 1998}, {"currency": "usd"}], ids=["too little", "another currency"])
def test_a_payment_that_does_not_cover_the_invoice_leaves_it_open(
    receive: Callable[..., Any], context: JobContext, data: dict[str, Any]
) -> None:
    invoice_id = open_invoice(context)

    result = receive(context, "payment_intent.succeeded", intent(invoice_id, **data))

    assert (result["payment_state"], result["invoice_state"]) == ("succeeded", "open")
    assert invoice_of(context, invoice_id).paid_at is None


@pytest.mark.parametrize("state", ["draft", "void"])
def test_an_invoice_that_nobody_owes_is_not_paid(receive: Callable[..., Any], context: JobContext, state: str) -> None:
    invoice_id = open_invoice(context, state)

    assert receive(context, "payment_intent.succeeded", succeeded(invoice_id))["invoice_state"] == state


def test_another_tenants_invoice_is_out_of_reach(
    receive: Callable[..., Any], context: JobContext, make_context: MakeContext, make_tenant: Callable[..., UUID]
) -> None:
    neighbour = make_context("system.ping", make_tenant("pooled"), {})[0]
    theirs = open_invoice(neighbour)

    result = receive(context, "payment_intent.succeeded", succeeded(theirs))

    assert result["invoice_state"] is None
    assert invoice_of(neighbour, theirs).state == "open"
    assert payments(neighbour) == []


def test_a_payment_without_an_invoice_is_kept(receive: Callable[..., Any], context: JobContext) -> None:
    result = receive(context, "payment_intent.succeeded", succeeded(None))

    assert (result["invoice_id"], result["invoice_state"]) == (None, None)
    assert payments(context) == [("pi_1", "succeeded", 1999, "EUR", None)]


def test_other_events_are_taken_without_effect(receive: Callable[..., Any], context: JobContext) -> None:
    assert receive(context, "customer.created", {"id": "cus_1"}) == {"handled": False}
    assert payments(context) == []


@pytest.mark.parametrize("data", [None, [], {}, {"id": "pi_1"}, {"id": "pi_1", "amount": "1", "currency": "eur"}])
def test_an_event_of_another_shape_is_refused_for_good(
    receive: Callable[..., Any], context: JobContext, data: Any
) -> None:
    with pytest.raises(Permanent) as raised:
        receive(context, "payment_intent.succeeded", data)

    assert raised.value.job_code == "malformed_event"
    assert payments(context) == []


def test_another_source_is_refused_for_good(receive: Callable[..., Any], context: JobContext) -> None:
    with pytest.raises(Permanent) as raised:
        receive(context, "payment.succeeded", {}, source="paypal")

    assert raised.value.job_code == "source_not_supported"


# --- with a key, Stripe is asked again


@pytest.fixture
def keyed(context: JobContext, under: Callable[..., JobContext], httpserver: HTTPServer) -> JobContext:
    """The context on a platform with a Stripe account, whose API is the test's double."""
    return under(context, stripe_api_key=SecretStr("sk_test_1"), stripe_api_base=httpserver.url_for("").rstrip("/"))


def test_what_stripe_says_now_counts_more_than_the_event(
    receive: Callable[..., Any], keyed: JobContext, httpserver: HTTPServer
) -> None:
    invoice_id = open_invoice(keyed)
    httpserver.expect_request("/v1/payment_intents/pi_1").respond_with_json(succeeded(invoice_id))

    result = receive(keyed, "payment_intent.processing", intent(status="processing", amount=1))

    assert (result["payment_state"], result["invoice_state"], result["verified_by"]) == (
        "succeeded",
        "paid",
        "provider",
    )


def test_a_stripe_that_is_down_is_asked_again_later(
    receive: Callable[..., Any], keyed: JobContext, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/v1/payment_intents/pi_1").respond_with_json({"error": {}}, status=500)

    with pytest.raises(Transient):
        receive(keyed, "payment_intent.succeeded", succeeded(None))

    assert payments(keyed) == []


def test_an_event_about_an_object_that_stripe_does_not_have_changes_nothing(
    receive: Callable[..., Any], keyed: JobContext, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/v1/payment_intents/pi_1").respond_with_json({"error": {"message": "No"}}, status=404)

    with pytest.raises(Permanent) as raised:
        receive(keyed, "payment_intent.succeeded", succeeded(None))

    assert raised.value.job_code == "object_not_found"
    assert payments(keyed) == []
