"""A platform of any size in virtual time: the product's own scheduler and batching, with arrivals, a dispatcher and slots around it.

What the database and the machine cost is an input (`Costs`), measured by `bench.scaling`. Everything that decides is the code that
also runs in the dispatcher: `domain.jobs.fairness` and `domain.jobs.batching`. The rest follows `workers.dispatcher`: a round looks,
chooses and publishes; the next one begins after a pause, or at the hint of an arrival.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from uuid import UUID

from domain.jobs.batching import LARGEST_BATCH, MOST_AHEAD, SHARED_BATCH, batch_size, express, full_batch, room, weight
from domain.jobs.fairness import Candidate, FairShare

TRANSPORT_SECONDS = 0.002
"""From publishing to a worker's claim, on an idle broker."""

BUSY_SECONDS, DEEP_SECONDS, IDLE_SECONDS = 0.002, 0.01, 0.05
"""The leader's pauses, as in `workers.dispatcher`."""

Begin = tuple[UUID, float, float]
"""A tenant's job: whose it is, when it was due, when it began."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What a dispatch round takes, in seconds: at least, for each tenant that has something due, for each job that it picks."""

    round: float
    tenant: float
    job: float


@dataclass(frozen=True, slots=True)
class Load:
    """`rate` jobs per second arrive from `tenants` alike, each of `job_seconds`, for `seconds`; `slots` work.

    `noisy` tenants have `backlog` jobs each due from the beginning, beside what they send like all others.
    """

    tenants: int
    rate: float
    job_seconds: float
    slots: int
    seconds: float
    noisy: int = 0
    backlog: int = 0
    seed: int = 1


@dataclass(slots=True)
class Outcome:
    """What came of it: seconds of waiting by class, what was left, and how busy the dispatcher and the slots were."""

    quiet_waits: list[float] = field(default_factory=list)
    noisy_waits: list[float] = field(default_factory=list)
    begun: Counter[UUID] = field(default_factory=Counter)
    left: int = 0
    rounds: int = 0
    dispatcher_busy: float = 0.0
    slots_busy: float = 0.0
    most_waiting: int = 0
    """Tenants with something due at once, at most."""


@dataclass(slots=True)
class _Message:
    published: float
    jobs: list[tuple[UUID, float]]
    units: float


