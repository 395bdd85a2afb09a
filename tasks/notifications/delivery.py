"""Delivering one message: decided, rendered, claimed at one provider after the other, at most once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update

from bus.events import announce
from domain.errors import Cancelled, JobError, NotNow, Permanent, Transient, UnknownOutcome
from domain.notifications.channels import normal_address
from domain.notifications.decision import Outcome
from domain.notifications.delivery import Settled, status_after
from domain.notifications.failover import goes_on, suppresses
from jobs.context import JobContext
from jobs.handlers import handles
from jobs.kinds import kind
from models.tenant import Message, MessageAttempt, RecipientDevice
from providers.accounts import Account
from providers.calls import Calling
from providers.circuits import process_circuits
from providers.rendering import render
from tasks.notifications import records
from tasks.notifications.accounts import worst
from tasks.notifications.content import Content, outgoing, template_data, unsubscribe_url
from tasks.notifications.preparation import Prepared, prepare

LONGEST_NAP = 60.0
"""Seconds. A job that waits may be late by as much as it asked to wait, so a held one asks for half of what is left."""


@handles("notification.deliver")
def deliver(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Hand one message to a provider, at most once unless the provider makes repeating harmless.

    A message that may not be sent ends the job without an error, and so does an unknown outcome: repeating it could deliver
    twice. Raises `NotNow` while the recipient's quiet hours last.
    """
    message_id = payload["message_id"] or context.job_id
    try:
        context.check()
        prepared = prepare(context, payload, message_id)
        if isinstance(prepared, Settled):
            return _result(context, message_id, prepared)
        _obey(context, prepared)
        content = _content(context, payload, prepared)
        if prepared.message.channel == "in_app":
            return _into_feed(context, prepared, content)
        return _through(context, payload, prepared, content)
    except Cancelled:
        _move(context, message_id, "not_sent", reason="cancelled")
        raise
    except _NotSent as ended:
        return {"message_id": str(message_id), "status": "not_sent", "reason": ended.reason, "provider": None}


