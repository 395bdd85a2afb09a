"""Which provider is asked next: in the order of their priority, never twice in a round, never after an unknown outcome."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from domain.errors import JobError, Permanent, Transient, UnknownOutcome
from domain.notifications.delivery import REFUSED_BY_RECIPIENT

PlatformUse = Literal["when_none", "fallback", "never"]
PLATFORM_USES: tuple[PlatformUse, ...] = ("when_none", "fallback", "never")
"""When the platform's own providers serve a tenant: where it has none of its own, also after its own failed, or never."""

_ABOUT_THE_MESSAGE = REFUSED_BY_RECIPIENT | {"invalid_header", "invalid_address", "invalid_content", "device_gone"}
"""Refusals that another provider would only repeat."""


_BAD_ADDRESS = re.compile(r"\b5\.1\.(1|2|3|6|10)\b")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A provider that could send. A lower `priority` is asked first."""

    label: str
    priority: int
    own: bool


def ordered(candidates: Sequence[Candidate], use: PlatformUse) -> list[Candidate]:
    """Those that may serve the tenant, in the order in which they are asked: its own first, whatever the priorities."""
    own = sorted((each for each in candidates if each.own), key=lambda each: (each.priority, each.label))
    shared = sorted((each for each in candidates if not each.own), key=lambda each: (each.priority, each.label))
    if use == "never" or (use == "when_none" and own):
        return own
    return own + shared


def suppresses(channel: str, error: JobError) -> str | None:
    """The reason for which the address is not written to again after such a refusal, if there is one.

    A mail server's 5.1.x says that the address is bad (RFC 3463, section 3.2); Twilio's 21610, that its owner answered STOP.
    """
    if error.job_code != "recipient_refused":
        return None
    if channel == "sms":
        return "stop" if "21610" in error.detail else None
    return "hard_bounce" if _BAD_ADDRESS.search(error.detail) else None


def goes_on(error: JobError) -> bool:
    """Whether another provider may be asked after this failure: nothing was sent, and the message is not to blame."""
    if isinstance(error, UnknownOutcome):
        return False
    if isinstance(error, Transient):
        return True
    return isinstance(error, Permanent) and error.job_code not in _ABOUT_THE_MESSAGE
