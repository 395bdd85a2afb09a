"""Payments: every order of the same reports ends in the same payment."""

from __future__ import annotations

from functools import reduce
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.billing.payments import Payment, PaymentState, advance, merge, settles
from domain.billing.stripe_amounts import from_stripe, to_stripe
from domain.billing.stripe_events import failed_refund, read_event, read_payment, refund_key
from domain.errors import Permanent

INVOICE = "019a0000-0000-7000-8000-000000000001"

states = st.sampled_from(PaymentState)
reports = st.builds(
    Payment,
    provider_id=st.just("pi_1"),
    state=states,
    amount=st.integers(0, 5),
    currency=st.sampled_from(["EUR", "USD"]),
    invoice_id=st.sampled_from([None, UUID(int=1), UUID(int=2)]),
)


def intent(**fields: Any) -> dict[str, Any]:
    return {"id": "pi_1", "object": "payment_intent", "amount": 1999, "currency": "eur", **fields}


def event(kind: str, data: Any) -> dict[str, Any]:
    return {"id": "evt_1", "type": kind, "data": {"object": data}}


# --- states


@given(states, states)
def test_a_payment_never_moves_back(current: PaymentState, reported: PaymentState) -> None:
    order = list(PaymentState)

    assert order.index(advance(current, reported)) >= order.index(current)


def test_a_failed_payment_may_still_succeed() -> None:
    assert advance(PaymentState.FAILED, PaymentState.SUCCEEDED) is PaymentState.SUCCEEDED


def test_a_late_failure_does_not_undo_a_success() -> None:
    assert advance(PaymentState.SUCCEEDED, PaymentState.FAILED) is PaymentState.SUCCEEDED


@given(st.lists(reports, min_size=1, max_size=6), st.randoms())
def test_any_order_of_reports_ends_in_the_same_payment(seen: list[Payment], random: Any) -> None:
    shuffled = list(seen)
    random.shuffle(shuffled)

    assert reduce(merge, shuffled) == reduce(merge, seen)


@given(st.lists(reports, min_size=1, max_size=6))
def test_a_report_that_comes_twice_changes_nothing(seen: list[Payment]) -> None:
    once = reduce(merge, seen)

    assert reduce(merge, [*seen, *seen]) == once


@given(reports, reports, reports)
def test_merging_is_associative(one: Payment, two: Payment, three: Payment) -> None:
    assert merge(merge(one, two), three) == merge(one, merge(two, three))


# --- settling


@pytest.mark.parametrize(
    ("state", "amount", "currency", "settled"),
    [
        (PaymentState.SUCCEEDED, 1999, "eur", True),
        (PaymentState.SUCCEEDED, 2500, "EUR", True),
        (PaymentState.REFUNDED, 1999, "EUR", True),
        (PaymentState.SUCCEEDED, 1998, "EUR", False),
        (PaymentState.SUCCEEDED, 1999, "USD", False),
        (PaymentState.PENDING, 1999, "EUR", False),
        (PaymentState.FAILED, 1999, "EUR", False),
    ],
)
def test_a_payment_settles_an_invoice_that_it_covers(
    state: PaymentState, amount: int, currency: str, settled: bool
) -> None:
    assert settles(Payment("pi_1", state, amount, "EUR", None), 1999, currency) is settled


# --- Stripe's amounts


@pytest.mark.parametrize(
    ("ours", "currency", "stripes"),
    [
        (1999, "EUR", 1999),
        (500, "JPY", 500),
        (5000, "ISK", 500000),
        (7, "ugx", 700),
        (1500, "MGA", 15),
        (5120, "KWD", 5120),
    ],
)
def test_stripe_has_its_own_units_for_some_currencies(ours: int, currency: str, stripes: int) -> None:
    assert to_stripe(ours, currency) == stripes
    assert from_stripe(stripes, currency) == ours


def test_what_stripe_cannot_divide_is_not_rounded() -> None:
    with pytest.raises(Permanent) as raised:
        to_stripe(1550, "MGA")
    assert raised.value.job_code == "provider_rejected"


def test_a_payment_in_kronur_settles_an_invoice_in_kronur() -> None:
    told = intent(currency="isk", amount=500000, amount_received=500000)
    assert settles(read_payment("payment_intent.succeeded", told), 5000, "ISK")
    assert not settles(read_payment("payment_intent.succeeded", told), 5001, "ISK")


# --- Stripe's events


