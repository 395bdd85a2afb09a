"""Claiming and recording a handful of a broadcast's messages, each in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, bindparam, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from domain.errors import JobError, UnknownOutcome
from domain.ids import new_id
from domain.notifications.channels import normal_address
from domain.notifications.decision import Decision, Outcome, decide
from domain.notifications.delivery import FORWARD, PastAttempt, Settled, next_step
from jobs.context import JobContext
from models.tenant import Broadcast, Message, MessageAttempt, Recipient
from models.tenant.standing import settings_of, standing, suppressions_of
from providers.accounts import Account
from providers.messages import SentMessage
from tasks.notifications import records
from tasks.notifications.content import Content, Source

_OPEN = frozenset({"queued", "delivery_attempted"})


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message that this job, and nobody else, is about to send."""

    message_id: UUID
    number: int
    recipient: Recipient
    address: str
    source: Source


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one: sent, or an error and where that leaves it."""

    claimed: Claimed
    content: Content | None = None
    sent: SentMessage | None = None
    error: JobError | None = None
    status: str = "sent"
    suppresses: str | None = None


def claim_handful(
    context: JobContext,
    broadcast: Broadcast,
    people: Sequence[Recipient],
    sources: Mapping[UUID, Source],
    account: Account | None,
    asked: Mapping[str, Any],
) -> list[Claimed]:
    """Make the messages that are not there, decide about each, and claim those to send now.

    One that is held gets a job of its own, which begins when the quiet hours end.
    """
    held: list[tuple[UUID, Recipient, datetime]] = []
    claimed: list[Claimed] = []
    with context.session() as session:
        messages = _messages(session, broadcast, people, sources)
        decisions = _decisions(session, broadcast, people, sources, critical=asked["critical"])
        past = _past(session, broadcast, [message.id for message in messages.values()])
        for person in people:
            message, decision = messages[person.id], decisions[person.id]
            if message.status not in _OPEN:
                continue
            if message.held_until is not None:  # an earlier attempt of this job held it
                held.append((message.id, person, message.held_until))
                continue
            number = _decided(session, message, decision, past.get(message.id, []), account)
            if decision.outcome is Outcome.HOLD and decision.until is not None:
                held.append((message.id, person, decision.until))
            elif number is not None:
                claimed.append(Claimed(message.id, number, person, message.recipient, sources[person.id]))
    for message_id, person, until in held:
        _submit_held(context, broadcast, message_id, person, until, asked)
    return claimed


def record_handful(context: JobContext, broadcast: Broadcast, results: Sequence[Result], *, last: bool) -> None:
    """Write down what came of the handful, and what it may cost."""
    if not results:
        return
    now = datetime.now(UTC)
    with context.session() as session:
        session.connection().execute(_ATTEMPTS, [_attempt(broadcast, result, now) for result in results])
        for status in dict.fromkeys(result.status for result in results):
            rows = [_message(broadcast, result, now) for result in results if result.status == status]
            # not `in_`, which cannot be sent with many rows at once
            earlier = or_(*(Message.__table__.c.status == each for each in sorted(FORWARD[status])))
            statement = _MESSAGES.where(earlier)
            session.connection().execute(statement, rows)
        sent = [result.claimed.message_id for result in results if result.sent is not None]
        records.meter(session, broadcast.tenant_id, broadcast.channel, sent)
        for result in results:
            if result.suppresses is not None:
                message = session.get_one(Message, (broadcast.tenant_id, result.claimed.message_id))
                records.suppress(session, message, result.claimed.address, result.suppresses)


def _messages(
    session: Session, broadcast: Broadcast, people: Sequence[Recipient], sources: Mapping[UUID, Source]
) -> dict[UUID, Message]:
    """The messages of these people by recipient, locked."""
    rows = [
        {
            "tenant_id": broadcast.tenant_id, "id": new_id(), "channel": broadcast.channel, "recipient": _to(broadcast, person),
            "subject": "", "body_text": "", "notification_id": broadcast.id, "in_broadcast": True, "recipient_id": person.id,
            "category": sources[person.id].category, "locale": sources[person.id].locale,
            "template": sources[person.id].template, "template_version": sources[person.id].version,
        }
        for person in people
    ]  # fmt: skip
    session.execute(insert(Message).values(rows).on_conflict_do_nothing())
    found = session.scalars(
        select(Message)
        .where(
            Message.tenant_id == broadcast.tenant_id, Message.notification_id == broadcast.id, Message.in_broadcast,
            Message.recipient_id.in_([person.id for person in people]),
        )
        .order_by(Message.id).with_for_update()
    )  # fmt: skip
    return {message.recipient_id: message for message in found if message.recipient_id is not None}


def _to(broadcast: Broadcast, person: Recipient) -> str:
    address = {"email": person.email, "sms": person.phone, "in_app": person.external_id}[broadcast.channel]
    return address or ""


def _decisions(
    session: Session,
    broadcast: Broadcast,
    people: Sequence[Recipient],
    sources: Mapping[UUID, Source],
    *,
    critical: bool,
) -> dict[UUID, Decision]:
    settings = settings_of(session, broadcast.tenant_id)
    addresses = {person.id: normal_address(broadcast.channel, _to(broadcast, person)) for person in people}
    found = suppressions_of(session, broadcast.tenant_id, broadcast.channel, addresses.values())
    now = datetime.now(UTC)
    return {
        person.id: decide(
            standing(settings, person, found.get(addresses[person.id], ())),
            channel=broadcast.channel, category=sources[person.id].category, critical=critical, now=now,
        )
        for person in people
    }  # fmt: skip


def _past(session: Session, broadcast: Broadcast, ids: Sequence[UUID]) -> dict[UUID, list[PastAttempt]]:
    found: dict[UUID, list[PastAttempt]] = {}
    where = (MessageAttempt.tenant_id == broadcast.tenant_id, MessageAttempt.message_id.in_(ids))
    for row in session.scalars(select(MessageAttempt).where(*where)):
        found.setdefault(row.message_id, []).append(PastAttempt(row.number, row.state, row.provider))
    return found


def _decided(
    session: Session, message: Message, decision: Decision, past: Sequence[PastAttempt], account: Account | None
) -> int | None:
    """The number of the attempt that is claimed; None if the message is not sent now."""
    message.reason = decision.rule.value
    if decision.outcome is Outcome.DROP:
        message.status = "not_sent"
        return None
    if decision.outcome is Outcome.HOLD:
        message.held_until = decision.until
        return None
    if account is None:
        return 0
    step = next_step(message.status, past, account.label, idempotent=account.idempotent)
    if any(each.state == "calling" for each in past):
        session.execute(
            update(MessageAttempt)
            .where(
                MessageAttempt.tenant_id == message.tenant_id, MessageAttempt.message_id == message.id,
                MessageAttempt.state == "calling",
            )
            .values(state="unknown", finished_at=func.now(), error_code="interrupted")
        )  # fmt: skip
    if isinstance(step, Settled):
        message.status = step.status
        return None
    session.add(
        MessageAttempt(
            tenant_id=message.tenant_id, message_id=message.id, number=step.number, provider=account.label,
            state="calling", started_at=datetime.now(UTC),
        )
    )  # fmt: skip
    return step.number


def _submit_held(
    context: JobContext,
    broadcast: Broadcast,
    message_id: UUID,
    person: Recipient,
    until: datetime,
    asked: Mapping[str, Any],
) -> None:
    said = {
        name: asked[name]
        for name in (
            "subject",
            "text",
            "html",
            "template",
            "template_version",
            "data",
            "locale",
            "category",
            "critical",
        )
    }
    message = {
        **said, "channel": broadcast.channel, "to": _to(broadcast, person), "recipient_id": str(person.id),
        "notification_id": str(broadcast.id), "message_id": str(message_id),
    }  # fmt: skip
    context.submit("notification.deliver", message, key=f"held:{message_id}", run_at=until)


_ATTEMPTS = (
    update(MessageAttempt.__table__)  # type: ignore[arg-type]  # a table
    .where(
        MessageAttempt.__table__.c.tenant_id == bindparam("t", type_=Uuid()),
        MessageAttempt.__table__.c.message_id == bindparam("m", type_=Uuid()),
        MessageAttempt.__table__.c.number == bindparam("n"),
    )
    .values(
        state=bindparam("new_state"), finished_at=bindparam("at"), error_code=bindparam("code"), detail=bindparam("said")
    )
)  # fmt: skip

_MESSAGES = (
    update(Message.__table__)  # type: ignore[arg-type]  # a table
    .where(
        Message.__table__.c.tenant_id == bindparam("t", type_=Uuid()), Message.__table__.c.id == bindparam("m", type_=Uuid())
    )
    .values(
        status=bindparam("new_status"), provider=bindparam("by"), provider_id=bindparam("by_id"), sent_at=bindparam("at"),
        delivered_at=bindparam("there_at"), subject=bindparam("headline"), body_text=bindparam("plain"),
        body_html=bindparam("rich"), reason=func.coalesce(bindparam("why"), Message.__table__.c.reason),
    )
)  # fmt: skip


def _attempt(broadcast: Broadcast, result: Result, now: datetime) -> dict[str, Any]:
    error = result.error
    state = "succeeded" if error is None else "unknown" if isinstance(error, UnknownOutcome) else "failed"
    return {
        "t": broadcast.tenant_id, "m": result.claimed.message_id, "n": result.claimed.number, "new_state": state, "at": now,
        "code": None if error is None else error.job_code,
        "said": (None if result.sent is None else result.sent.detail) if error is None else error.detail,
    }  # fmt: skip


def _message(broadcast: Broadcast, result: Result, now: datetime) -> dict[str, Any]:
    content, sent = result.content, result.sent
    return {
        "t": broadcast.tenant_id, "m": result.claimed.message_id, "new_status": result.status,
        "by": None if sent is None else sent.provider, "by_id": None if sent is None else sent.provider_id,
        "at": None if sent is None else now, "there_at": now if result.status == "delivered" else None,
        "headline": "" if content is None else content.subject, "plain": "" if content is None else content.text,
        "rich": None if content is None else content.html,
        "why": result.error.job_code if result.error is not None and result.status == "not_sent" else None,
    }  # fmt: skip
