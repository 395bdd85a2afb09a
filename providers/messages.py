"""What every provider of messages gives back and promises, whatever the channel."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SentMessage:
    """The provider took the message. `provider_id` names it there; `detail` is what the provider answered."""

    provider: str
    provider_id: str
    detail: str
