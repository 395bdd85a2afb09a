"""Delivering messages. The rule is in `domain.notifications.delivery`; here are its rows and the provider call."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from bus.events import announce
from domain.errors import JobError, Permanent, UnknownOutcome
from domain.notifications.delivery import FORWARD, PastAttempt, Send, Settled, next_step, status_after
from jobs.context import JobContext
from jobs.handlers import handles
from jobs.kinds import kind
from models.tenant import Message, MessageAttempt
from providers.email import EmailMessage, EmailProvider, SentMessage, email_provider


@handles("notification.deliver")
def deliver(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Hand one message to a provider, at most once unless the provider makes repeating harmless.

    An unknown outcome ends the job without an error: repeating it could deliver twice, and the message says `unknown`.
    """
    context.check()
    provider = _provider(context, payload)
    with context.session() as session:
        step = _claim(session, context, payload, provider)
    if isinstance(step, Settled):
        return _result(context, payload, step)
    try:
        sent = provider.send(_mail(context, payload))
    except JobError as error:
        status = _record_failure(context, step.number, error)
        if isinstance(error, UnknownOutcome):
            return {"message_id": str(context.job_id), "status": status, "provider": provider.name}
        raise
    with context.session() as session:
        _close(session, context, step.number, "succeeded", detail=sent.detail)
        _move(session, context, "sent", sent)
    _announce_sent(context, payload, sent.provider)
    return {"message_id": str(context.job_id), "status": "sent", "provider": sent.provider}


def _announce_sent(context: JobContext, payload: Mapping[str, Any], provider: str | None) -> None:
    message = {"id": str(context.job_id), "channel": payload["channel"], "to": payload["to"], "provider": provider}
    announce(context, "notification.sent", {"notification": message})


def _provider(context: JobContext, payload: Mapping[str, Any]) -> EmailProvider:
    try:
        return email_provider(context.settings)
    except Permanent:
        with context.session() as session:
            _ensure(session, context, payload)
            _move(session, context, "not_sent")
        raise


def _mail(context: JobContext, payload: Mapping[str, Any]) -> EmailMessage:
    return EmailMessage(
        id=context.job_id,
        sender=context.settings.mail_from,
        to=payload["to"],
        subject=payload["subject"],
        text=payload["text"],
        html=payload["html"],
    )


def _claim(
    session: Session, context: JobContext, payload: Mapping[str, Any], provider: EmailProvider
) -> Send | Settled:
    """Decide the next step and write it down. The message's row is locked, so that two attempts do not both decide."""
    message = _ensure(session, context, payload)
    of_message = (MessageAttempt.tenant_id == context.tenant_id, MessageAttempt.message_id == context.job_id)
    past = [
        PastAttempt(attempt.number, attempt.state, attempt.provider)
        for attempt in session.scalars(select(MessageAttempt).where(*of_message))
    ]
    step = next_step(message.status, past, provider.name, idempotent=provider.idempotent)
    session.execute(
        update(MessageAttempt)
        .where(*of_message, MessageAttempt.state == "calling")
        .values(state="unknown", finished_at=func.now(), error_code="interrupted")
    )
    if isinstance(step, Settled):
        _move(session, context, step.status)
        return step
    session.add(
        MessageAttempt(
            tenant_id=context.tenant_id,
            message_id=context.job_id,
            number=step.number,
            provider=provider.name,
            state="calling",
            started_at=datetime.now(UTC),
        )
    )
    return step


def _ensure(session: Session, context: JobContext, payload: Mapping[str, Any]) -> Message:
    row = {
        "tenant_id": context.tenant_id,
        "id": context.job_id,
        "channel": payload["channel"],
        "recipient": payload["to"],
        "subject": payload["subject"],
        "body_text": payload["text"],
        "body_html": payload["html"],
    }
    session.execute(insert(Message).values(row).on_conflict_do_nothing())
    return session.scalars(
        select(Message).where(Message.tenant_id == context.tenant_id, Message.id == context.job_id).with_for_update()
    ).one()


def _record_failure(context: JobContext, number: int, error: JobError) -> str:
    last = context.attempt >= kind(context.kind).retry.max_attempts
    status = status_after(error, last=last)
    state = "unknown" if isinstance(error, UnknownOutcome) else "failed"
    with context.session() as session:
        _close(session, context, number, state, error_code=error.job_code, detail=error.detail)
        _move(session, context, status)
    return status


def _close(
    session: Session,
    context: JobContext,
    number: int,
    state: str,
    *,
    error_code: str | None = None,
    detail: str | None = None,
) -> None:
    session.execute(
        update(MessageAttempt)
        .where(
            MessageAttempt.tenant_id == context.tenant_id,
            MessageAttempt.message_id == context.job_id,
            MessageAttempt.number == number,
        )
        .values(state=state, finished_at=func.now(), error_code=error_code, detail=detail)
    )


def _move(session: Session, context: JobContext, status: str, sent: SentMessage | None = None) -> None:
    """Set the status, unless the message is further already: a slow call may end after its attempt was given up."""
    values: dict[str, Any] = {"status": status}
    if sent is not None:
        values |= {"provider": sent.provider, "provider_id": sent.provider_id, "sent_at": func.now()}
    session.execute(
        update(Message)
        .where(
            Message.tenant_id == context.tenant_id,
            Message.id == context.job_id,
            Message.status.in_(sorted(FORWARD[status])),
        )
        .values(**values)
    )


def _result(context: JobContext, payload: Mapping[str, Any], settled: Settled) -> Mapping[str, Any]:
    """What an earlier attempt came to. Raises `Permanent` again, as that attempt did, if the message was refused."""
    with context.session() as session:
        message = session.get_one(Message, (context.tenant_id, context.job_id))
        last = session.scalars(
            select(MessageAttempt)
            .where(MessageAttempt.tenant_id == context.tenant_id, MessageAttempt.message_id == context.job_id)
            .order_by(MessageAttempt.number.desc())
            .limit(1)
        ).first()
    if settled.status in {"not_sent", "undelivered"}:
        code, detail = (last.error_code, last.detail) if last is not None else (None, None)
        raise Permanent(detail or f"The message was {settled.status}.", code=code)
    provider = message.provider or (last.provider if last is not None else None)
    if message.status == "sent":  # the worker may have been lost before it could tell
        _announce_sent(context, payload, provider)
    return {"message_id": str(context.job_id), "status": message.status, "provider": provider}