@pytest.mark.parametrize(
    ("kind", "data", "state", "amount"),
    [
        ("payment_intent.succeeded", intent(status="succeeded", amount_received=1900), PaymentState.SUCCEEDED, 1900),
        ("payment_intent.succeeded", intent(), PaymentState.SUCCEEDED, 1999),
        ("payment_intent.payment_failed", intent(status="requires_payment_method"), PaymentState.FAILED, 1999),
        (
            "payment_intent.payment_failed",
            intent(status="succeeded", amount_received=1999),
            PaymentState.SUCCEEDED,
            1999,
        ),
        ("payment_intent.processing", intent(status="processing"), PaymentState.PENDING, 1999),
        ("payment_intent.processing", intent(status="canceled"), PaymentState.FAILED, 1999),
    ],
)
def test_an_intent_reports_the_later_of_the_events_and_the_objects_state(
    kind: str, data: dict[str, Any], state: PaymentState, amount: int
) -> None:
    read = read_payment(kind, data)

    assert (read.provider_id, read.state, read.amount, read.currency) == ("pi_1", state, amount, "EUR")


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"refunded": True, "amount_refunded": 1999}, PaymentState.REFUNDED),
        ({"amount_refunded": 1999}, PaymentState.REFUNDED),
        ({"refunded": False, "amount_refunded": 500}, PaymentState.SUCCEEDED),
    ],
)
def test_only_a_full_refund_refunds_the_payment_of_its_intent(fields: dict[str, Any], state: PaymentState) -> None:
    charge = {"id": "ch_1", "payment_intent": "pi_1", "amount": 1999, "currency": "eur", **fields}

    read = read_payment("charge.refunded", charge)

    assert (read.provider_id, read.state) == ("pi_1", state)


def test_a_paid_invoice_of_stripes_is_a_payment_that_succeeded() -> None:
    read = read_payment("invoice.paid", {"id": "in_1", "amount_paid": 1999, "currency": "eur"})

    assert read == Payment("in_1", PaymentState.SUCCEEDED, 1999, "EUR", None)


def test_the_metadata_names_our_invoice() -> None:
    read = read_payment("payment_intent.succeeded", intent(metadata={"invoice_id": INVOICE}))

    assert read.invoice_id == UUID(INVOICE)


@pytest.mark.parametrize(
    "metadata", [None, {}, {"invoice_id": "17"}, {"invoice_id": 17}, "invoice_id", {"invoice_id": ""}]
)
def test_other_metadata_names_none(metadata: Any) -> None:
    assert read_payment("payment_intent.succeeded", intent(metadata=metadata)).invoice_id is None


@pytest.mark.parametrize("kind", ["refund.failed", "refund.updated", "charge.refund.updated"])
def test_an_event_of_a_refund_speaks_of_a_refund(kind: str) -> None:
    read = read_event(event(kind, {"id": "re_1", "status": "failed"}))

    assert read is not None
    assert (read.object_type, read.object_id) == ("refund", "re_1")


@pytest.mark.parametrize(
    ("status", "has_failed"),
    [
        ("failed", True),
        ("canceled", True),
        ("pending", False),
        ("requires_action", False),
        ("succeeded", False),
        (None, False),
        ([], False),
    ],
)
def test_only_a_refund_that_failed_or_was_canceled_names_its_credit_note(status: Any, has_failed: bool) -> None:
    note_id = UUID(int=3)

    found = failed_refund({"id": "re_1", "status": status, "metadata": {"key": refund_key(note_id)}})

    assert found == (note_id if has_failed else None)


def test_an_event_that_we_do_not_handle_is_none() -> None:
    assert read_event(event("customer.created", {"id": "cus_1"})) is None


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"type": 7},
        {"type": "invoice.paid"},
        {"type": "invoice.paid", "data": []},
        event("invoice.paid", "in_1"),
        event("invoice.paid", {}),
        event("invoice.paid", {"id": 7}),
        event("refund.failed", {"status": "failed"}),
    ],
)
def test_an_event_of_another_shape_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(Permanent) as raised:
        read_event(broken)

    assert raised.value.job_code == "malformed_event"


@pytest.mark.parametrize(
    "fields",
    [{"amount": None}, {"amount": -1}, {"amount": True}, {"amount": 2**63}, {"currency": None}, {"amount": "7"}],
)
def test_an_object_without_money_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(Permanent) as raised:
        read_payment("payment_intent.succeeded", intent(**fields))

    assert raised.value.job_code == "malformed_event"


def test_a_payments_whole_story_in_any_order_ends_refunded_with_its_invoice() -> None:
    story = [
        read_payment("payment_intent.processing", intent(status="processing")),
        read_payment("payment_intent.payment_failed", intent(status="requires_payment_method")),
        read_payment("payment_intent.succeeded", intent(amount_received=1999, metadata={"invoice_id": INVOICE})),
        read_payment(
            "charge.refunded",
            {"id": "ch_1", "payment_intent": "pi_1", "amount": 1999, "currency": "eur", "refunded": True},
        ),
    ]

    ends = {reduce(merge, order) for order in permutations(story)}

    assert ends == {Payment("pi_1", PaymentState.REFUNDED, 1999, "EUR", UUID(INVOICE))}