class _NotSent(Exception):
    """The rules say that the message is not sent."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


def _obey(context: JobContext, prepared: Prepared) -> None:
    """Raises `NotNow` for a message that is held, and `_NotSent` for one that is dropped."""
    decision, message = prepared.decision, prepared.message
    if decision.outcome is Outcome.DROP:
        _move(context, message.id, "not_sent", reason=decision.rule.value)
        raise _NotSent(decision.rule.value)
    held = decision.until if decision.outcome is Outcome.HOLD else None
    noted = {"reason": decision.rule.value} if held is None else {"reason": decision.rule.value, "held_until": held}
    with context.session() as session:
        session.execute(_update(context, message.id).values(**noted))
    if held is not None:
        left = (held - datetime.now(UTC)).total_seconds()
        raise NotNow(
            decision.detail, code="quiet_hours", retry_after=max(1.0, left if left < LONGEST_NAP else left / 2)
        )


def _content(context: JobContext, payload: Mapping[str, Any], prepared: Prepared) -> Content:
    """Render it. Raises `Permanent` after moving the message to `not_sent`, for it cannot be said."""
    source = prepared.source
    if source.variables is None:
        return source.fixed()
    data = template_data(payload, prepared.recipient, unsubscribe_url(context, prepared.message.id))
    try:
        source.check(data)
        parts = render(source.parts, data)
    except Permanent as error:
        _move(context, prepared.message.id, "not_sent", reason=error.job_code)
        raise
    return Content(parts.get("subject", ""), parts["text"], parts.get("html"))


def _into_feed(context: JobContext, prepared: Prepared, content: Content) -> Mapping[str, Any]:
    """A feed needs no provider: writing the message down is delivering it."""
    message = prepared.message
    with context.session() as session:
        records.move(
            session, context.tenant_id, message.id, "delivered", subject=content.subject, body_text=content.text,
            sent_at=func.now(), delivered_at=func.now(), provider="feed",
        )  # fmt: skip
        records.meter(session, context.tenant_id, "in_app", [message.id])
    _announce(context, message, "feed")
    return {"message_id": str(message.id), "status": "delivered", "provider": "feed"}


def _through(
    context: JobContext, payload: Mapping[str, Any], prepared: Prepared, content: Content
) -> Mapping[str, Any]:
    """Ask one provider after the other until one takes it."""
    message, errors = prepared.message, list[JobError]()
    one_click = message.channel == "email" and bool(message.category) and not payload["critical"]
    for account in prepared.accounts:
        circuit = process_circuits().get(account.circuit)
        if circuit.remaining():
            detail = f"{account.label} kept failing and is left alone for a while."
            errors.append(Transient(detail, code="provider_circuit_open", retry_after=circuit.remaining()))
            continue
        try:
            provider = account.provider
        except Permanent as error:
            errors.append(error)
            continue
        context.check()
        step = _claim(context, message.id, account, provider.idempotent, content)
        if isinstance(step, Settled):
            return _result(context, message.id, step)
        said = outgoing(context, account, message.channel, message.id, prepared.target, content, one_click=one_click)
        try:
            with Calling(account.type, "send"):
                sent = provider.send(said)
        except JobError as error:
            circuit.note(error)
            status = _failed(context, prepared, step, error, is_last=account is prepared.accounts[-1])
            if isinstance(error, UnknownOutcome):
                return {"message_id": str(message.id), "status": status, "provider": provider.name}
            if not goes_on(error):
                raise
            errors.append(error)
            continue
        circuit.note(None)
        with context.session() as session:
            records.record_sent(session, message, step, sent)
        _announce(context, message, sent.provider)
        return {"message_id": str(message.id), "status": "sent", "provider": sent.provider}
    ended = worst(errors)
    _move(context, message.id, status_after(ended, last=_is_last(context)))
    raise ended


def _claim(
    context: JobContext,
    message_id: UUID,
    account: Account,
    idempotent: bool,
    content: Content,
) -> int | Settled:
    with context.session() as session:
        message = records.lock(session, context.tenant_id, message_id)
        step = records.claim(session, message, account, idempotent=idempotent)
        if isinstance(step, Settled):
            return step
        message.subject, message.body_text, message.body_html = content.subject, content.text, content.html
        return step.number


def _failed(context: JobContext, prepared: Prepared, number: int, error: JobError, *, is_last: bool) -> str:
    """Write a failed call down; returns where it leaves the message. With another provider to ask, it is only attempted."""
    message = prepared.message
    more = goes_on(error) and not is_last
    status = "delivery_attempted" if more else status_after(error, last=_is_last(context))
    reason = suppresses(message.channel, error)
    with context.session() as session:
        records.record_failure(session, message, number, error, status)
        if reason is not None:
            records.suppress(session, message, _address(message), reason)
        if error.job_code == "device_gone" and prepared.device_id is not None:
            gone = RecipientDevice.tenant_id == context.tenant_id, RecipientDevice.id == prepared.device_id
            session.execute(update(RecipientDevice).where(*gone).values(gone_at=func.now()))
    return status


def _address(message: Message) -> str:
    return normal_address(message.channel, message.recipient)


def _is_last(context: JobContext) -> bool:
    return context.attempt >= kind(context.kind).retry.max_attempts


def _announce(context: JobContext, message: Message, provider: str | None) -> None:
    told = {"id": str(message.id), "channel": message.channel, "to": message.recipient, "provider": provider}
    announce(context, "notification.sent", {"notification": told})


def _move(context: JobContext, message_id: UUID, status: str, **values: Any) -> None:
    with context.session() as session:
        records.move(session, context.tenant_id, message_id, status, **values)


def _update(context: JobContext, message_id: UUID) -> Any:
    return update(Message).where(Message.tenant_id == context.tenant_id, Message.id == message_id)


def _result(context: JobContext, message_id: UUID, settled: Settled) -> Mapping[str, Any]:
    """What an earlier attempt came to. Raises `Permanent` again, as that attempt did, if the message was refused."""
    with context.session() as session:
        message = session.get_one(Message, (context.tenant_id, message_id))
        last = session.scalars(
            select(MessageAttempt)
            .where(MessageAttempt.tenant_id == context.tenant_id, MessageAttempt.message_id == message_id)
            .order_by(MessageAttempt.number.desc())
            .limit(1)
        ).first()
    if settled.status in {"not_sent", "undelivered"} and (last is not None or message.reason is None):
        code, detail = (last.error_code, last.detail) if last is not None else (None, None)
        raise Permanent(detail or f"The message was {settled.status}.", code=code)
    provider = message.provider or (last.provider if last is not None else None)
    if message.status == "sent":  # the worker may have been lost before it could tell
        _announce(context, message, provider)
    return {"message_id": str(message_id), "status": message.status, "provider": provider}
