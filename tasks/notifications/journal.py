"""A batch's journal: who is being written to is in a committed row before a provider is asked, and what came of it replaces that.

One transaction in one round trip closes a window of messages and opens the next. A worker that is killed leaves one window in the row;
the attempt that takes over makes messages of it whose call was cut off, for the rules to judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, LiteralString
from uuid import UUID

from domain.errors import JobError, UnknownOutcome
from domain.ids import new_id
from jobs.context import JobContext
from models.tenant import Recipient
from providers.messages import SentMessage
from tasks.notifications import statements
from tasks.notifications.content import Content, Source


@dataclass(frozen=True, slots=True)
class Due:
    """A message to send now, as attempt `number`. `reason` is the rule that decided."""

    message_id: UUID
    recipient: Recipient
    address: str
    source: Source
    reason: str
    number: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one: sent, or an error and where that leaves it. `attempted` names the provider that was asked, if one was,
    at the moment `began`.

    `suppresses` is the reason for which the address is not written to again.
    """

    due: Due
    status: str
    content: Content | None = None
    sent: SentMessage | None = None
    error: JobError | None = None
    attempted: str | None = None
    began: datetime | None = None
    held_until: datetime | None = None
    suppresses: str | None = None

    @property
    def state(self) -> str:
        """Of the attempt."""
        if self.error is None:
            return "succeeded"
        return "unknown" if isinstance(self.error, UnknownOutcome) else "failed"


@dataclass(frozen=True, slots=True)
class Journal:
    """The journal of one batch, held by one attempt of its job."""

    context: JobContext
    broadcast_id: UUID
    channel: str

    def take_over(self) -> None:
        """Make this attempt the one that may go on, and messages of what an earlier one was cut off at. Raises `Cancelled`."""
        self.context.confirm()
        parameters = self._named()
        self.context.tenancy.fetch_many(
            self.context.tenant_id, [(statement, parameters) for statement in statements.TAKE_OVER]
        )

    def turn(self, outcomes: Sequence[Outcome], upcoming: Sequence[Due] = (), provider: str | None = None) -> bool:
        """Write down what came of a window, and who is written to next; whether that may be.

        It may not be when the broadcast was paused or cancelled, or another attempt has taken over.
        """
        marks = {
            **self._named(), "provider": provider, "recipients": [due.recipient.id for due in upcoming],
            "messages": [due.message_id for due in upcoming],
        }  # fmt: skip
        answers = self.context.tenancy.fetch_many(
            self.context.tenant_id, [*self._records(outcomes), (statements.MARK, marks)]
        )
        return bool(answers[-1] and answers[-1][0]["goes_on"])

    def _named(self) -> dict[str, Any]:
        context = self.context
        return {
            "tenant_id": context.tenant_id, "id": context.job_id, "token": context.token, "broadcast_id": self.broadcast_id,
        }  # fmt: skip

    def _records(self, outcomes: Sequence[Outcome]) -> list[tuple[LiteralString, dict[str, Any]]]:
        if not outcomes:
            return []
        tenant, now = {"tenant_id": self.context.tenant_id, "channel": self.channel}, datetime.now(UTC)
        records = [(statements.MESSAGES, {**tenant, "broadcast_id": self.broadcast_id, **_messages(outcomes, now)})]
        attempted = [outcome for outcome in outcomes if outcome.attempted is not None]
        if attempted:
            records.append((statements.ATTEMPTS, {**tenant, "now": now, **_attempts(attempted, now)}))
        sent = [outcome.due.message_id for outcome in outcomes if outcome.sent is not None]
        if sent:
            records.append((statements.USAGE, {**tenant, "ids": [new_id() for _ in sent], "sources": sent}))
        bad = [outcome for outcome in outcomes if outcome.suppresses is not None]
        if bad:
            records.append((statements.SUPPRESSIONS, {**tenant, **_suppressions(bad)}))
        return records


def _messages(outcomes: Sequence[Outcome], now: datetime) -> dict[str, Any]:
    """Columns of rows, in step. What many messages say is carried once, and named by its place."""
    places: dict[Content, int] = {}
    for outcome in outcomes:
        if outcome.content is not None:
            places.setdefault(outcome.content, len(places) + 1)
    return {
        "subjects": [content.subject for content in places],
        "texts": [content.text for content in places],
        "htmls": [content.html for content in places],
        "ids": [outcome.due.message_id for outcome in outcomes],
        "recipients": [outcome.due.recipient.id for outcome in outcomes],
        "addresses": [outcome.due.address for outcome in outcomes],
        "contents": [None if outcome.content is None else places[outcome.content] for outcome in outcomes],
        "statuses": [outcome.status for outcome in outcomes],
        "providers": [None if outcome.sent is None else outcome.sent.provider for outcome in outcomes],
        "provider_ids": [None if outcome.sent is None else outcome.sent.provider_id for outcome in outcomes],
        "moments": [None if outcome.sent is None else now for outcome in outcomes],
        "categories": [outcome.due.source.category for outcome in outcomes],
        "locales": [outcome.due.source.locale for outcome in outcomes],
        "templates": [outcome.due.source.template for outcome in outcomes],
        "versions": [outcome.due.source.version for outcome in outcomes],
        "reasons": [_reason(outcome) for outcome in outcomes],
        "holds": [outcome.held_until for outcome in outcomes],
    }


def _reason(outcome: Outcome) -> str:
    if outcome.error is not None and outcome.status == "not_sent":
        return outcome.error.job_code
    return outcome.due.reason


def _attempts(outcomes: Sequence[Outcome], now: datetime) -> dict[str, Any]:
    return {
        "ids": [new_id() for _ in outcomes],
        "messages": [outcome.due.message_id for outcome in outcomes],
        "numbers": [outcome.due.number for outcome in outcomes],
        "providers": [outcome.attempted for outcome in outcomes],
        "states": [outcome.state for outcome in outcomes],
        "codes": [None if outcome.error is None else outcome.error.job_code for outcome in outcomes],
        "details": [_detail(outcome) for outcome in outcomes],
        "moments": [outcome.began or now for outcome in outcomes],
    }


def _detail(outcome: Outcome) -> str | None:
    if outcome.error is not None:
        return outcome.error.detail
    return None if outcome.sent is None else outcome.sent.detail


def _suppressions(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {
        "ids": [new_id() for _ in outcomes],
        "addresses": [outcome.due.address.lower() for outcome in outcomes],
        "reasons": [outcome.suppresses for outcome in outcomes],
        "messages": [outcome.due.message_id for outcome in outcomes],
    }
