"""The accounts at providers that this process calls under, with a client for each that is kept between calls.

To make a client costs some twenty times the processor time of a call, and a new one begins without connections.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from domain.errors import Permanent
from providers.llm.base import ANYWHERE, CompletionProvider, Reach

PROVIDER_NAMES = ("openai", "anthropic", "openai_compatible", "sandbox")

CLIENTS_KEPT = 128
"""Beyond it the client that was unused for longest is closed."""


@dataclass(frozen=True, slots=True)
class Account:
    """A key at an address of a provider. `base_url` None means the vendor's own, never one from the environment: a tenant's key
    goes nowhere else.
    """

    provider: str
    api_key: str = field(default="", repr=False, compare=False)
    base_url: str | None = None
    reach: Reach = ANYWHERE
    fingerprint: bytes = field(init=False, repr=False)
    """Of the key: accounts are compared, and kept, without it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "fingerprint", hashlib.sha256(self.api_key.encode()).digest())

    def check(self) -> None:
        """Raise `Permanent` with `provider_not_supported` or `provider_misconfigured` if it could never answer."""
        if self.provider not in PROVIDER_NAMES:
            raise Permanent(f"There is no completion provider {self.provider!r}.", code="provider_not_supported")
        if self.provider == "openai_compatible" and not self.base_url:
            raise Permanent("An openai_compatible provider needs a base URL.", code="provider_misconfigured")
        if self.provider in {"openai", "anthropic"} and not self.api_key:
            raise Permanent(f"{self.provider} needs an API key.", code="provider_misconfigured")


class Clients:
    """One provider per account. Safe to share between threads; a forked child begins with none."""

    def __init__(self, kept: int = CLIENTS_KEPT):
        self._kept = kept
        self._lock = threading.Lock()
        self._clients: OrderedDict[Account, CompletionProvider] = OrderedDict()
        os.register_at_fork(after_in_child=self._forget)

    def get(self, account: Account) -> CompletionProvider:
        """The account's provider. Raises as `Account.check`."""
        dropped: list[CompletionProvider] = []
        # Made under the lock: hundreds of first calls at once would else each make one and load the SDK for it.
        with self._lock:
            found = self._clients.get(account)
            if found is None:
                account.check()
                found = self._clients[account] = _vendor(account)
            self._clients.move_to_end(account)
            while len(self._clients) > self._kept:
                dropped.append(self._clients.popitem(last=False)[1])
        for each in dropped:
            each.close()
        return found

    def __len__(self) -> int:
        return len(self._clients)

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._clients = OrderedDict()


def _vendor(account: Account) -> CompletionProvider:
    if account.provider == "sandbox":
        from providers.llm.sandbox import SandboxCompletionProvider

        return SandboxCompletionProvider()
    if account.provider == "anthropic":
        from providers.llm.anthropic import ANTHROPIC_URL, AnthropicCompletionProvider

        return AnthropicCompletionProvider(api_key=account.api_key, base_url=account.base_url or ANTHROPIC_URL)
    from providers.llm.openai import OPENAI_URL, OpenAICompletionProvider

    return OpenAICompletionProvider(
        account.provider, api_key=account.api_key, base_url=account.base_url or OPENAI_URL, reach=account.reach
    )
