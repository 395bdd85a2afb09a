"""Reading all that delivering a message needs, in one transaction, and deciding what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from domain.errors import Permanent
from domain.notifications.channels import normal_address
from domain.notifications.decision import Decision, decide
from domain.notifications.delivery import Settled
from jobs.context import JobContext
from models.tenant import Broadcast, Message, NotificationSettings, Recipient, RecipientDevice
from models.tenant.standing import recipient_at, settings_of, standing, suppressions_of
from providers.accounts import Account
from tasks.notifications import records
from tasks.notifications.accounts import accounts_for
from tasks.notifications.content import Source, source_of


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is known. `target` is the address, or a device's opened one; `accounts` are in the order in which they are asked."""

    message: Message
    decision: Decision
    recipient: Recipient | None
    source: Source
    accounts: list[Account]
    target: str
    device_id: UUID | None = None


def prepare(context: JobContext, payload: Mapping[str, Any], message_id: UUID) -> Prepared | Settled:
    """Make the message's row if it is not there, and read everything.

    Raises `Permanent` after moving the message to `not_sent`: no such device or template, nobody to send it.
    """
    with context.session() as session:
        message = records.ensure(session, context.tenant_id, message_id, _values(payload))
        if message.status not in {"queued", "delivery_attempted"}:
            return Settled(message.status)
        if _broadcast_is_cancelled(session, message):
            records.move(session, context.tenant_id, message_id, "not_sent", reason="cancelled")
            return Settled("not_sent")
        try:
            return _read(context, session, payload, message)
        except Permanent as error:
            failure = error
            records.move(session, context.tenant_id, message_id, "not_sent", reason=error.job_code)
    raise failure


def _read(context: JobContext, session: Session, payload: Mapping[str, Any], message: Message) -> Prepared:
    channel = message.channel
    settings = settings_of(session, context.tenant_id)
    device = _device(session, context, payload) if channel == "push" else None
    recipient = _recipient(session, context, payload, device)
    address = normal_address(channel, payload["to"])
    source = source_of(session, settings, payload, channel, recipient)
    found = suppressions_of(session, context.tenant_id, channel, [address])
    facts = standing(settings, recipient, found.get(address, ()))
    now = datetime.now(UTC)
    decision = decide(facts, channel=channel, category=source.category, critical=payload["critical"], now=now)
    accounts = _accounts(context, session, settings, message, device)
    message.recipient_id = None if recipient is None else recipient.id
    message.category, message.locale = source.category, source.locale
    message.template, message.template_version = source.template, source.version
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


def _accounts(
    context: JobContext,
    session: Session,
    settings: NotificationSettings,
    message: Message,
    device: RecipientDevice | None,
) -> list[Account]:
    """In order, but first one that an attempt was cut off at: only there may it be repeated, if anywhere."""
    if message.channel == "in_app":
        return []
    accounts = accounts_for(context, session, settings, message.channel, None if device is None else device.kind)
    if not accounts:
        raise Permanent(f"No provider serves {message.channel}.", code="no_provider")
    past = records.past_attempts(session, context.tenant_id, message.id)
    cut_off = {each.provider for each in past if each.state == "calling"}
    return sorted(accounts, key=lambda account: account.label not in cut_off)


def _device(session: Session, context: JobContext, payload: Mapping[str, Any]) -> RecipientDevice:
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
    address = normal_address(payload["channel"], payload["to"])
    found = recipient_at(session, context.tenant_id, payload["channel"], address)
    if found is None and payload["channel"] == "in_app":
        raise Permanent(f"There is no recipient {payload['to']!r}, so no feed.", code="recipient_unknown")
    return found


def _opened(context: JobContext, device: RecipientDevice) -> str:
    vault = context.tenancy.vault(context.tenant_id)
    return vault.open(device.target_sealed, "recipient_devices", "target_sealed", device.id).decode()
