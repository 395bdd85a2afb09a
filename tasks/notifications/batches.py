"""One batch of a broadcast: some hundred messages, decided about together and sent over one connection.

They go a window at a time: who is in it is written down before the first of them is sent, and what came of it in the transaction that
opens the next one. So a message costs a small part of a commit, and a worker that is killed leaves at most one window in doubt: those
are `unknown`, and not sent again.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from domain.errors import JobError, Permanent, Transient
from domain.notifications.delivery import status_after
from domain.notifications.failover import suppresses
from jobs.context import JobContext
from jobs.handlers import handles
from jobs.kinds import kind
from jobs.submissions import submission
from providers.messages import SentMessage
from tasks.notifications.accounts import worst
from tasks.notifications.holding import hold
from tasks.notifications.journal import Due, Journal, Outcome
from tasks.notifications.planning import Plan, Range, count, plan_next
from tasks.notifications.push import Devices
from tasks.notifications.routes import Answer, Connected, Feed, Route, Said, connected
from tasks.notifications.wording import Wording

WINDOW = 20
FRESH_SECONDS = 2.0
"""How old a decision may be when its message is sent, at most by one window; then the rest is decided about anew."""


@handles("notification.batch")
def deliver_batch(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Deliver the batch. What no provider took for now is left to the job's next attempt."""
    broadcast_id = payload["broadcast_id"]
    asked = submission(context.tenancy, context.tenant_id, "notification.broadcast", broadcast_id).payload
    batch = Range(asked, broadcast_id, payload["after"], payload["through"], payload["held"])
    total = count(context, batch)
    journal = Journal(context, broadcast_id, asked["channel"])
    journal.take_over()
    delivery = _Delivery(context, journal, Wording(context, asked), total)
    with contextlib.ExitStack() as stack:
        route: Route | None = None
        while (plan := plan_next(context, batch)) is not None:
            route = _route(context, stack, route, asked["channel"], plan)
            if plan.settled:
                journal.turn(plan.settled)
            hold(context, batch, plan.held)
            batch = replace(batch, after=delivery.go(plan, route, batch.after))
            if route.doubtful:
                raise Transient("The provider keeps falling silent with messages.", code="provider_unreachable")
    if delivery.left:
        raise worst(delivery.left)
    return {"broadcast_id": str(broadcast_id), "recipients": total}


def _route(context: JobContext, stack: contextlib.ExitStack, present: Route | None, channel: str, plan: Plan) -> Route:
    """Where the plan's messages go. Raises as `connected`."""
    if channel == "in_app":
        return Feed()
    if channel == "push":
        return Devices(context, plan.accounts)
    return connected(context, stack, present if isinstance(present, Connected) else None, plan.accounts, channel)


class _Delivery:
    """Sends plan after plan. `left` is what kept messages from being sent for now."""

    def __init__(self, context: JobContext, journal: Journal, wording: Wording, total: int):
        self._context, self._journal, self._wording, self._total = context, journal, wording, total
        self._last = context.attempt >= kind(context.kind).retry.max_attempts
        self._done = 0
        self.left: list[JobError] = []

    def go(self, plan: Plan, route: Route, after: UUID) -> UUID:
        """Send what is due; returns the recipient up to whom all was tried. Raises as `JobContext.check`.

        However it ends, what came of the messages is written down.
        """
        fresh_until = time.monotonic() + FRESH_SECONDS
        outcomes: list[Outcome] = []
        try:
            for place, window in enumerate(_windows(plan.due)):
                if place and time.monotonic() > fresh_until:
                    return after
                self._context.progress(self._done, self._total, "messages")
                said, failed = self._said(window)
                asked = [] if route.label is None else [due for due, _ in said]
                if not self._journal.turn(outcomes, asked, route.label):
                    outcomes = failed
                    self._journal.take_over()  # the next plan tells why, if it was not another attempt
                    return after
                outcomes = failed
                tried = self._send(route, said, outcomes)
                self._done += len(outcomes)
                if tried < len(said):
                    return said[tried - 1][0].recipient.id if tried else after
                after = window[-1].recipient.id
            return plan.through
        finally:
            if outcomes:
                self._journal.turn(outcomes)

    def _said(self, window: Sequence[Due]) -> tuple[list[Said], list[Outcome]]:
        """What is to be sent, and what cannot be said."""
        said, failed = [], []
        for due, content in zip(window, self._wording.of(window), strict=True):
            if isinstance(content, Permanent):
                failed.append(Outcome(due, "not_sent", error=content))
            else:
                said.append((due, content))
        return said, failed

    def _send(self, route: Route, said: Sequence[Said], outcomes: list[Outcome]) -> int:
        """Add what comes of each that is tried; returns how many are."""
        began, tried = datetime.now(UTC), 0
        for answer, each in zip(route.send(said), said, strict=False):
            outcomes.append(self._outcome(route, each, answer, began))
            tried += 1
            if isinstance(answer, Transient):
                self.left.append(answer)
        return tried

    def _outcome(self, route: Route, said: Said, answer: Answer, began: datetime) -> Outcome:
        due, content = said
        if isinstance(answer, SentMessage):
            status = "delivered" if route.label is None else "sent"
            return Outcome(due, status, content, answer, attempted=route.label, began=began)
        return Outcome(
            due, status_after(answer, last=self._last), content, error=answer, attempted=route.label, began=began,
            suppresses=suppresses(self._journal.channel, answer),
        )  # fmt: skip


def _windows(due: Sequence[Due]) -> Iterator[Sequence[Due]]:
    return (due[start : start + WINDOW] for start in range(0, len(due), WINDOW))
