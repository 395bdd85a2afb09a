"""What a payment is, as far as reports of it have come in.

Reports come late, twice and in any order. `merge` is a join on a lattice: commutative, associative and idempotent, so
every order of the same reports ends in the same payment.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

KEY_LIFE = timedelta(hours=23)
"""How long a provider is sure to answer the same key with what it did the first time; Stripe forgets keys after 24 hours."""


class PaymentState(StrEnum):
    """In the order in which a payment can move. A failed one may still succeed, by another card."""

    PENDING = "pending"
    FAILED = "failed"
    SUCCEEDED = "succeeded"
    REFUNDED = "refunded"


_RANK = {state: rank for rank, state in enumerate(PaymentState)}


@dataclass(frozen=True, slots=True)
class Payment:
    """Money that moved, or was meant to: `amount` in minor units of `currency` (upper case).

    `provider_id` names the payment at the provider; `invoice_id` is our invoice that it is meant for.
    """

    provider_id: str
    state: PaymentState
    amount: int
    currency: str
    invoice_id: UUID | None


def advance(current: PaymentState, reported: PaymentState) -> PaymentState:
    """The later of the two states: a report never moves a payment back."""
    return max(current, reported, key=_RANK.__getitem__)


def merge(one: Payment, other: Payment) -> Payment:
    """What two reports of the same payment say together: the amount of the later state, the invoice that either names."""
    later = max(one, other, key=lambda payment: (_RANK[payment.state], payment.amount, payment.currency))
    named = [payment.invoice_id for payment in (one, other) if payment.invoice_id is not None]
    return Payment(one.provider_id, later.state, later.amount, later.currency, max(named, default=None))


def settles(payment: Payment, total: int, currency: str) -> bool:
    """Whether the payment pays an invoice of `total` in `currency`.

    A refunded payment had succeeded: it settled the invoice, and the refund is a matter of its own. So it does not
    matter whether the refund is heard of first.
    """
    moved = payment.state in {PaymentState.SUCCEEDED, PaymentState.REFUNDED}
    return moved and payment.currency == currency.upper() and payment.amount >= total
