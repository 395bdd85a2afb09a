"""What is to be done about the next recipients of a batch: decided for all of them in a few statements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from domain.errors import UnknownOutcome
from domain.ids import new_id
from domain.notifications.decision import Decision, decide
from domain.notifications.decision import Outcome as Verdict
from domain.notifications.delivery import PastAttempt, Settled, next_step
from jobs.context import JobContext
from models.tenant import Broadcast, Message, MessageAttempt, Recipient
from models.tenant.audiences import audience
from models.tenant.standing import settings_of, standing, suppressions_of
from providers.accounts import Account
from tasks.notifications.accounts import accounts_for
from tasks.notifications.broadcasts import obey, row_of
from tasks.notifications.content import Sources
from tasks.notifications.journal import Due, Outcome

CHUNK = 500
"""Recipients that are decided about together."""

_OPEN = frozenset({"queued", "delivery_attempted"})


@dataclass(frozen=True, slots=True)
class Plan:
    """For the recipients up to `through`: messages to send now, those about which all is said, and those that are held."""

    through: UUID
    accounts: list[Account]
    people: int
    due: list[Due] = field(default_factory=list)
    settled: list[Outcome] = field(default_factory=list)
    held: list[tuple[Due, datetime]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Range:
    """The batch's recipients: of the broadcast's audience, beyond `after` and up to `through`.

    With `held`, those whose messages wait for the end of quiet hours are meant, and nobody else.
    """

    asked: Mapping[str, Any]
    broadcast_id: UUID
    after: UUID
    through: UUID
    held: bool = False

    def conditions(self, tenant_id: UUID) -> list[Any]:
        """As SQL."""
        chosen = audience(tenant_id, self.asked["channel"], self.asked["audience"])
        return [*chosen, Recipient.id > self.after, Recipient.id <= self.through]


def count(context: JobContext, batch: Range) -> int:
    """Recipients in the range. Makes the broadcast's row if it is not there, and raises as `obey`."""
    with context.session() as session:
        obey(row_of(session, context, batch.asked, batch.broadcast_id))
        return (
            session.scalar(select(func.count()).select_from(Recipient).where(*batch.conditions(context.tenant_id))) or 0
        )


def plan_next(context: JobContext, batch: Range) -> Plan | None:
    """What to do about the first recipients of the range; None when there are none. Raises as `obey`."""
    with context.session() as session:
        broadcast = row_of(session, context, batch.asked, batch.broadcast_id)
        obey(broadcast)
        people = session.scalars(
            select(Recipient).where(*batch.conditions(context.tenant_id)).order_by(Recipient.id).limit(CHUNK)
        ).all()
        if not people:
            return None
        settings = settings_of(session, context.tenant_id)
        accounts = [] if broadcast.channel == "in_app" else accounts_for(context, session, settings, broadcast.channel)
        sources = Sources(session, settings, batch.asked, broadcast.channel)
        known = _known(session, broadcast, people)
        past = _past(session, broadcast, [message.id for message in known.values()])
        addresses = {person.id: _to(broadcast.channel, person) for person in people}
        # As suppressions have them. Recipients' addresses are kept in that one spelling already.
        lower = {address.lower() for address in addresses.values()}
        suppressed = suppressions_of(session, context.tenant_id, broadcast.channel, lower)
    plan = Plan(people[-1].id, accounts, len(people))
    now = datetime.now(UTC)
    for person in people:
        message, address = known.get(person.id), addresses[person.id]
        if (message is not None and message.status not in _OPEN) or (batch.held and message is None):
            continue
        source = sources.of(person)
        decision = decide(
            standing(settings, person, suppressed.get(address.lower(), ())),
            channel=broadcast.channel, category=source.category, critical=batch.asked["critical"], now=now,
        )  # fmt: skip
        earlier = [] if message is None else past.get(message.id, [])
        number = max((attempt.number for attempt in earlier), default=0) + 1
        message_id = new_id() if message is None else message.id
        due = Due(message_id, person, address, source, decision.rule.value, number)
        _put(plan, due, message, decision, earlier, held=batch.held)
    return plan


def _put(
    plan: Plan, due: Due, message: Message | None, decision: Decision, earlier: Sequence[PastAttempt], *, held: bool
) -> None:
    if message is not None and message.held_until is not None and not held:
        plan.held.append((due, message.held_until))  # an earlier attempt of this job held it
    elif decision.outcome is Verdict.DROP:
        plan.settled.append(Outcome(due, "not_sent"))
    elif decision.outcome is Verdict.HOLD and decision.until is not None:
        plan.settled.append(Outcome(due, "queued" if message is None else message.status, held_until=decision.until))
        plan.held.append((due, decision.until))
    else:
        _send_or_settle(plan, due, message, earlier)


def _send_or_settle(plan: Plan, due: Due, message: Message | None, earlier: Sequence[PastAttempt]) -> None:
    """A call that was cut off is repeated only where that is harmless."""
    label = plan.accounts[0].label if plan.accounts else "feed"
    idempotent = bool(plan.accounts) and all(account.idempotent for account in plan.accounts)
    status = "queued" if message is None else message.status
    step = next_step(status, earlier, label, idempotent=idempotent)
    for attempt in [each for each in earlier if each.state == "calling"]:
        lost = UnknownOutcome("The worker was lost during the call.", code="interrupted")
        ended = step.status if isinstance(step, Settled) else status
        plan.settled.append(Outcome(replace(due, number=attempt.number), ended, error=lost, attempted=attempt.provider))
    if not isinstance(step, Settled):
        plan.due.append(due)


def _known(session: Session, broadcast: Broadcast, people: Sequence[Recipient]) -> dict[UUID, Message]:
    """The messages that these people have of the broadcast, by recipient."""
    found = session.scalars(
        select(Message).where(
            Message.tenant_id == broadcast.tenant_id, Message.notification_id == broadcast.id, Message.in_broadcast,
            Message.recipient_id.in_([person.id for person in people]),
        )
    )  # fmt: skip
    return {message.recipient_id: message for message in found if message.recipient_id is not None}


def _past(session: Session, broadcast: Broadcast, ids: Sequence[UUID]) -> dict[UUID, list[PastAttempt]]:
    if not ids:
        return {}
    found: dict[UUID, list[PastAttempt]] = {}
    where = MessageAttempt.tenant_id == broadcast.tenant_id, MessageAttempt.message_id.in_(ids)
    for row in session.scalars(select(MessageAttempt).where(*where)):
        found.setdefault(row.message_id, []).append(PastAttempt(row.number, row.state, row.provider))
    return found


def _to(channel: str, person: Recipient) -> str:
    """A person's address, or the own name where a feed or devices are meant."""
    address = {"email": person.email, "sms": person.phone}.get(channel, person.external_id)
    return address or ""
