"""Subscribing and changing subscriptions: the same for the operator's customers and for a merchant's."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from domain.billing.cycles import Course, next_cycle
from domain.billing.periods import boundary, zone_named
from domain.billing.subscriptions import actions, check_action, check_change
from domain.billing.timeline import Phase
from domain.billing.usage import number_at
from domain.errors import FieldError, InvalidPayload
from domain.ids import new_id
from models.tenant import Customer, Plan, Subscription, SubscriptionChange
from models.tenant.billing_reads import course_of, phases_of, plan_terms
from models.tenant.owing import owed_state
from web.bookkeeping import insert_once, lower_due, named
from web.giving_up import give_up, open_invoices

LONGEST_REACH = timedelta(days=3660)
"""How far from now an anchor may lie: each period of a backdated subscription becomes an invoice."""


def subscribe(
    session: Session, seller: UUID, customer: Customer, plan_id: UUID, asked: datetime | None
) -> Subscription:
    """A subscription of the customer to the plan. The first period begins at `asked`, or now, or when the trial is over.

    One that is paid in advance waits as `incomplete` for its first payment. Raises `NotFound` and `InvalidPayload`.
    """
    now = datetime.now(UTC)
    plan = named(session, seller, Plan, plan_id)
    anchor_at = _anchor(asked, now) + timedelta(days=plan.trial_days)
    terms = plan_terms(session, seller, [plan.id])[plan.id]
    trialing = plan.trial_days > 0 and anchor_at > now
    course = Course(anchor_at, zone_named(customer.timezone), (Phase(anchor_at, terms),), 0)
    state = "trialing" if trialing else "incomplete" if plan.pay_in_advance and plan.amount else "active"
    due = anchor_at if trialing else next_cycle(course).due_at
    values = {
        "customer_id": customer.id, "plan_id": plan.id, "anchor_at": anchor_at, "state": state, "next_cycle_at": due,
    }  # fmt: skip
    made = insert_once(session, seller, Subscription, values)
    lower_due(seller, made.next_cycle_at)
    return made


def change_plan(session: Session, subscription: Subscription, plan_id: UUID) -> None:
    """Go over to another plan of the same rhythm and currency from this second on. Raises `InvalidPayload`."""
    _check("change_plan", subscription)
    plan = named(session, subscription.tenant_id, Plan, plan_id)
    terms = plan_terms(session, subscription.tenant_id, [subscription.plan_id, plan.id])
    check_change(terms[subscription.plan_id], terms[plan.id])
    _change(session, subscription, plan.id, paused=False)
    subscription.plan_id = plan.id


def pause(session: Session, subscription: Subscription) -> None:
    """From this second on no fee is owed; usage still is."""
    _check("pause", subscription)
    _change(session, subscription, subscription.plan_id, paused=True)
    subscription.state = "paused"


def resume(session: Session, subscription: Subscription) -> None:
    """From this second on the fee is owed again. Periods have gone on meanwhile, and what was owed before still is."""
    _check("resume", subscription)
    _change(session, subscription, subscription.plan_id, paused=False)
    subscription.state = owed_state(session, subscription.tenant_id, subscription.id)


def cancel(session: Session, subscription: Subscription, *, at_once: bool) -> None:
    """End it now, or with the period that runs. What was used until then is billed by the cycle, which then ends it.

    One that never began, since its first invoice was not paid, owes nothing: the invoice is voided. Raises `Conflict` while
    that one is being collected.
    """
    _check("cancel", subscription)
    moment = datetime.now(UTC)
    now = moment.replace(microsecond=0)
    if subscription.state == "incomplete":
        for invoice in open_invoices(session, subscription.tenant_id, subscription.id):
            give_up(session, invoice, "void")
    if subscription.state in ("incomplete", "unpaid"):  # nothing of it is billed any more
        subscription.state, subscription.cancel_at, subscription.canceled_at = "canceled", now, now
        subscription.version += 1
        return
    course = _course(session, subscription)
    if at_once:
        subscription.cancel_at = now
    elif subscription.anchor_at > moment:
        subscription.cancel_at = subscription.anchor_at
    else:
        subscription.cancel_at = boundary(course.cadence, number_at(course.cadence, moment) + 1)
    _reschedule(subscription, replace(course, cancel_at=subscription.cancel_at))


def keep(session: Session, subscription: Subscription) -> None:
    """Take back a cancellation that has not come yet."""
    _check("keep", subscription)
    subscription.cancel_at = None
    _reschedule(subscription, _course(session, subscription))


def shown(subscription: Subscription) -> dict[str, Any]:
    """The subscription with what may be done with it."""
    columns = {column.key: getattr(subscription, column.key) for column in Subscription.__table__.columns}
    available = actions(subscription.state, subscription.cancel_at, datetime.now(UTC))
    return {**columns, "available_actions": available}


def _check(action: str, subscription: Subscription) -> None:
    check_action(action, subscription.state, subscription.cancel_at, datetime.now(UTC))


def _change(session: Session, subscription: Subscription, plan_id: UUID, *, paused: bool) -> None:
    """Write the phase that begins now. The first change also writes down what held before it."""
    key = {"tenant_id": subscription.tenant_id, "subscription_id": subscription.id}
    unique = ["tenant_id", "subscription_id", "at"]
    if session.scalar(select(SubscriptionChange.id).filter_by(**key).limit(1)) is None:
        first = {**key, "id": new_id(), "at": subscription.anchor_at, "plan_id": subscription.plan_id, "paused": False}
        session.execute(insert(SubscriptionChange).values(first))
    # Clocks differ between machines, and step back: what was asked for later must not lie before what it changes.
    last_at = session.scalar(select(func.max(SubscriptionChange.at)).filter_by(**key)) or subscription.anchor_at
    at = max(datetime.now(UTC).replace(microsecond=0), last_at)
    row = {**key, "id": new_id(), "at": at, "plan_id": plan_id, "paused": paused}
    latest = insert(SubscriptionChange).values(row)
    session.execute(latest.on_conflict_do_update(index_elements=unique, set_={"plan_id": plan_id, "paused": paused}))
    _reschedule(subscription, _course(session, subscription))


def _course(session: Session, subscription: Subscription) -> Course:
    customer = session.get_one(Customer, (subscription.tenant_id, subscription.customer_id))
    phases = phases_of(session, subscription.tenant_id, [subscription])[subscription.id]
    return course_of(subscription, phases, customer.timezone)


def _reschedule(subscription: Subscription, course: Course) -> None:
    due = next_cycle(course).due_at
    subscription.next_cycle_at = min(due, subscription.anchor_at) if subscription.state == "trialing" else due
    subscription.version += 1
    lower_due(subscription.tenant_id, subscription.next_cycle_at)


def _anchor(asked: datetime | None, now: datetime) -> datetime:
    """When the first period begins, in UTC. Raises `InvalidPayload` for a time out of reach."""
    if asked is None:
        return now.replace(microsecond=0)
    if not now - LONGEST_REACH <= asked <= now + LONGEST_REACH:
        fault = FieldError("/anchor_at", "out_of_range", "Must lie within ten years of now.")
        raise InvalidPayload("The subscription is invalid.", errors=(fault,))
    return asked.astimezone(UTC)
