"""The way that a batch's messages take: into a feed, over one connection of a provider, or to each device of a person."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from domain.errors import JobError, Permanent, Transient, UnknownOutcome
from jobs.context import JobContext
from providers.accounts import Account, MessageProvider
from providers.calls import OK, tell
from providers.circuits import process_circuits
from providers.messages import SentMessage
from tasks.notifications.accounts import worst
from tasks.notifications.content import Content, outgoing
from tasks.notifications.journal import Due

DOUBTS_IN_A_ROW = 3
"""After so many unknown outcomes one after the other the batch stops for now: something is wrong with the provider."""

Said = tuple[Due, Content]
Answer = SentMessage | JobError


class Route(Protocol):
    """Hands messages over. `label` names the provider in attempts; it is None where none is asked."""

    @property
    def label(self) -> str | None: ...

    @property
    def doubtful(self) -> bool:
        """Whether the provider keeps falling silent with messages."""
        ...

    def send(self, window: Iterable[Said]) -> Iterator[Answer]:
        """An answer for each message in order; fewer when those that follow should not be tried now."""
        ...


class Feed:
    """A feed needs no provider: writing the message down is delivering it."""

    label = None
    doubtful = False

    def send(self, window: Iterable[Said]) -> Iterator[Answer]:
        """Every message arrives."""
        return (SentMessage("feed", "", "in the feed") for _ in window)


class Connected:
    """One account, over one connection where it has such a thing."""

    def __init__(self, context: JobContext, account: Account, channel: str, sender: Any):
        self._context, self._account, self._channel, self._sender = context, account, channel, sender
        self._circuit = process_circuits().get(account.circuit)
        self._doubts = 0

    @property
    def account(self) -> Account:
        """The account."""
        return self._account

    @property
    def label(self) -> str:
        """As attempts name it."""
        return self._account.label

    @property
    def doubtful(self) -> bool:
        """Whether it has fallen silent several times in a row."""
        return self._doubts >= DOUBTS_IN_A_ROW

    def send(self, window: Iterable[Said]) -> Iterator[Answer]:
        """Stops when the job is cancelled, the circuit has opened or the provider is doubtful."""
        before = time.perf_counter()
        for answer in self._answers(self._outgoing(window)):
            error = answer if isinstance(answer, JobError) else None
            # Messages go out before the answers to others came: the time is that between two answers.
            seconds = time.perf_counter() - before
            tell(self._account.type, "send", OK if error is None else error.job_code, seconds, quiet=True)
            self._circuit.note(error)
            self._doubts = self._doubts + 1 if isinstance(error, UnknownOutcome) else 0
            yield answer
            before = time.perf_counter()

    def _outgoing(self, window: Iterable[Said]) -> Iterator[Any]:
        for due, content in window:
            if self._context.cancelled or self._circuit.remaining() or self.doubtful:
                return
            yield outgoing(
                self._context, self._account, self._channel, due.message_id, due.address, content,
                one_click=self._channel == "email",
            )  # fmt: skip

    def _answers(self, messages: Iterator[Any]) -> Iterator[Answer]:
        if hasattr(self._sender, "send_many"):
            yield from self._sender.send_many(messages)
            return
        for message in messages:
            try:
                yield self._sender.send(message)
            except JobError as error:
                yield error


def connected(
    context: JobContext,
    stack: contextlib.ExitStack,
    present: Connected | None,
    accounts: Sequence[Account],
    channel: str,
) -> Connected:
    """The first account whose circuit is closed, over the connection that is open if it is the same.

    Raises what hinders all of them, `Permanent` (`no_provider`) if there is none.
    """
    errors: list[JobError] = []
    for account in accounts:
        remaining = process_circuits().get(account.circuit).remaining()
        if remaining:
            detail = f"{account.label} kept failing and is left alone for a while."
            errors.append(Transient(detail, code="provider_circuit_open", retry_after=remaining))
            continue
        if present is not None and present.account.circuit == account.circuit:
            return present
        try:
            provider = account.provider
        except Permanent as error:
            errors.append(error)
            continue
        return Connected(context, account, channel, stack.enter_context(_opened(provider)))
    raise worst(errors) if errors else Permanent("No provider serves the channel.", code="no_provider")


@contextlib.contextmanager
def _opened(provider: MessageProvider) -> Iterator[Any]:
    """One connection for all, where the provider has such a thing."""
    connection = getattr(provider, "connection", None)
    if connection is None:
        yield provider
        return
    with connection() as sender:
        yield sender
