"""What is done to a platform in a chaos run, and in which order."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bench.victims import POOL_PROCESS, WORKER_CPU, WORKER_IO, Victim


class Fault(StrEnum):
    """What befalls the platform, beside the SIGKILL of a worker."""

    FLUSH = "flush of the broker"
    BROKER = "restart of the broker"
    POSTGRES = "restart of PostgreSQL"
    LEADER = "SIGKILL of the leader"
    WEB = "SIGKILL of the API"
    ROLLING = "rolling restart"


Step = Victim | Fault

WORKERS = (WORKER_IO, POOL_PROCESS, WORKER_CPU, WORKER_IO, POOL_PROCESS, WORKER_IO, WORKER_CPU, POOL_PROCESS)
LONG = (
    Fault.FLUSH, Fault.LEADER, Fault.BROKER, Fault.POSTGRES, Fault.WEB, Fault.FLUSH, Fault.ROLLING,
)  # fmt: skip
SHORT = (Fault.FLUSH, Fault.LEADER, Fault.POSTGRES)


@dataclass(frozen=True, slots=True)
class Plan:
    """`jobs` are submitted while the `steps` are done one after another, each at least `pause` seconds after the last.

    Every other tenant has a database of its own.
    """

    jobs: int
    tenants: int
    steps: tuple[Step, ...]
    poison: int = 0
    pause: float = 4.0
    seed: int = 1


def steps(kills: int, faults: tuple[Fault, ...]) -> tuple[Step, ...]:
    """Kills of workers of every kind, with the faults spread evenly among them."""
    places = [(place + 1) / (kills + 1) for place in range(kills)]
    killed: list[tuple[float, Step]] = [(place, WORKERS[n % len(WORKERS)]) for n, place in enumerate(places)]
    others: list[tuple[float, Step]] = [((n + 1) / (len(faults) + 1), fault) for n, fault in enumerate(faults)]
    return tuple(step for _, step in sorted(killed + others, key=lambda each: each[0]))
