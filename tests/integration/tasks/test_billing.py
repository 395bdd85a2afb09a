"""`billing.cycle`: each period that has ended is billed once, whatever runs beside it or was cut off."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert

from domain.errors import Cancelled, Transient
from jobs.context import JobContext
from models.tenant import Customer, Invoice, InvoiceCounter, InvoiceLine, Plan, Subscription
from tasks.billing import cycle, refresh_due

MakeContext = Callable[..., Any]
ANCHOR = datetime(2026, 1, 31, 12, tzinfo=UTC)
MAY = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
def billing(make_context: MakeContext, pooled_tenant: UUID) -> Callable[..., tuple[JobContext, Any]]:
    """A claimed cycle of one tenant."""

    def make(until: datetime = MAY) -> tuple[JobContext, Any]:
        claimed: tuple[JobContext, Any] = make_context("billing.cycle", pooled_tenant, {"until": until.isoformat()})
        return claimed

    return make


def subscribe(
    context: JobContext,
    *,
    anchor: datetime = ANCHOR,
    due: datetime | None = None,
    timezone: str = "UTC",
    state: str = "active",
    **plan: Any,
) -> UUID:
    """A subscription that was never billed. `due` is the end of its first period."""
    keys = {"tenant_id": context.tenant_id}
    terms = {"amount": 1999, "currency": "EUR", "interval": "month", **plan}
    with context.session() as session:
        customer = Customer(**keys, name="Ada", email="ada@example.com", timezone=timezone)
        sold = Plan(**keys, code=f"pro-{datetime.now(UTC).timestamp()}", name="Pro", **terms)
        session.add_all([customer, sold])
        session.flush()
        subscription = Subscription(
            **keys, customer_id=customer.id, plan_id=sold.id, state=state, anchor_at=anchor,
            next_cycle_at=due or anchor + timedelta(days=28),
        )  # fmt: skip
        session.add(subscription)
        session.flush()
        return subscription.id


def invoices(context: JobContext) -> list[Invoice]:
    with context.session() as session:
        return list(session.scalars(select(Invoice).order_by(Invoice.number)))


def subscription_of(context: JobContext, id: UUID) -> Subscription:
    with context.session() as session:
        return session.get_one(Subscription, (context.tenant_id, id))


def due_at(context: JobContext) -> datetime | None:
    (row,) = context.tenancy.platform.fetch(
        "SELECT billing_due_at FROM tenants WHERE id = %(id)s", {"id": context.tenant_id}
    )
    found: datetime | None = row["billing_due_at"]
    return found


# --- what is billed


def test_a_three_period_outage_bills_three_invoices(billing: Callable[..., Any]) -> None:
    context, payload = billing()
    id = subscribe(context)

    result = cycle(context, payload)

    assert result == {"invoices": 3, "subscriptions": 1, "until": MAY.isoformat()}
    billed = invoices(context)
    assert [invoice.number for invoice in billed] == [1, 2, 3]
    assert [(invoice.period_start.day, invoice.period_end.day) for invoice in billed] == [(31, 28), (28, 31), (31, 30)]
    assert [(invoice.total, invoice.currency, invoice.state) for invoice in billed] == [(1999, "EUR", "open")] * 3
    row = subscription_of(context, id)
    assert (row.periods_billed, row.next_cycle_at) == (3, datetime(2026, 5, 31, 12, tzinfo=UTC))


def test_an_invoice_has_its_line_and_what_was_agreed(billing: Callable[..., Any]) -> None:
    context, payload = billing(ANCHOR + timedelta(days=28))
    subscribe(context)
    cycle(context, payload)

    with context.session() as session:
        session.execute(update(Plan).values(name="Renamed"))
        session.execute(update(Customer).values(name="Bob"))
        (line,) = session.scalars(select(InvoiceLine))
    (invoice,) = invoices(context)

    assert (line.invoice_id, line.description, line.quantity, line.unit_amount, line.amount) == (
        invoice.id, "Pro", 1, 1999, 1999,
    )  # fmt: skip
    assert (invoice.snapshot["plan"]["name"], invoice.snapshot["plan"]["amount"]) == ("Pro", 1999)
    assert invoice.snapshot["customer"]["name"] == "Ada"


def test_a_period_that_has_not_ended_is_not_billed(billing: Callable[..., Any]) -> None:
    end = ANCHOR + timedelta(days=28)
    context, payload = billing(end - timedelta(microseconds=1))
    id = subscribe(context)

    assert cycle(context, payload)["invoices"] == 0
    assert subscription_of(context, id).next_cycle_at == end


def test_a_subscription_that_says_it_is_due_too_early_is_put_right(billing: Callable[..., Any]) -> None:
    context, payload = billing(ANCHOR + timedelta(days=1))
    id = subscribe(context, due=ANCHOR)

    assert cycle(context, payload)["invoices"] == 0
    assert subscription_of(context, id).next_cycle_at == ANCHOR + timedelta(days=28)


@pytest.mark.parametrize("state", ["canceled", "unpaid"])
def test_only_running_subscriptions_are_billed(billing: Callable[..., Any], state: str) -> None:
    context, payload = billing()
    subscribe(context, state=state)

    assert cycle(context, payload)["invoices"] == 0
    assert due_at(context) is None


def test_periods_end_at_the_customers_midnight(billing: Callable[..., Any]) -> None:
    anchor = datetime(2026, 2, 28, 23, tzinfo=UTC)  # 1 March in Berlin
    context, payload = billing(datetime(2026, 4, 1, tzinfo=UTC))
    subscribe(context, anchor=anchor, due=anchor, timezone="Europe/Berlin")

    cycle(context, payload)

    assert [invoice.period_end for invoice in invoices(context)] == [datetime(2026, 3, 31, 22, tzinfo=UTC)]


def test_an_invoice_over_nothing_is_paid_from_the_start(billing: Callable[..., Any]) -> None:
    context, payload = billing(ANCHOR + timedelta(days=28))
    subscribe(context, amount=0)

    cycle(context, payload)

    (invoice,) = invoices(context)
    assert (invoice.total, invoice.state) == (0, "paid")
    assert invoice.paid_at is not None


def test_many_subscriptions_in_several_pages_are_billed_with_progress(
    billing: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.billing.cycles.PAGE", 2)
    context, payload = billing()
    for _ in range(5):
        subscribe(context)

    assert cycle(context, payload)["invoices"] == 15

    assert [invoice.number for invoice in invoices(context)] == list(range(1, 16))
    assert [(done, total) for done, total, _ in context.sink.seen] == [(n, 5) for n in (0, 2, 4, 5)]
    assert context.sink.seen[-1][2] == "15 invoices"


def test_tenants_in_one_database_number_their_invoices_apart(
    billing: Callable[..., Any], make_tenant: Callable[..., UUID], make_context: MakeContext
) -> None:
    context, payload = billing()
    other, others_payload = make_context("billing.cycle", make_tenant("pooled"), {"until": MAY.isoformat()})
    subscribe(context)
    subscribe(other)

    cycle(context, payload)
    cycle(other, others_payload)

    assert [invoice.number for invoice in invoices(context)] == [1, 2, 3]
    assert [invoice.number for invoice in invoices(other)] == [1, 2, 3]


# --- each period once


def test_a_second_run_bills_nothing_more(billing: Callable[..., Any]) -> None:
    context, payload = billing()
    subscribe(context)
    cycle(context, payload)

    assert cycle(context, payload)["invoices"] == 0
    assert len(invoices(context)) == 3


def test_runs_beside_each_other_bill_each_period_once_and_leave_no_gap(billing: Callable[..., Any]) -> None:
    runs = [billing() for _ in range(4)]
    context = runs[0][0]
    for _ in range(6):
        subscribe(context)

    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda run: cycle(*run), runs))

    assert sum(result["invoices"] for result in results) == 18
    billed = invoices(context)
    assert [invoice.number for invoice in billed] == list(range(1, 19))
    assert len({(invoice.subscription_id, invoice.period_start) for invoice in billed}) == 18


def test_a_run_that_is_stopped_is_finished_by_the_next(
    billing: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.billing.cycles.PAGE", 1)
    context, payload = billing()
    subscribe(context)
    subscribe(context)
    stopped, _ = billing()
    stopped.sink.progress = lambda _id, _token, done, *_: stopped.request_cancel() if done else None
    with pytest.raises(Cancelled):
        cycle(stopped, payload)
    assert len(invoices(context)) == 3

    cycle(context, payload)

    assert [invoice.number for invoice in invoices(context)] == list(range(1, 7))


def test_a_period_that_has_its_invoice_is_passed_without_a_gap_in_the_numbers(billing: Callable[..., Any]) -> None:
    context, payload = billing()
    id = subscribe(context)
    cycle(context, payload)
    # As after restoring a backup of the subscriptions alone.
    with context.session() as session:
        session.execute(update(Subscription).values(periods_billed=1, next_cycle_at=ANCHOR + timedelta(days=59)))
    june, payload = billing(datetime(2026, 6, 1, tzinfo=UTC))

    assert cycle(june, payload)["invoices"] == 1

    assert [invoice.number for invoice in invoices(context)] == [1, 2, 3, 4]
    assert subscription_of(context, id).periods_billed == 4


def test_a_failed_transaction_takes_no_number(billing: Callable[..., Any]) -> None:
    context, payload = billing()
    id = subscribe(context)
    with context.session() as session:
        session.execute(insert(InvoiceCounter).values(tenant_id=context.tenant_id, last_number=41))
        session.execute(update(Customer).values(timezone="Nowhere/Land"))
    with pytest.raises(Transient):
        cycle(context, payload)
    with context.session() as session:
        session.execute(update(Customer).values(timezone="UTC"))

    cycle(context, payload)

    assert [invoice.number for invoice in invoices(context)] == [42, 43, 44]
    assert subscription_of(context, id).periods_billed == 3


def test_a_subscription_that_cannot_be_billed_does_not_hold_up_the_others(billing: Callable[..., Any]) -> None:
    context, payload = billing()
    good = [subscribe(context), subscribe(context, timezone="Nowhere/Land"), subscribe(context)]
    del good[1]

    with pytest.raises(Transient) as raised:
        cycle(context, payload)

    assert raised.value.job_code == "billing_incomplete"
    assert {invoice.subscription_id for invoice in invoices(context)} == set(good)
    assert len(invoices(context)) == 6
    assert due_at(context) == ANCHOR + timedelta(days=28)  # still due: the tick comes back to it


# --- when the tenant is due again


def test_the_platform_learns_when_the_tenant_is_due_next(billing: Callable[..., Any]) -> None:
    context, payload = billing()
    subscribe(context)
    subscribe(context, anchor=ANCHOR + timedelta(days=4), due=ANCHOR + timedelta(days=32))

    cycle(context, payload)

    assert due_at(context) == datetime(2026, 5, 4, 12, tzinfo=UTC)


def test_a_tenant_without_subscriptions_is_not_due(billing: Callable[..., Any]) -> None:
    context, payload = billing()
    context.tenancy.platform.fetch(
        "UPDATE tenants SET billing_due_at = now() WHERE id = %(id)s", {"id": context.tenant_id}
    )

    cycle(context, payload)

    assert due_at(context) is None


def test_a_subscription_created_while_the_next_time_is_written_is_not_lost(billing: Callable[..., Any]) -> None:
    context, _ = billing()
    subscribe(context, due=MAY)
    created = datetime(2026, 2, 1, tzinfo=UTC)
    with ThreadPoolExecutor(1) as threads:
        with context.tenancy.platform.session({}) as session:
            session.execute(text("SELECT 1 FROM tenants WHERE id = :id FOR UPDATE"), {"id": context.tenant_id})
            refreshed = threads.submit(refresh_due, context)  # looks, and then waits for the row to write
            _until_someone_waits(context)
            subscribe(context, due=created)
        assert refreshed.result(10) == created

    assert due_at(context) == created


def _until_someone_waits(context: JobContext) -> None:
    deadline = time.monotonic() + 10
    waiting = """SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
                  AND query LIKE 'UPDATE tenants SET billing_due_at%%'"""
    while not context.tenancy.platform.fetch(waiting, {}):
        assert time.monotonic() < deadline
        time.sleep(0.01)
