"""One batch of a broadcast: some hundred messages over one connection, claimed a handful at a time.

A handful is claimed in one transaction, sent one by one, and recorded in one transaction. So a message costs a twentieth of two
commits, and a worker that is killed leaves at most that handful in doubt: those are `unknown`, and not sent again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import select

from domain.errors import JobError, Permanent, Transient
from domain.notifications.delivery import status_after
from domain.notifications.failover import suppresses
from jobs.context import JobContext
from jobs.handlers import handles
from jobs.kinds import kind
from jobs.submissions import submission
from models.tenant import Broadcast, Recipient
from models.tenant.audiences import audience
from models.tenant.standing import settings_of
from providers.accounts import Account, MessageProvider
from providers.calls import Calling
from providers.circuits import process_circuits
from providers.messages import SentMessage
from providers.rendering import RenderFailed, render_many
from tasks.notifications.accounts import accounts_for, worst
from tasks.notifications.broadcasts import obey, row_of
from tasks.notifications.claims import Claimed, Result, claim_handful, record_handful
from tasks.notifications.content import Content, Source, outgoing, source_of, template_data, unsubscribe_url

HANDFUL = 20
DOUBTS_IN_A_ROW = 3
"""After so many unknown outcomes one after the other the batch waits: something is wrong with the provider."""


class Sender(Protocol):
    """A provider, or a connection of one."""

    def send(self, message: Any) -> SentMessage:
        """Hand the message over."""
        ...


@handles("notification.batch")
def deliver_batch(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Deliver the batch. What no provider took for now is left to the job's next attempt."""
    broadcast_id = payload["broadcast_id"]
    asked = submission(context.tenancy, context.tenant_id, "notification.broadcast", broadcast_id).payload
    people = _people(context, asked, payload)
    left: list[JobError] = []
    done = 0
    with contextlib.ExitStack() as stack:
        sender: tuple[Account, Sender] | None = None
        for start in range(0, len(people), HANDFUL):
            context.progress(done, len(people), "messages")
            handful = people[start : start + HANDFUL]
            with context.session() as session:
                broadcast = row_of(session, context, asked, broadcast_id)
                obey(broadcast)
                settings = settings_of(session, context.tenant_id)
                sources = {each.id: source_of(session, settings, asked, broadcast.channel, each) for each in handful}
                accounts = [] if broadcast.channel == "in_app" else accounts_for(
                    context, session, settings, broadcast.channel
                )  # fmt: skip
            if broadcast.channel != "in_app":
                sender = _sender(stack, sender, accounts)
            account = None if sender is None else sender[0]
            claimed = claim_handful(context, broadcast, handful, sources, account, asked)
            contents = _contents(context, asked, claimed)
            results = [
                _one(context, broadcast, sender, each, content) for each, content in zip(claimed, contents, strict=True)
            ]
            record_handful(context, broadcast, results, last=context.attempt >= kind(context.kind).retry.max_attempts)
            left += [result.error for result in results if isinstance(result.error, Transient)]
            done += len(handful)
    if left:
        raise worst(left)
    return {"broadcast_id": str(broadcast_id), "recipients": len(people)}


def _people(context: JobContext, asked: Mapping[str, Any], payload: Mapping[str, Any]) -> Sequence[Recipient]:
    with context.session() as session:
        return session.scalars(
            select(Recipient)
            .where(
                *audience(context.tenant_id, asked["channel"], asked["audience"]),
                Recipient.id > payload["after"], Recipient.id <= payload["through"],
            )
            .order_by(Recipient.id)
        ).all()  # fmt: skip


def _sender(
    stack: contextlib.ExitStack, present: tuple[Account, Sender] | None, accounts: Sequence[Account]
) -> tuple[Account, Sender]:
    """The first account whose circuit is closed, over the connection that is open if it is the same."""
    errors: list[JobError] = []
    for account in accounts:
        remaining = process_circuits().get(account.circuit).remaining()
        if remaining:
            detail = f"{account.label} kept failing and is left alone for a while."
            errors.append(Transient(detail, code="provider_circuit_open", retry_after=remaining))
            continue
        if present is not None and present[0].circuit == account.circuit:
            return present
        try:
            provider = account.provider
        except Permanent as error:
            errors.append(error)
            continue
        return account, stack.enter_context(_connected(provider))
    raise worst(errors) if errors else Permanent("No provider serves the channel.", code="no_provider")


@contextlib.contextmanager
def _connected(provider: MessageProvider) -> Iterator[Sender]:
    """One connection for all, where the provider has such a thing."""
    connection = getattr(provider, "connection", None)
    if connection is None:
        yield provider
        return
    with connection() as sender:
        yield sender


def _contents(context: JobContext, asked: Mapping[str, Any], claimed: Sequence[Claimed]) -> list[Content | Permanent]:
    """What each message says; those of one variant are rendered together."""
    made: dict[int, Content | Permanent] = {}
    by_source: dict[int, tuple[Source, list[int]]] = {}
    for place, each in enumerate(claimed):
        by_source.setdefault(hash((each.source.locale, each.source.version)), (each.source, []))[1].append(place)
    for source, places in by_source.values():
        if source.variables is None:
            fixed = source.fixed()
            made |= dict.fromkeys(places, fixed)
            continue
        contexts = [
            template_data(asked, claimed[place].recipient, unsubscribe_url(context, claimed[place].message_id))
            for place in places
        ]
        try:
            answers: Sequence[dict[str, str] | RenderFailed] = render_many(source.parts, contexts)
        except RenderFailed as error:
            answers = [error] * len(places)
        for place, answer in zip(places, answers, strict=True):
            made[place] = answer if isinstance(answer, RenderFailed) else Content(
                answer.get("subject", ""), answer["text"], answer.get("html")
            )  # fmt: skip
    return [made[place] for place in range(len(claimed))]


def _one(
    context: JobContext,
    broadcast: Broadcast,
    sender: tuple[Account, Sender] | None,
    claimed: Claimed,
    content: Content | Permanent,
) -> Result:
    """Send one message of the handful. Never raises: what came of the others must be written down."""
    if isinstance(content, Permanent):
        return Result(claimed, error=content, status="not_sent")
    if sender is None:
        return Result(claimed, content, SentMessage("feed", "", "in the feed"), status="delivered")
    account, connection = sender
    circuit = process_circuits().get(account.circuit)
    if context.cancelled or circuit.remaining():
        return Result(claimed, error=Transient("Not tried.", code="provider_circuit_open"), status="delivery_attempted")
    said = outgoing(
        context, account, broadcast.channel, claimed.message_id, claimed.address, content,
        one_click=broadcast.channel == "email",
    )  # fmt: skip
    try:
        with Calling(account.type, "send", quiet=True):
            sent = connection.send(said)
    except JobError as error:
        circuit.note(error)
        last = context.attempt >= kind(context.kind).retry.max_attempts
        reason = suppresses(broadcast.channel, error)
        return Result(claimed, content, error=error, status=status_after(error, last=last), suppresses=reason)
    circuit.note(None)
    return Result(claimed, content, sent, status="sent")
