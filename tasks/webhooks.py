"""What payment providers tell us, once it was verified and stored. Any order of events ends in the same state."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from domain.billing.stripe_events import StripeEvent, failed_refund, read_event, read_payment
from domain.errors import Permanent
from jobs.context import JobContext
from jobs.handlers import handles
from providers.payments import payment_provider
from tasks.billing.due import refresh_due
from tasks.billing.following import tell_outcome
from tasks.billing.refunds import bounced
from tasks.billing.settling import record, settle
from tenancy.audit import acting, current_origin


@handles("webhook.process")
def process(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take in one event: the payment moves forward, and its invoice is paid if the payment covers it; or a refund has failed, and its
    credit note with it.

    The object is read again from the provider where there is a key, so an old event brings new data. Raises
    `Permanent` (`malformed_event`, `source_not_supported`) and what the provider raises.
    """
    source = payload["source"]
    if source != "stripe":
        raise Permanent(f"There is no reader for events from {source[:80]!r}.", code="source_not_supported")
    event = read_event(payload["event"])
    if event is None:
        return {"handled": False}
    data, verified_by = _object(context, event)
    take_in = _refund if event.object_type == "refund" else _payment
    return {**take_in(context, source, event, data), "verified_by": verified_by}


def _provider_acting(source: str) -> AbstractContextManager[None]:
    """It is the provider who acts in the block, whichever job takes its event in."""
    return acting(replace(current_origin(), actor=f"provider:{source}"))


def _refund(context: JobContext, source: str, event: StripeEvent, data: Mapping[str, Any]) -> dict[str, Any]:
    """Only that one failed is news: that it was made is known from the provider's answer."""
    note_id = failed_refund(data)
    if note_id is None:
        return {"handled": False}
    with _provider_acting(source):
        state = bounced(context, note_id, event.object_id)
    if state is None:
        return {"handled": False}
    if state == "failed":
        context.log.warning("billing.refund_failed", credit_note_id=str(note_id), refund_id=event.object_id)
    return {"handled": True, "credit_note_id": str(note_id), "credit_note_state": state}


def _payment(context: JobContext, source: str, event: StripeEvent, data: Mapping[str, Any]) -> dict[str, Any]:
    reported = read_payment(event.type, data)
    with _provider_acting(source), context.session() as session:
        payment = record(session, context.tenant_id, source, reported)
        settled = settle(session, context.tenant_id, payment, datetime.now(UTC))
    if settled is not None:
        refresh_due(context)  # the subscription may go on, or the next attempt has a date
        tell_outcome(context, settled.invoice, settled.attempt)
    return {
        "handled": True,
        "payment_id": payment.provider_id,
        "payment_state": payment.state.value,
        "invoice_id": None if payment.invoice_id is None else str(payment.invoice_id),
        "invoice_state": None if settled is None else settled.invoice.state,
    }


def _object(context: JobContext, event: StripeEvent) -> tuple[Mapping[str, Any], str]:
    """The object that the event speaks of, and what vouches for it: the provider itself, or the event's signature."""
    if context.settings.stripe_api_key is None:
        return event.data, "signature"
    return payment_provider(context.settings, "stripe").retrieve(event.object_type, event.object_id).data, "provider"
