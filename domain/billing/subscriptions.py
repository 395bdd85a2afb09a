"""The states of a subscription, and what may be done in each."""

from __future__ import annotations

from datetime import datetime

from domain.billing.timeline import PlanTerms
from domain.errors import FieldError, IllegalTransition, InvalidPayload

BILLED = ("trialing", "active", "past_due", "paused")
"""States in which cycles go on; in `trialing` the first of them only begins the first period."""
ENTITLED = frozenset({"trialing", "active", "past_due"})
LIVE = frozenset({*BILLED, "incomplete", "unpaid"})

ACTIONS: dict[str, tuple[str, ...]] = {
    "incomplete": ("cancel",),
    "trialing": ("change_plan", "cancel"),
    "active": ("change_plan", "pause", "cancel"),
    "past_due": ("change_plan", "pause", "cancel"),
    "unpaid": ("cancel",),
    "paused": ("resume", "cancel"),
    "canceled": (),
}


def actions(state: str, cancel_at: datetime | None, now: datetime) -> tuple[str, ...]:
    """What may be done with a subscription; one that is to end can be kept (`keep`), or ended at once.

    One whose end has come only waits for its last bill: nothing changes when that was.
    """
    if cancel_at is None or state == "canceled":
        return ACTIONS[state]
    return ("keep", "cancel") if now < cancel_at else ()


def check_action(action: str, state: str, cancel_at: datetime | None, now: datetime) -> None:
    """Raise `IllegalTransition` unless the subscription allows it."""
    if action not in actions(state, cancel_at, now):
        ending = "" if cancel_at is None else " and is to end" if now < cancel_at else " and has ended"
        can = ", ".join(each.replace("_", " ") for each in actions(state, cancel_at, now)) or "nothing"
        raise IllegalTransition(
            f"The subscription is {state}{ending}; it cannot {action.replace('_', ' ')}. What it allows: {can}."
        )


def check_change(now: PlanTerms, then: PlanTerms) -> None:
    """Raise `InvalidPayload` unless a subscription can go over from one plan to the other within a period."""
    for name, meaning in (("currency", "currency"), ("interval", "rhythm"), ("interval_count", "rhythm"),
                          ("pay_in_advance", "time of payment")):  # fmt: skip
        if getattr(now, name) != getattr(then, name):
            fault = FieldError("/plan_id", "incompatible_plan", f"Has another {meaning} than the present plan.")
            raise InvalidPayload(f"The plan has another {meaning}; subscribe to it anew.", errors=(fault,))
