"""Billing: subscriptions that are due at once, beside one transaction per row; usage counted; webhooks answered.

The naive loop is what one would write first: for each due subscription a transaction that reads it, its plan and its
customer, takes a number, inserts the invoice and its line, and moves the subscription on. Both bill the same number of
subscriptions of tenants of their own in the same database, one after the other, and ours also publishes an event for each.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, LiteralString
from uuid import UUID
from zoneinfo import ZoneInfo

import psutil
from rich.progress import Progress
from sqlalchemy import select, text
from sqlalchemy.orm import Session

import tasks
from bench.engine import Engine
from bench.ground import Ground
from bench.service import start_web
from bench.wire import Connection
from domain.billing.money import Line
from domain.billing.periods import Cadence, Period, period
from domain.billing.signatures import sign_stripe
from domain.billing.statement import Window
from domain.billing.timeline import ChargeTerms
from domain.identity.principals import system
from domain.ids import new_id
from jobs.context import JobContext
from jobs.handlers import HANDLERS
from models.tenant import Customer, Invoice, InvoiceLine, Plan, Subscription
from models.tenant.billing_reads import Measurement, measured
from models.tenant.numbering import invoice_numbers

ANCHOR = datetime(2026, 1, 31, 12, tzinfo=UTC)
DUE = ANCHOR + timedelta(days=28)
SENDERS = 50
PAUSE = 0.5
"""Seconds between two events of a sender: 100 events a second in all, on one web process."""

_SUBSCRIPTIONS: LiteralString = """
INSERT INTO subscriptions (tenant_id, id, customer_id, plan_id, anchor_at, next_cycle_at)
SELECT :tenant_id, gen_random_uuid(), :customer_id, :plan_id, :anchor, :due FROM generate_series(1, :count)
"""
_EVENTS: LiteralString = """
INSERT INTO usage_events (tenant_id, id, transaction_id, customer_id, code, timestamp, value)
SELECT :tenant_id, gen_random_uuid(), 'bench-' || n, :customer_id, 'calls', CAST(:start AS timestamptz) + n * interval '1 second', n % 7
  FROM generate_series(1, :count) n
