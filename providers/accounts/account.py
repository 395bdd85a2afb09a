"""An account at a provider, opened only when it is its turn: an SDK that nobody needs is not loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from domain.notifications.failover import Candidate
from providers.messages import SentMessage


class MessageProvider(Protocol):
    """What the providers of all channels have in common; `message` is of the channel's own class."""

    @property
    def name(self) -> str: ...

    @property
    def idempotent(self) -> bool: ...

    def send(self, message: Any) -> SentMessage:
        """Hand the message over. Raises as `providers.email.EmailProvider.send` says."""
        ...


@dataclass(frozen=True)
class Account:
    """`label` names it in attempts; `circuit` names the account for its breaker. `device` is the kind that a push account
    serves, `sender` the address that its mails come from; both None where they do not matter.
    """

    candidate: Candidate
    circuit: str
    build: Callable[[], MessageProvider] = field(repr=False)
    device: str | None = None
    sender: str | None = None
    callback: str | None = None
    idempotent: bool = False

    @property
    def label(self) -> str:
        """As attempts show it."""
        return self.candidate.label

    @property
    def type(self) -> str:
        """The word of ours for the kind of provider, whatever its owner calls the account."""
        return self.label.partition(":")[0]

    @cached_property
    def provider(self) -> MessageProvider:
        """The provider. Raises `Permanent` (`provider_misconfigured`)."""
        return self.build()