@dataclass(slots=True)
class Platform:
    """The state between two rounds."""

    load: Load
    costs: Costs
    clock: FairShare = field(default_factory=FairShare)
    due: dict[UUID, deque[float]] = field(default_factory=lambda: defaultdict(deque))
    in_flight: Counter[UUID] = field(default_factory=Counter)
    taken: float = 0.0
    waiting: deque[_Message] = field(default_factory=deque)
    express: deque[_Message] = field(default_factory=deque)
    slots: list[float] = field(default_factory=list)
    ending: list[tuple[float, int, UUID, float]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=count)
    busy: float = 0.0

    def begin_until(self, now: float) -> Iterator[Begin]:
        """Let slots take messages up to `now`, express ones first; gives what began."""
        while (self.waiting or self.express) and self.slots[0] <= now:
            free = heapq.heappop(self.slots)
            queue = self.express if self._express_first(free) else self.waiting
            message = queue.popleft()
            at = max(free, message.published)
            for tenant, since in message.jobs:
                yield tenant, since, at
                at += self.load.job_seconds
                heapq.heappush(self.ending, (at, next(self.numbers), tenant, message.units))
                self.busy += self.load.job_seconds
            heapq.heappush(self.slots, at)

    def end_until(self, now: float) -> None:
        """Settle the jobs that ended up to `now`."""
        while self.ending and self.ending[0][0] <= now:
            _, _, tenant, units = heapq.heappop(self.ending)
            self.taken -= units
            self.in_flight[tenant] -= 1
            if not self.in_flight[tenant]:
                del self.in_flight[tenant]
            self.clock.correct(tenant, 1, self.load.job_seconds)

    def round(self, now: float) -> tuple[float, int, bool]:
        """One round: when it ends, how many jobs it chose, and whether some are left for want of room."""
        free = room(self.load.slots) - self.taken
        found = self._look(free)
        chosen = self.clock.choose(found, self.in_flight, free, express(self.load.slots))
        ends = now + self.costs.round + self.costs.tenant * len(self.due) + self.costs.job * len(chosen)
        units = weight(self.load.job_seconds)
        plain = [each.job for each in chosen if not each.express]
        deep = sum(map(len, found.values())) > len(chosen)
        shared = len(self.due.keys() | self.in_flight.keys()) > 1
        size = batch_size(
            full_batch(self.load.job_seconds),
            None if deep else len(plain),
            self.load.slots,
            SHARED_BATCH if shared else LARGEST_BATCH,
        )
        groups = [(self.express, [each.job]) for each in chosen if each.express]
        groups += [(self.waiting, plain[start : start + size]) for start in range(0, len(plain), size)]
        for queue, jobs in groups:
            queue.append(_Message(ends + TRANSPORT_SECONDS, jobs, units))
        for tenant, _ in (job for _, jobs in groups for job in jobs):
            self.in_flight[tenant] += 1
            self.taken += units
            self.due[tenant].popleft()
            if not self.due[tenant]:
                del self.due[tenant]
        return ends, len(chosen), deep or (bool(self.due) and free < 1)

    def _look(self, free: float) -> dict[UUID, list[Candidate[tuple[UUID, float]]]]:
        """What the dispatcher's statement reads: jobs of the tenants that are furthest behind."""
        if free + express(self.load.slots) <= 0.999 or not self.due:
            return {}
        ahead = self.clock.ahead()
        most = int((max(free, 0.0) + express(self.load.slots)) * MOST_AHEAD)
        tenants = heapq.nsmallest(most, self.due, key=lambda tenant: (ahead.get(tenant, 0.0), tenant))
        units = weight(self.load.job_seconds)
        fits = int((max(free, 0.0) + express(self.load.slots)) / units) + 1  # more cannot be chosen
        each = min(int(1 + max(free, 0.0) * MOST_AHEAD / len(self.due)) + 1, fits)
        return {
            tenant: [
                Candidate((tenant, since), self.load.job_seconds, units)
                for since, _ in zip(self.due[tenant], range(each), strict=False)
            ]
            for tenant in tenants
            if free > 0.999 or tenant not in self.in_flight
        }

    def _express_first(self, free: float) -> bool:
        if not self.express or not self.waiting:
            return bool(self.express)
        return self.express[0].published <= max(free, self.waiting[0].published)


def simulate(load: Load, costs: Costs) -> Outcome:
    """Run the load to its end. The same load and seed give the same outcome."""
    chance = random.Random(load.seed)
    platform = Platform(load, costs, slots=[0.0] * load.slots)
    outcome, noisy = Outcome(), {UUID(int=number) for number in range(load.noisy)}
    for tenant in noisy:
        platform.due[tenant].extend([0.0] * load.backlog)
    now, pause, arrival = 0.0, BUSY_SECONDS, chance.expovariate(load.rate)
    while now < load.seconds:
        while arrival <= now:
            platform.due[UUID(int=chance.randrange(load.tenants))].append(arrival)
            arrival += chance.expovariate(load.rate)
        for tenant, since, at in platform.begin_until(now):
            (outcome.noisy_waits if tenant in noisy else outcome.quiet_waits).append(at - since)
            outcome.begun[tenant] += 1
        platform.end_until(now)
        outcome.most_waiting = max(outcome.most_waiting, len(platform.due))
        ends, chosen, full = platform.round(now)
        outcome.rounds += 1
        outcome.dispatcher_busy += ends - now
        pause = DEEP_SECONDS if full else BUSY_SECONDS if chosen else min(pause * 2, IDLE_SECONDS)
        # A hint ends the pause, except where no room would be found for what it announces.
        now = ends + pause if full else max(ends, min(ends + pause, arrival))
    outcome.left = sum(map(len, platform.due.values())) + sum(
        len(message.jobs) for message in (*platform.waiting, *platform.express)
    )
    outcome.dispatcher_busy /= now
    outcome.slots_busy = platform.busy / (now * load.slots)
    return outcome