"""


@dataclass
class _Silent:
    """Takes progress and forgets it."""

    def progress(self, job_id: UUID, token: UUID, done: int, total: int | None, message: str) -> None:
        """Nothing."""


def measure(ground: Ground, subscriptions: int, events: int, webhooks: int, progress: Progress) -> dict[str, Any]:
    """Seconds and rates of each part; raises `AssertionError` if a period was billed twice or not at all."""
    tasks.load()
    task = progress.add_task("billing: one transaction per row", total=4)
    naive_tenant, ours_tenant = ground.tenant(), ground.tenant()
    for tenant_id in (naive_tenant, ours_tenant):
        _subscribe(ground, tenant_id, subscriptions)
    naive = _timed(lambda: _naive(ground, naive_tenant))
    progress.update(task, description="billing: cycles", advance=1)
    ours = _resumed(ground, ours_tenant, subscriptions)
    for tenant_id in (naive_tenant, ours_tenant):
        _check(ground, tenant_id, subscriptions)
    progress.update(task, description="billing: usage", advance=1)
    counted = _usage(ground, events)
    progress.update(task, description="billing: webhooks", advance=1)
    answered = _webhooks(ground, webhooks)
    return {"subscriptions": subscriptions, "naive_seconds": naive, "cycle_seconds": ours, "ratio": naive / ours,
            "usage": counted, "webhooks": answered}  # fmt: skip


def _timed(work: Any) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _subscribe(ground: Ground, tenant_id: UUID, count: int) -> tuple[UUID, UUID]:
    with ground.tenancy.session(tenant_id) as session:
        customer = Customer(tenant_id=tenant_id, id=new_id(), name="Ada", email="ada@example.com")
        plan = Plan(
            tenant_id=tenant_id, id=new_id(), code="p", name="Team", amount=2900, currency="EUR", interval="month"
        )
        session.add_all([customer, plan])
        session.flush()
        parameters = {"customer_id": customer.id, "plan_id": plan.id, "anchor": ANCHOR, "due": DUE, "count": count}
        session.execute(text(_SUBSCRIPTIONS), {"tenant_id": tenant_id, **parameters})
        return customer.id, plan.id


def _naive(ground: Ground, tenant_id: UUID) -> None:
    with ground.tenancy.session(tenant_id) as session:
        ids = list(session.scalars(select(Subscription.id).where(Subscription.next_cycle_at <= DUE)))
    for each in ids:
        with ground.tenancy.session(tenant_id) as session:
            _bill_one(session, tenant_id, each)


def _bill_one(session: Session, tenant_id: UUID, id: UUID) -> None:
    row = session.get_one(Subscription, (tenant_id, id), with_for_update=True)
    plan = session.get_one(Plan, (tenant_id, row.plan_id))
    customer = session.get_one(Customer, (tenant_id, row.customer_id))
    cadence = Cadence(row.anchor_at, plan.interval, plan.interval_count, ZoneInfo(customer.timezone))
    ended: Period = period(cadence, row.periods_billed)
    line = Line(plan.name, Decimal(1), Decimal(plan.amount))
    invoice = Invoice(
        tenant_id=tenant_id, id=new_id(), number=invoice_numbers(session, tenant_id), subscription_id=row.id,
        customer_id=customer.id, period_start=ended.start, period_end=ended.end, currency=plan.currency, total=line.amount,
        state="open", snapshot={"plan": {"code": plan.code}},
    )  # fmt: skip
    session.add(invoice)
    session.flush()
    session.add(InvoiceLine(tenant_id=tenant_id, id=new_id(), invoice_id=invoice.id, description=line.description,
                            quantity=line.quantity, unit_amount=line.unit_amount, amount=line.amount))  # fmt: skip
    row.periods_billed += 1
    row.next_cycle_at = period(cadence, row.periods_billed).end


def _resumed(ground: Ground, tenant_id: UUID, subscriptions: int) -> float:
    """Seconds of a cycle that is cancelled half-way and of the one that goes on."""
    first = _context(ground, tenant_id)
    stop_at = subscriptions // 2

    class _Stopping(_Silent):
        def progress(self, job_id: UUID, token: UUID, done: int, total: int | None, message: str) -> None:
            if done >= stop_at:
                first.request_cancel()

    first.sink = _Stopping()
    started = time.perf_counter()
    try:
        HANDLERS["billing.cycle"](first, {"until": DUE})
    except Exception as error:
        if type(error).__name__ != "Cancelled":
            raise
    HANDLERS["billing.cycle"](_context(ground, tenant_id), {"until": DUE})
    return time.perf_counter() - started


def _context(ground: Ground, tenant_id: UUID) -> JobContext:
    return JobContext(
        job_id=new_id(), kind="billing.cycle", attempt=1, token=new_id(), principal=system("bench", tenant_id),
        tenancy=ground.tenancy, deadline=time.monotonic() + 3600, sink=_Silent(),
    )  # fmt: skip


def _check(ground: Ground, tenant_id: UUID, expected: int) -> None:
    with ground.tenancy.session(tenant_id) as session:
        numbers = list(session.scalars(select(Invoice.number).order_by(Invoice.number)))
        billed = len(set(session.scalars(select(Invoice.subscription_id))))
    if numbers != list(range(1, expected + 1)) or billed != expected:
        raise AssertionError(
            f"{expected} periods were due, {len(numbers)} invoices for {billed} subscriptions are there"
        )


def _usage(ground: Ground, count: int) -> dict[str, float]:
    """Events a second that are summed, and what this process needs more of memory for it."""
    tenant_id = ground.tenant()
    customer_id, _ = _subscribe(ground, tenant_id, 1)
    with ground.tenancy.session(tenant_id) as session:
        parameters = {"tenant_id": tenant_id, "customer_id": customer_id, "start": ANCHOR, "count": count}
        session.execute(text(_EVENTS), parameters)
    charge = ChargeTerms(new_id(), "calls", "Calls", "sum", "standard", {})
    window = Window(charge, ANCHOR, ANCHOR + timedelta(days=60))
    before = psutil.Process().memory_info().rss
    started = time.perf_counter()
    with ground.tenancy.session(tenant_id) as session:
        (total,) = measured(session, tenant_id, [Measurement(customer_id, window)])
    seconds = time.perf_counter() - started
    if total != sum(n % 7 for n in range(1, count + 1)):
        raise AssertionError(f"{count} events come to {total}")
    grown = (psutil.Process().memory_info().rss - before) / 2**20
    return {"events": count, "seconds": seconds, "grown_mib": grown}


def _webhooks(ground: Ground, count: int) -> dict[str, Any]:
    """Senders that pause between two events, and then senders that send the next one as soon as they are answered.

    The latter drive the process as hard as it goes, so theirs is its rate, and fifty requests at once wait for each other.
    """
    # As once a platform has started: until then the operator's tenant is read afresh for each event.
    ground.tenancy.platform.fetch("UPDATE tenants SET state = 'active' WHERE is_operator", {})
    with Engine(ground.settings, ground.home / "log") as engine:
        process, base_url = start_web(engine)
        asyncio.run(_send(base_url, SENDERS * 2, PAUSE))  # connections to the servers behind are made
        paced = asyncio.run(_send(base_url, count, PAUSE))
        began, busy = time.perf_counter(), _processor_seconds(process.pid)
        pressed = asyncio.run(_send(base_url, count, 0.0))
        seconds, busy = time.perf_counter() - began, _processor_seconds(process.pid) - busy
    return {
        "senders": SENDERS, "pause_seconds": PAUSE, "events": len(paced), "seconds": _spread(paced),
        "pressed": {
            "events": len(pressed), "seconds": _spread(pressed), "rate": len(pressed) / seconds,
            "processor_seconds_each": busy / len(pressed),
        },
    }  # fmt: skip


def _spread(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {name: ordered[int(len(ordered) * part)] for name, part in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}


def _processor_seconds(pid: int) -> float:
    """What gunicorn and its worker have used of the processors."""
    master = psutil.Process(pid)
    times = [each.cpu_times() for each in (master, *master.children(recursive=True))]
    return sum(each.user + each.system for each in times)


async def _send(base_url: str, count: int, pause: float) -> list[float]:
    seconds: list[float] = []

    async def sender(number: int) -> None:
        await asyncio.sleep(pause * number / SENDERS)
        async with await Connection.open(base_url) as connection:
            for _ in range(max(1, count // SENDERS)):
                event = _event()
                signature = sign_stripe(json.dumps(event).encode(), "whsec_bench", int(time.time()))
                sent = time.perf_counter()
                headers = {"Stripe-Signature": signature}
                await connection.body(await connection.request("POST", "/api/v1/webhooks/stripe", headers, event))
                seconds.append(time.perf_counter() - sent)
                await asyncio.sleep(pause)

    await asyncio.gather(*(sender(number) for number in range(SENDERS)))
    return seconds


def _event() -> Mapping[str, Any]:
    intent = {"id": f"pi_{new_id().hex}", "status": "succeeded", "amount": 2900, "currency": "eur"}
    return {"id": f"evt_{new_id().hex}", "type": "payment_intent.succeeded", "data": {"object": intent}}
