"""Circuit breakers: a provider that keeps failing is left alone for a while, so that jobs fail fast instead of waiting.

One circuit per provider, address and key: a tenant's broken endpoint does not close anyone else's way.
Source: Nygard, "Release It!", 2nd edition, 2018.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pybreaker

from config.telemetry.counters import summed
from domain.errors import RateLimited, Transient
from providers.calls import Calling
from providers.llm.accounts import Account
from providers.llm.base import (
    CompletionProvider,
    CompletionRequest,
    CompletionResponse,
    EmbeddingRequest,
    EmbeddingResponse,
    Interrupted,
)

FAILURES_TO_OPEN = 5
SECONDS_OPEN = 30.0
_CIRCUITS_KEPT = 1024


class Circuit:
    """Opens after `FAILURES_TO_OPEN` failures in a row, lets a trial through after `SECONDS_OPEN`."""

    def __init__(self, seconds_open: float):
        self._seconds_open = seconds_open
        self._storage = pybreaker.CircuitMemoryStorage(pybreaker.STATE_CLOSED)
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=FAILURES_TO_OPEN,
            reset_timeout=seconds_open,
            exclude=[lambda error: not _counts(error)],
            state_storage=self._storage,
            throw_new_error_on_trip=False,
        )

    @contextmanager
    def calling(self, name: str) -> Iterator[None]:
        """Around a call of the provider of that name. Raises `Transient` with `provider_circuit_open` at once if it is open."""
        try:
            # Not `call`, which holds the breaker's lock during the call and so lets one through at a time.
            with self._breaker.calling():
                yield
        except pybreaker.CircuitBreakerError:
            detail = f"{name} kept failing and is left alone for a while."
            raise Transient(detail, code="provider_circuit_open", retry_after=self._remaining()) from None

    @property
    def is_open(self) -> bool:
        """Whether the provider is left alone for now."""
        return self._storage.state == pybreaker.STATE_OPEN and self._remaining() > 0

    def _remaining(self) -> float:
        opened = self._storage.opened_at
        elapsed = (datetime.now(UTC) - opened).total_seconds() if opened is not None else 0.0
        return max(0.0, self._seconds_open - elapsed)


def _counts(error: BaseException) -> bool:
    """A provider that refuses a request or asks to wait is alive; only failing to answer counts."""
    if isinstance(error, Interrupted):
        error = error.cause
    return isinstance(error, Transient) and not isinstance(error, RateLimited)


class Circuits:
    """The circuits of one process; those unused for longest are forgotten."""

    def __init__(self, seconds_open: float = SECONDS_OPEN):
        self._seconds_open = seconds_open
        self._lock = threading.Lock()
        self._circuits: OrderedDict[Account, Circuit] = OrderedDict()

    def get(self, account: Account) -> Circuit:
        """The circuit of this account."""
        with self._lock:
            circuit = self._circuits.setdefault(account, Circuit(self._seconds_open))
            self._circuits.move_to_end(account)
            while len(self._circuits) > _CIRCUITS_KEPT:
                self._circuits.popitem(last=False)
            return circuit

    def open_by_provider(self) -> dict[tuple[str, ...], float]:
        """How many accounts are left alone for now."""
        with self._lock:
            known = list(self._circuits.items())
        return summed(((account.provider,), 1.0) for account, circuit in known if circuit.is_open)


class GuardedCompletionProvider:
    """A provider behind its circuit."""

    def __init__(self, provider: CompletionProvider, circuit: Circuit):
        self._provider = provider
        self._circuit = circuit

    @property
    def name(self) -> str:
        return self._provider.name

    def complete(self, request: CompletionRequest) -> CompletionResponse:
        """As the provider's, and `Transient` with `provider_circuit_open` while the circuit is open."""
        with Calling(self.name, "complete"), self._circuit.calling(self.name):
            return self._provider.complete(request)

    def stream(self, request: CompletionRequest, heard: Callable[[str], None]) -> CompletionResponse:
        """Likewise."""
        with Calling(self.name, "stream"), self._circuit.calling(self.name):
            return self._provider.stream(request, heard)

    def embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        """Likewise."""
        with Calling(self.name, "embed"), self._circuit.calling(self.name):
            return self._provider.embed(request)

    def close(self) -> None:
        """As the provider's."""
        self._provider.close()
