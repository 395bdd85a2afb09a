"""Delivering one message: decided, rendered, claimed at one provider after the other, at most once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from bus.events import announce
from domain.errors import Cancelled, JobError, NotNow, Permanent, Transient, UnknownOutcome
from domain.notifications.channels import normal_address
from domain.notifications.decision import Decision, Outcome, decide
from domain.notifications.delivery import Settled, status_after
from domain.notifications.failover import goes_on, suppresses
from jobs.context import JobContext
from jobs.handlers import handles
from jobs.kinds import kind
from models.tenant import Broadcast, Message, MessageAttempt, Recipient, RecipientDevice
from models.tenant.standing import recipient_at, settings_of, standing, suppressions_of
from providers.accounts import Account
from providers.circuits import process_circuits
from providers.rendering import render
from tasks.notifications import records
from tasks.notifications.accounts import accounts_for, worst
from tasks.notifications.content import Content, Source, outgoing, source_of, template_data, unsubscribe_url

LONGEST_NAP = 60.0
"""Seconds. A job that waits may be late by as much as it asked to wait, so a held one asks for half of what is left."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that delivering needs, read in one transaction."""

    message: Message
    decision: Decision
    recipient: Recipient | None
    source: Source | None
    accounts: list[Account]
    target: str
    device_id: UUID | None = None


@handles("notification.deliver")
def deliver(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Hand one message to a provider, at most once unless the provider makes repeating harmless.

    A message that may not be sent ends the job without an error, and so does an unknown outcome: repeating it could deliver
    twice. Raises `NotNow` while the recipient's quiet hours last.
    """
    message_id = payload["message_id"] or context.job_id
    try:
        context.check()
        prepared = _prepare(context, payload, message_id)
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


def _prepare(context: JobContext, payload: Mapping[str, Any], message_id: UUID) -> Prepared | Settled:
    """Make the row if it is not there, and read everything. Raises `Permanent` after moving the message to `not_sent`."""
    channel, failure = payload["channel"], None
    with context.session() as session:
        message = records.ensure(session, context.tenant_id, message_id, _values(payload))
        if message.status not in {"queued", "delivery_attempted"}:
            return Settled(message.status)
        if _broadcast_is_cancelled(session, message):
            records.move(session, context.tenant_id, message_id, "not_sent", reason="cancelled")
            return Settled("not_sent")
        settings = settings_of(session, context.tenant_id)
        try:
            device = _device(session, context, payload)
            recipient = _recipient(session, context, payload, device)
            address = payload["to"] if channel in {"push", "in_app"} else normal_address(channel, payload["to"])
            found = suppressions_of(session, context.tenant_id, channel, [address])
            facts = standing(settings, recipient, found.get(address, ()))
            source = source_of(session, settings, payload, channel, recipient)
            decision = decide(
                facts, channel=channel, category=source.category, critical=payload["critical"], now=datetime.now(UTC)
            )
            accounts = [] if channel == "in_app" else accounts_for(
                context, session, settings, channel, None if device is None else device.kind
            )  # fmt: skip
            if channel != "in_app" and not accounts:
                raise Permanent(f"No provider serves {channel}.", code="no_provider")
        except Permanent as error:
            failure = error
            records.move(session, context.tenant_id, message_id, "not_sent", reason=error.job_code)
        else:
            past = records.past_attempts(session, context.tenant_id, message_id)
            cut_off = {each.provider for each in past if each.state == "calling"}
            accounts.sort(key=lambda account: account.label not in cut_off)  # stable: the cut-off one first, if any
            message.recipient_id = None if recipient is None else recipient.id
            message.category = source.category
            message.locale, message.template, message.template_version = source.locale, source.template, source.version
    if failure is not None:
        raise failure
    target = payload["to"] if device is None else _opened(context, device)
    return Prepared(message, decision, recipient, source, accounts, target, None if device is None else device.id)


def _values(payload: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "channel": payload["channel"],
        "recipient": payload["to"],
        "subject": payload["subject"] or "",
        "body_text": payload["text"] or "",
        "body_html": payload["html"],
        "notification_id": payload["notification_id"],
        "category": payload["category"],
    }


def _broadcast_is_cancelled(session: Session, message: Message) -> bool:
    if message.notification_id is None or not message.in_broadcast:
        return False
    broadcast = session.get(Broadcast, (message.tenant_id, message.notification_id))
    return broadcast is not None and broadcast.state == "cancelled"


def _device(session: Session, context: JobContext, payload: Mapping[str, Any]) -> RecipientDevice | None:
    if payload["channel"] != "push":
        return None
    device = session.get(RecipientDevice, (context.tenant_id, UUID(payload["to"])))
    if device is None or device.gone_at is not None:
        raise Permanent("There is no such device, or it has unsubscribed.", code="device_gone")
    return device


def _recipient(
    session: Session, context: JobContext, payload: Mapping[str, Any], device: RecipientDevice | None
) -> Recipient | None:
    named = device.recipient_id if device is not None else payload["recipient_id"]
    if named is not None:
        return session.get(Recipient, (context.tenant_id, named))
    found = recipient_at(session, context.tenant_id, payload["channel"], _spelled(payload))
    if found is None and payload["channel"] == "in_app":
        raise Permanent(f"There is no recipient {payload['to']!r}, so no feed.", code="recipient_unknown")
    return found


def _spelled(payload: Mapping[str, Any]) -> str:
    return normal_address(payload["channel"], payload["to"])


def _opened(context: JobContext, device: RecipientDevice) -> str:
    vault = context.tenancy.vault(context.tenant_id)
    return vault.open(device.target_sealed, "recipient_devices", "target_sealed", device.id).decode()


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
        raise NotNow(decision.detail, code="quiet_hours", retry_after=max(1.0, left if left < LONGEST_NAP else left / 2))


def _content(context: JobContext, payload: Mapping[str, Any], prepared: Prepared) -> Content:
    """Render it. Raises `Permanent` after moving the message to `not_sent`, for it cannot be said."""
    source = prepared.source
    assert source is not None  # noqa: S101 - a settled message does not come here
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
        try:
            sent = provider.send(
                outgoing(context, account, message.channel, message.id, prepared.target, content, one_click=one_click)
            )
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
    context: JobContext, message_id: UUID, account: Account, idempotent: bool, content: Content  # noqa: FBT001
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
