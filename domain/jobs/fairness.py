"""Who goes next: start-time fair queueing over tenants (Goyal, Vin and Cheng, SIGCOMM 1996), with weights, caps and rates.

A tenant's virtual time moves on by the cost of each job that it is given, divided by its weight; whoever is furthest
behind goes next. Who was away starts at the present and neither saves up time nor pays for it. The cost is an estimate
when a job is dispatched and is corrected by what its run really took.

All of it is pure, in seconds of run time. The memory is one entry for each tenant that is ahead of the present.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from uuid import UUID

from domain.jobs.limits import Limits

T = TypeVar("T")

UNKNOWN_SECONDS = 0.01
"""What a job of a kind that has not run yet is taken to cost."""


_MANY = 64


def allowance(limits: Limits, in_flight: int, tokens: float) -> float:
    """How many jobs more a tenant may have dispatched now, with `tokens` in its bucket."""
    room = math.inf if limits.max_running is None else limits.max_running - in_flight
    return room if limits.rate_per_second is None else min(room, tokens)


@dataclass(frozen=True, slots=True)
class Candidate(Generic[T]):
    """A due job: `cost` in seconds of a slot, `units` in messages of room (see `batching`)."""

    job: T
    cost: float
    units: float


@dataclass(frozen=True, slots=True)
class Chosen(Generic[T]):
    """A job that goes now; if `express`, past what already waits for a slot."""

    job: T
    express: bool


@dataclass(slots=True)
class Bucket:
    """A token bucket. It starts empty, so that a new leader never exceeds a rate."""

    rate: float
    size: float
    tokens: float = 0.0
    filled_at: float | None = None

    def fill(self, now: float) -> float:
        """Add what has accrued by `now` (seconds of any steady clock); returns the tokens there are."""
        if self.filled_at is not None:
            self.tokens = min(self.size, self.tokens + (now - self.filled_at) * self.rate)
        self.filled_at = now
        return self.tokens


def bucket_of(limits: Limits, known: Bucket | None) -> Bucket:
    """The bucket for these limits: the known one with what is in it, or an empty one."""
    rate = limits.rate_per_second or 0.0
    size = float(limits.burst if limits.burst is not None else max(1.0, rate))
    if known is None:
        return Bucket(rate, size)
    known.rate, known.size = rate, size
    return known


@dataclass(slots=True)
class _Account:
    finish: float = 0.0
    pending_runs: int = 0
    pending_cost: float = 0.0


@dataclass(slots=True)
class FairShare:
    """The virtual clock of one pool of workers."""

    now: float = 0.0
    _accounts: dict[UUID, _Account] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._accounts)

    def start(self, tenant: UUID) -> float:
        """The virtual time at which the tenant's next job begins."""
        account = self._accounts.get(tenant)
        return self.now if account is None else max(self.now, account.finish)

    def ahead(self) -> dict[UUID, float]:
        """Start times of the tenants that are ahead of the present; everyone else's is the present."""
        return {tenant: account.finish for tenant, account in self._accounts.items() if account.finish > self.now}

    def choose(
        self,
        waiting: Mapping[UUID, Sequence[Candidate[T]]],
        in_flight: Mapping[UUID, int],
        room: float,
        express: float,
        weight: Callable[[UUID], float] = lambda _tenant: 1.0,
        allowance: Callable[[UUID], float] = lambda _tenant: math.inf,
    ) -> list[Chosen[T]]:
        """Pick from `waiting` (each tenant's due jobs, in its own order) what fits, lowest virtual time first.

        `room` is what is free, in messages. Where others are in the way, a tenant with nothing in flight, and not ahead of
        the present, goes past them with one job, even `express` messages beyond the room.
        `allowance` is how many jobs a tenant's cap and rate admit now. A job too large for what is left holds the room
        for itself, or small jobs would pass it for ever.
        """
        heap = [(self.start(tenant), number, tenant) for number, tenant in enumerate(waiting)]
        heapq.heapify(heap)
        shared, present = bool(in_flight) or len(waiting) > 1, self.now
        chosen: list[Chosen[T]] = []
        given: dict[UUID, int] = {}
        taken, bound = 0.0, room
        while heap:
            begins, number, tenant = heapq.heappop(heap)
            index = given.get(tenant, 0)
            if index >= len(waiting[tenant]) or index + 1 > allowance(tenant):
                continue
            candidate = waiting[tenant][index]
            newcomer = shared and begins <= present and index == 0 and tenant not in in_flight
            if taken + candidate.units > bound + (express if newcomer else 0.0):
                bound = min(bound, taken)
                continue
            taken += candidate.units
            given[tenant] = index + 1
            self.now = max(self.now, begins)
            finish = begins + candidate.cost / weight(tenant)
            self._charge(tenant, finish, candidate.cost)
            chosen.append(Chosen(candidate.job, newcomer))
            heapq.heappush(heap, (finish, number, tenant))
        if len(self._accounts) > _MANY:
            self._forget(in_flight)
        return chosen

    def correct(self, tenant: UUID, runs: int, seconds: float, weight: float = 1.0) -> None:
        """Settle `runs` jobs that took `seconds` together: the estimate is refunded, the truth charged."""
        account = self._accounts.setdefault(tenant, _Account(self.now))
        settled = min(runs, account.pending_runs)
        estimated = account.pending_cost * settled / account.pending_runs if settled else 0.0
        account.pending_runs -= settled
        account.pending_cost -= estimated
        account.finish = max(account.finish, self.now) + (seconds - estimated) / weight

    def _charge(self, tenant: UUID, finish: float, cost: float) -> None:
        account = self._accounts.setdefault(tenant, _Account())
        account.finish = finish
        account.pending_runs += 1
        account.pending_cost += cost

    def _forget(self, in_flight: Mapping[UUID, int]) -> None:
        """Drop who is neither ahead of the present nor has anything left to settle."""
        self._accounts = {
            tenant: account
            for tenant, account in self._accounts.items()
            if account.finish > self.now or tenant in in_flight
        }
