"""Whether a message is sent, held back for later, or not sent at all, and which rule says so.

The rules are asked in one order and the first that has an opinion decides: suppression, critical, the recipient's own choice
for the category, the recipient's choice for the channel, the tenant's default, the platform's. Quiet hours come last, because
they only delay what would be sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from domain.notifications.quiet_hours import QuietHours, quiet_until

LEGAL = frozenset({"hard_bounce", "complaint", "stop", "manual"})
"""Reasons of suppressions that nothing overrides. An `unsubscribe` leaves critical messages alone."""

REASONS = ("hard_bounce", "complaint", "stop", "manual", "unsubscribe")


class Outcome(StrEnum):
    """What becomes of a message."""

    SEND = "send"
    HOLD = "hold"
    DROP = "drop"


class Rule(StrEnum):
    """The rules, in the order in which they are asked; `quiet_hours` only ever holds."""

    SUPPRESSION = "suppression"
    CRITICAL = "critical"
    RECIPIENT_SPECIFIC = "recipient_specific"
    RECIPIENT_GENERAL = "recipient_general"
    TENANT_DEFAULT = "tenant_default"
    PLATFORM_DEFAULT = "platform_default"
    QUIET_HOURS = "quiet_hours"


@dataclass(frozen=True, slots=True)
class Suppressed:
    """An address that must not be written to; with a category, not about that."""

    reason: str
    category: str = ""


@dataclass(frozen=True, slots=True)
class Choices:
    """What a recipient or a tenant has chosen. `channels` maps a channel to yes or no, `categories` a category to that map.

    In a category, the channel `*` stands for all that are not named.
    """

    channels: Mapping[str, bool] = field(default_factory=dict)
    categories: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)

    @classmethod
    def of(cls, stored: Mapping[str, Any] | None) -> Choices:
        """From the JSON that is kept."""
        kept = stored or {}
        return cls(kept.get("channels", {}), kept.get("categories", {}))

    def specific(self, category: str, channel: str) -> bool | None:
        """The choice for the category, if there is one."""
        chosen = self.categories.get(category, {})
        return chosen.get(channel, chosen.get("*"))

    def general(self, channel: str) -> bool | None:
        """The choice for the channel, if there is one."""
        return self.channels.get(channel, self.channels.get("*"))


@dataclass(frozen=True, slots=True)
class Standing:
    """All that is known about writing to one address."""

    suppressions: Sequence[Suppressed] = ()
    recipient: Choices = Choices()
    tenant: Choices = Choices()
    quiet: QuietHours | None = None
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of the message, the rule that decided, and why in words. `until` is set where it is held."""

    outcome: Outcome
    rule: Rule
    detail: str
    until: datetime | None = None


def decide(standing: Standing, *, channel: str, category: str, critical: bool, now: datetime) -> Decision:
    """The first rule with an opinion decides; a message that may be sent may still be held by quiet hours."""
    decision = _permitted(standing, channel, category, critical=critical)
    if decision.outcome is not Outcome.SEND or decision.rule is Rule.CRITICAL or channel == "in_app":
        return decision
    until = None if standing.quiet is None else quiet_until(standing.quiet, standing.timezone, now)
    if until is None:
        return decision
    return Decision(
        Outcome.HOLD, Rule.QUIET_HOURS, f"Quiet hours in {standing.timezone} end at {until:%H:%M} UTC.", until
    )


def _permitted(standing: Standing, channel: str, category: str, *, critical: bool) -> Decision:
    for entry in standing.suppressions:
        if _covers(entry, category, critical=critical):
            about = f" about {entry.category}" if entry.category else ""
            return Decision(Outcome.DROP, Rule.SUPPRESSION, f"The address is suppressed{about}: {entry.reason}.")
    if critical:
        return Decision(Outcome.SEND, Rule.CRITICAL, "The message is critical.")
    asked = (
        (
            Rule.RECIPIENT_SPECIFIC,
            standing.recipient.specific(category, channel),
            f"The recipient's choice for {category}",
        ),
        (Rule.RECIPIENT_GENERAL, standing.recipient.general(channel), f"The recipient's choice for {channel}"),
        (Rule.TENANT_DEFAULT, standing.tenant.specific(category, channel), f"The tenant's default for {category}"),
        (Rule.TENANT_DEFAULT, standing.tenant.general(channel), f"The tenant's default for {channel}"),
    )
    for rule, choice, whose in asked:
        if choice is not None:
            outcome = Outcome.SEND if choice else Outcome.DROP
            return Decision(outcome, rule, f"{whose} is {'yes' if choice else 'no'}.")
    return Decision(Outcome.SEND, Rule.PLATFORM_DEFAULT, "Nobody has chosen otherwise.")


def _covers(entry: Suppressed, category: str, *, critical: bool) -> bool:
    if entry.reason in LEGAL:
        return not entry.category or entry.category == category
    return not critical and (not entry.category or entry.category == category)
