"""The rows of one message: made once, locked to decide, moved forward only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from domain.errors import JobError, UnknownOutcome
from domain.ids import new_id
from domain.notifications.delivery import FORWARD, PastAttempt, Send, Settled, next_step
from models.tenant import Message, MessageAttempt, Suppression, metering
from providers.accounts import Account
from providers.messages import SentMessage


def ensure(session: Session, tenant_id: UUID, message_id: UUID, values: Mapping[str, Any]) -> Message:
    """The message's row, made if it is not there, and locked."""
    row = {"tenant_id": tenant_id, "id": message_id, **values}
    session.execute(insert(Message).values(row).on_conflict_do_nothing())
    return lock(session, tenant_id, message_id)


def lock(session: Session, tenant_id: UUID, message_id: UUID) -> Message:
    """The message's row, locked until the transaction ends."""
    return session.scalars(
        select(Message).where(Message.tenant_id == tenant_id, Message.id == message_id).with_for_update()
    ).one()


def past_attempts(session: Session, tenant_id: UUID, message_id: UUID) -> list[PastAttempt]:
    """The calls so far."""
    rows = session.scalars(select(MessageAttempt).where(*_of(tenant_id, message_id)).order_by(MessageAttempt.number))
    return [PastAttempt(row.number, row.state, row.provider) for row in rows]


def claim(session: Session, message: Message, account: Account, *, idempotent: bool) -> Send | Settled:
    """Decide the next step and write it down. The message is locked, so that two attempts do not both decide."""
    of_message = _of(message.tenant_id, message.id)
    past = past_attempts(session, message.tenant_id, message.id)
    step = next_step(message.status, past, account.label, idempotent=idempotent)
    session.execute(
        update(MessageAttempt)
        .where(*of_message, MessageAttempt.state == "calling")
        .values(state="unknown", finished_at=func.now(), error_code="interrupted")
    )
    if isinstance(step, Settled):
        move(session, message.tenant_id, message.id, step.status)
        return step
    session.add(
        MessageAttempt(
            tenant_id=message.tenant_id, message_id=message.id, number=step.number, provider=account.label,
            state="calling", started_at=datetime.now(UTC),
        )
    )  # fmt: skip
    return step


def record_sent(session: Session, message: Message, number: int, sent: SentMessage) -> None:
    """The provider took it: the attempt, the status, and what it may cost."""
    close(session, message, number, "succeeded", detail=sent.detail)
    values = {"provider": sent.provider, "provider_id": sent.provider_id, "sent_at": func.now()}
    move(session, message.tenant_id, message.id, "sent", **values)
    meter(session, message.tenant_id, message.channel, [message.id])


def record_failure(session: Session, message: Message, number: int, error: JobError, status: str) -> None:
    """The call failed: the attempt, and where that leaves the message."""
    state = "unknown" if isinstance(error, UnknownOutcome) else "failed"
    close(session, message, number, state, error_code=error.job_code, detail=error.detail)
    move(session, message.tenant_id, message.id, status)


def close(
    session: Session,
    message: Message,
    number: int,
    state: str,
    *,
    error_code: str | None = None,
    detail: str | None = None,
) -> None:
    """Write down how the attempt ended."""
    session.execute(
        update(MessageAttempt)
        .where(*_of(message.tenant_id, message.id), MessageAttempt.number == number)
        .values(state=state, finished_at=func.now(), error_code=error_code, detail=detail)
    )


def move(session: Session, tenant_id: UUID, message_id: UUID, status: str, **values: Any) -> None:
    """Set the status, unless the message is further already: a slow call may end after its attempt was given up."""
    session.execute(
        update(Message)
        .where(Message.tenant_id == tenant_id, Message.id == message_id, Message.status.in_(sorted(FORWARD[status])))
        .values(status=status, **values)
    )


def meter(session: Session, tenant_id: UUID, channel: str, message_ids: Sequence[UUID]) -> None:
    """Count messages as used, each once, in the transaction that says they were sent."""
    metering.meter(session, tenant_id, f"message.{channel}", "message", message_ids)


def suppress(session: Session, message: Message, address: str, reason: str) -> None:
    """Do not write to the address again."""
    row = {
        "tenant_id": message.tenant_id, "id": new_id(), "channel": message.channel, "address": address, "category": "",
        "reason": reason, "message_id": message.id,
    }  # fmt: skip
    session.execute(insert(Suppression).values(row).on_conflict_do_nothing())


def _of(tenant_id: UUID, message_id: UUID) -> tuple[Any, Any]:
    return MessageAttempt.tenant_id == tenant_id, MessageAttempt.message_id == message_id
