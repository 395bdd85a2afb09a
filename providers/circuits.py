"""Circuit breakers for providers that are tried in turn: one that keeps failing is passed over for a while.

A caller looks before it claims an attempt, so a provider that is left alone costs nothing. One circuit per account and
process. Source: Nygard, "Release It!", 2nd edition, 2018.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache

from config.telemetry.counters import register_gauge, summed
from config.telemetry.measures import CIRCUITS_OPEN
from domain.errors import JobError, RateLimited, Transient

FAILURES_TO_OPEN = 5
SECONDS_OPEN = 30.0
_CIRCUITS_KEPT = 4096


class Circuit:
    """Opens after `FAILURES_TO_OPEN` failures in a row; after `seconds` one more failure opens it again."""

    def __init__(self, seconds: float, clock: Callable[[], float]):
        self._seconds, self._clock = seconds, clock
        self._lock = threading.Lock()
        self._failures, self._open_until = 0, 0.0

    def remaining(self) -> float:
        """Seconds for which the provider is to be left alone."""
        with self._lock:
            return max(0.0, self._open_until - self._clock())

    def note(self, error: JobError | None) -> None:
        """How a call went. A provider that refuses a message or asks to wait is alive; only failing to answer counts."""
        with self._lock:
            if not isinstance(error, Transient) or isinstance(error, RateLimited):
                self._failures = 0
                return
            self._failures += 1
            if self._failures >= FAILURES_TO_OPEN:
                self._failures = FAILURES_TO_OPEN - 1  # so that a failed trial opens it at once
                self._open_until = self._clock() + self._seconds


class Circuits:
    """The circuits of one process; those unused for longest are forgotten."""

    def __init__(self, seconds: float = SECONDS_OPEN, clock: Callable[[], float] = time.monotonic):
        self._seconds, self._clock = seconds, clock
        self._lock = threading.Lock()
        self._circuits: OrderedDict[str, Circuit] = OrderedDict()

    def get(self, account: str) -> Circuit:
        """The circuit of an account; `account` names it and holds no secret."""
        with self._lock:
            circuit = self._circuits.setdefault(account, Circuit(self._seconds, self._clock))
            self._circuits.move_to_end(account)
            while len(self._circuits) > _CIRCUITS_KEPT:
                self._circuits.popitem(last=False)
            return circuit

    def open_by_provider(self) -> dict[tuple[str, ...], float]:
        """How many accounts are left alone for now; those of tenants count together."""
        with self._lock:
            known = list(self._circuits.items())
        return summed(((_provider(account),), 1.0) for account, circuit in known if circuit.remaining())


def _provider(account: str) -> str:
    whose, _, name = account.partition(":")
    return name.partition(":")[0] if whose == "platform" else "tenant_account"


@lru_cache(maxsize=1)
def process_circuits() -> Circuits:
    """This process's circuits: they must outlive a call to be of use."""
    circuits = Circuits()
    register_gauge(CIRCUITS_OPEN, circuits.open_by_provider)
    return circuits
