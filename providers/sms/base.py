"""What a provider of text messages takes and promises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from providers.messages import SentMessage


@dataclass(frozen=True, slots=True)
class SmsMessage:
    """One text to one number in E.164. `callback_url` is where the provider may report what became of it."""

    id: UUID
    to: str
    text: str
    callback_url: str | None = None


class SmsProvider(Protocol):
    """`idempotent` says whether sending the same message twice delivers it once."""

    @property
    def name(self) -> str: ...

    @property
    def idempotent(self) -> bool: ...

    def send(self, message: SmsMessage) -> SentMessage:
        """Hand the message over. Raises as `providers.email.EmailProvider.send`; a number that answered STOP is
        `recipient_refused`.
        """
        ...
