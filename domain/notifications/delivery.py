"""Delivering a message once: what may follow from the attempts that were made, and where each outcome leaves it.

A provider call is written down before it is made. An attempt found in `calling` was cut off by a crash: whether the
provider acted is not known, so it is repeated only where repeating is harmless.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from domain.errors import JobError, Transient, UnknownOutcome

FORWARD: dict[str, frozenset[str]] = {
    "delivery_attempted": frozenset({"queued"}),
    "not_sent": frozenset({"queued", "delivery_attempted"}),
    "unknown": frozenset({"queued", "delivery_attempted"}),
    "undelivered": frozenset({"queued", "delivery_attempted", "unknown", "sent"}),
    "sent": frozenset({"queued", "delivery_attempted", "unknown"}),
    "delivered": frozenset({"queued", "delivery_attempted", "unknown", "sent", "undelivered"}),
    "bounced": frozenset({"queued", "delivery_attempted", "unknown", "sent", "delivered", "undelivered"}),
}
"""For each status, those that it may follow. A status only moves forward; an unknown outcome may still become known."""

REFUSED_BY_RECIPIENT = frozenset({"recipient_refused", "message_refused", "device_gone"})
"""Codes of errors that come from the recipient's side; any other refusal came before the message was on its way."""


@dataclass(frozen=True, slots=True)
class PastAttempt:
    """An earlier call: `state` is `calling succeeded failed unknown`."""

    number: int
    state: str
    provider: str


@dataclass(frozen=True, slots=True)
class Send:
    """Call the provider, as attempt `number`."""

    number: int


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing is left to do: the message has this status."""

    status: str


def next_step(status: str, attempts: Sequence[PastAttempt], provider: str, *, idempotent: bool) -> Send | Settled:
    """What to do with a message, given its status, its attempts so far and the provider that would send it now.

    A cut-off attempt is followed by another only if it was at this same provider and the provider delivers a message
    once however often it is sent.
    """
    if status not in FORWARD["delivery_attempted"] | {"delivery_attempted"}:
        return Settled(status)
    cut_off = [attempt for attempt in attempts if attempt.state == "calling"]
    if cut_off and not (idempotent and all(attempt.provider == provider for attempt in cut_off)):
        return Settled("unknown")
    return Send(max((attempt.number for attempt in attempts), default=0) + 1)


def status_after(error: JobError, *, last: bool) -> str:
    """The message's status after a failed call; `last` if the job's policy gives it no other attempt."""
    if isinstance(error, UnknownOutcome):
        return "unknown"
    if isinstance(error, Transient):
        return "undelivered" if last else "delivery_attempted"
    return "undelivered" if error.job_code in REFUSED_BY_RECIPIENT else "not_sent"
