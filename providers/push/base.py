"""What a push provider takes and promises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from providers.messages import SentMessage


@dataclass(frozen=True, slots=True)
class PushMessage:
    """One message to one device. `target` is a Web Push subscription as JSON, or a token of FCM. `data` is for the app."""

    id: UUID
    target: str = field(repr=False)
    title: str
    text: str
    data: Mapping[str, str] = field(default_factory=dict)


class PushProvider(Protocol):
    """`idempotent` says whether sending the same message twice delivers it once."""

    @property
    def name(self) -> str: ...

    @property
    def idempotent(self) -> bool: ...

    def send(self, message: PushMessage) -> SentMessage:
        """Hand the message over. Raises as `providers.email.EmailProvider.send`, and `Permanent` (`device_gone`) for a
        device that has unsubscribed.
        """
        ...
