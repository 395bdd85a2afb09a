"""Writing down what is heard of messages: by providers' callbacks, by the app, by links in mails. All of it may come twice,
late and out of order: a status only moves forward, and a moment is kept as it was first told.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from domain.ids import new_id, parse_id
from domain.notifications.callbacks import ENGAGEMENT, Report
from domain.notifications.channels import normal_address
from domain.notifications.delivery import FORWARD
from models.tenant.messages import Message, MessageEvent
from models.tenant.notifications import Suppression

_STATUS = {"sent": "sent", "delivered": "delivered", "undelivered": "undelivered", "bounced": "bounced"}


def take(session: Session, tenant_id: UUID, report: Report, source: str, channel: str) -> bool:
    """Apply a provider's report; whether it was news."""
    if report.event in {"stop", "start"} and report.address is not None:
        return _consent(session, tenant_id, channel, report)
    message = _message(session, tenant_id, report, source, channel)
    if message is None:
        return False
    if report.provider_id is not None and message.provider_id is None:  # its own answer was lost, or comes later
        message.provider, message.provider_id = source, report.provider_id
    if report.event in ENGAGEMENT:
        return engage(session, tenant_id, message.id, report.event, key=report.key, source=source)
    if not _note(session, tenant_id, message.id, report.event, report.key, source, report.detail):
        return False
    status = _STATUS.get(report.event)
    if status is not None and message.status in FORWARD[status]:
        message.status = status
        if status == "delivered":
            message.delivered_at = message.delivered_at or func.now()
    reason = (
        "complaint"
        if report.event == "complained"
        else "hard_bounce"
        if report.event == "bounced" and report.hard
        else None
    )
    if reason is not None:
        suppress(session, message, reason)
    return True


def engage(session: Session, tenant_id: UUID, message_id: UUID, event: str, *, key: str, source: str) -> bool:
    """Note what the recipient did; whether it was news. Who has clicked has read, and who has read has seen."""
    if not _note(session, tenant_id, message_id, event, key, source, None):
        return False
    moments = {name: func.coalesce(getattr(Message, name), func.now()) for name in ENGAGEMENT[event]}
    session.execute(update(Message).where(Message.tenant_id == tenant_id, Message.id == message_id).values(**moments))
    return True


def suppress(session: Session, message: Message, reason: str, category: str = "") -> None:
    """Do not write to the message's address again; with a category, not about that."""
    if message.channel not in {"email", "sms"}:
        return
    row = {
        "tenant_id": message.tenant_id, "id": new_id(), "channel": message.channel,
        "address": normal_address(message.channel, message.recipient), "category": category, "reason": reason,
        "message_id": message.id,
    }  # fmt: skip
    session.execute(insert(Suppression).values(row).on_conflict_do_nothing())


def _consent(session: Session, tenant_id: UUID, channel: str, report: Report) -> bool:
    """STOP suppresses a number, START lifts exactly that."""
    try:
        address = normal_address(channel, report.address or "")
    except ValueError:
        return False
    if report.event == "start":
        where = (
            Suppression.tenant_id == tenant_id, Suppression.channel == channel, Suppression.address == address,
            Suppression.reason == "stop",
        )  # fmt: skip
        return session.execute(delete(Suppression).where(*where).returning(Suppression.id)).first() is not None
    row = {
        "tenant_id": tenant_id, "id": new_id(), "channel": channel, "address": address, "category": "", "reason": "stop",
    }  # fmt: skip
    made = insert(Suppression).values(row).on_conflict_do_nothing().returning(Suppression.id)
    return session.scalar(made) is not None


def _message(session: Session, tenant_id: UUID, report: Report, source: str, channel: str) -> Message | None:
    """The message that is meant, locked. A provider may name only messages of its channel, and its own names for them."""
    statement = select(Message).where(Message.tenant_id == tenant_id, Message.channel == channel)
    named = parse_id(report.message_id) if report.message_id is not None else None
    if named is not None:
        statement = statement.where(Message.id == named)
    elif report.provider_id is not None:
        statement = statement.where(Message.provider_id == report.provider_id, Message.provider == source)
    else:
        return None
    return session.scalars(statement.limit(1).with_for_update()).first()


def _note(
    session: Session, tenant_id: UUID, message_id: UUID, event: str, key: str, source: str, detail: str | None
) -> bool:
    row = {
        "tenant_id": tenant_id, "id": new_id(), "message_id": message_id, "key": f"{source}:{key}", "event": event,
        "source": source, "detail": detail,
    }  # fmt: skip
    made = insert(MessageEvent).values(row).on_conflict_do_nothing().returning(MessageEvent.id)
    return session.scalar(made) is not None
