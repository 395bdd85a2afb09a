"""Reading Stripe's events: which payment or refund an event speaks of, and what it says.

Source: https://docs.stripe.com/api/events/types. What the object says now counts beside the event's type, since it may
have been read again after the event was sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain.billing.payments import Payment, PaymentState, advance
from domain.billing.stripe_amounts import from_stripe
from domain.errors import Permanent
from domain.ids import parse_id

_STATE_BY_TYPE = {
    "payment_intent.processing": PaymentState.PENDING,
    "payment_intent.payment_failed": PaymentState.FAILED,
    "payment_intent.succeeded": PaymentState.SUCCEEDED,
    "charge.refunded": PaymentState.SUCCEEDED,  # a part of it may have been refunded: the charge's amounts decide
    "invoice.paid": PaymentState.SUCCEEDED,
}
_OF_REFUNDS = {"refund.failed", "refund.updated", "charge.refund.updated"}
"""A refund that was made may fail days later, as when the customer's bank does not take the money: https://docs.stripe.com/refunds#failed-refunds"""

_REFUND_KEY = "credit_note:"
_STATE_BY_STATUS = {"canceled": PaymentState.FAILED, "succeeded": PaymentState.SUCCEEDED}


@dataclass(frozen=True, slots=True)
class StripeEvent:
    """An event that we handle: its type, and the object it carries as it was then."""

    type: str
    object_type: str
    object_id: str
    data: Mapping[str, Any]


def read_event(event: Mapping[str, Any]) -> StripeEvent | None:
    """The event, or None if its type is not one that we handle. Raises `Permanent` (`malformed_event`)."""
    kind = event.get("type")
    if not isinstance(kind, str):
        raise _malformed("type")
    if kind not in _STATE_BY_TYPE.keys() | _OF_REFUNDS:
        return None
    carried = event.get("data")
    data = carried.get("object") if isinstance(carried, Mapping) else None
    if not isinstance(data, Mapping):
        raise _malformed("data.object")
    object_type = "refund" if kind in _OF_REFUNDS else kind.partition(".")[0]
    return StripeEvent(kind, object_type, _text(data, "id"), data)


def read_payment(event_type: str, data: Mapping[str, Any]) -> Payment:
    """What an object, from the event or read again, reports. Raises `Permanent` (`malformed_event`)."""
    state = _STATE_BY_TYPE[event_type]
    match event_type.partition(".")[0]:
        case "charge":
            amount, provider_id = _amount(data, "amount_captured", "amount"), data.get("payment_intent")
            if data.get("refunded") is True or _refunded_all(data, amount):
                state = PaymentState.REFUNDED
        case "invoice":
            amount, provider_id = _amount(data, "amount_paid"), data.get("payment_intent")
        case _:
            state = advance(state, _STATE_BY_STATUS.get(str(data.get("status")), PaymentState.PENDING))
            received = ("amount_received",) if state is PaymentState.SUCCEEDED else ()
            amount, provider_id = _amount(data, *received, "amount"), data["id"]
    currency = _text(data, "currency").upper()
    return Payment(
        provider_id=provider_id if isinstance(provider_id, str) and provider_id else _text(data, "id"),
        state=state,
        amount=from_stripe(amount, currency),
        currency=currency,
        invoice_id=_invoice_id(data),
    )


def refund_key(credit_note_id: UUID) -> str:
    """The key under which a credit note's refund is asked for. It stays in the refund's metadata."""
    return f"{_REFUND_KEY}{credit_note_id}"


def failed_refund(data: Mapping[str, Any]) -> UUID | None:
    """The credit note whose money did not arrive; None if the refund did not fail, or is none of ours."""
    metadata = data.get("metadata")
    key = metadata.get("key") if isinstance(metadata, Mapping) else None
    if data.get("status") not in ("failed", "canceled") or not isinstance(key, str):
        return None
    return parse_id(key.removeprefix(_REFUND_KEY)) if key.startswith(_REFUND_KEY) else None


def _refunded_all(charge: Mapping[str, Any], amount: int) -> bool:
    refunded = charge.get("amount_refunded")
    return isinstance(refunded, int) and 0 < amount <= refunded


def _invoice_id(data: Mapping[str, Any]) -> Any:
    """Our invoice's id, from the metadata that we put on the payment; whoever wrote something else there meant no invoice."""
    metadata = data.get("metadata")
    written = metadata.get("invoice_id") if isinstance(metadata, Mapping) else None
    return parse_id(written) if isinstance(written, str) else None


def _amount(data: Mapping[str, Any], *names: str) -> int:
    for name in names:
        value = data.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63:
            return value
    raise _malformed(names[-1])


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value:
        raise _malformed(name)
    return value


def _malformed(what: str) -> Permanent:
    return Permanent(f"The event's {what} cannot be read.", code="malformed_event")
