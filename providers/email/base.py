"""What an email provider takes, gives back and promises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from providers.messages import SentMessage

__all__ = ["EmailMessage", "EmailProvider", "SentMessage"]


@dataclass(frozen=True, slots=True)
class EmailMessage:
    """One mail to one recipient. `sender`, `to` and `reply_to` are single addresses, with or without a display name.

    `headers` are further ones, such as `List-Unsubscribe`; those that the other fields decide are refused there.
    """

    id: UUID
    sender: str
    to: str
    subject: str
    text: str
    html: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    reply_to: str | None = None


class EmailProvider(Protocol):
    """`idempotent` says whether sending the same message twice delivers it once."""

    @property
    def name(self) -> str: ...

    @property
    def idempotent(self) -> bool: ...

    def send(self, message: EmailMessage) -> SentMessage:
        """Hand the message over.

        Raises `Transient` (nothing was sent, it may work later), `Permanent` (it will never work; codes
        `invalid_header`, `invalid_address`, `sender_refused`, `recipient_refused`, `message_refused`,
        `provider_unauthorized`, `provider_misconfigured`) or `UnknownOutcome` (it may have been sent).
        """
        ...
