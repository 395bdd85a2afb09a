"""One chaos run: tenants are made, jobs are submitted while faults are done, everything is waited for, and counted.

A steady load: a slice of the jobs goes in around each fault, and no further slice before most of the last has finished. So
what a fault hits need not queue behind hours of backlog, and the time until it has finished says how the engine recovers.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import LiteralString, TypeVar

import psycopg
from sqlalchemy.exc import OperationalError

from bench.chaos.faults import Faults
from bench.chaos.ledger import Ledger
from bench.chaos.plan import Plan
from bench.chaos.prober import Prober
from bench.chaos.reckoning import Reckoning
from bench.chaos.screen import Screen
from bench.chaos.tally import Tally
from bench.chaos.truth import Witness
from bench.chaos.workload import CHILDREN, Role, units
from bench.engine import until
from bench.rabbitmq import PrivateRabbitMQ
from bench.tenant_client import TenantClient
from cli.processes import PlatformProcess
from config.settings import load
from domain.errors import NexusError
from tenancy.access import Tenancy

ENVIRONMENT = {
    "NEXUS_LOG_LEVEL": "warning",
    "NEXUS_RATE_LIMIT": "100000/minute",
    "NEXUS_TENANT_RATE_LIMIT": "1000000/minute",
    "NEXUS_ANONYMOUS_RATE_LIMIT": "100000/minute",
}
"""Of the platform: what is tried here is not how callers are held off."""

SUBMITTERS = 8
BACKLOG = 150
"""Due jobs that may be unfinished when the next slice goes in."""

BACKLOG_SECONDS, WAIT_SECONDS, POISON_SECONDS = 60.0, 60.0, 180.0
"""How long is waited for a backlog, for the last job, and for the last job when there is poison."""

_COUNT: LiteralString = """
SELECT count(*) FILTER (WHERE state IN ('queued', 'dispatched', 'running') AND run_at <= now()) AS due,
       count(*) FILTER (WHERE state IN ('succeeded', 'failed', 'cancelled')) AS finished,
       count(*) FILTER (WHERE state NOT IN ('succeeded', 'failed', 'cancelled')) AS live
  FROM jobs WHERE tenant_id = ANY(%(tenants)s) AND kind IN ('system.ping', 'notification.deliver')
"""

T = TypeVar("T")


@dataclass(slots=True)
class Chaos:
    """One run of a plan against a platform that is up. `broker` is its RabbitMQ, if it has one."""

    platform: PlatformProcess
    plan: Plan
    screen: Screen
    broker: PrivateRabbitMQ | None = None
    tally: Tally = field(default_factory=Tally)
    _steps_done: int = 0

    def run(self) -> Tally:
        """Load, harm, wait, count."""
        started = time.monotonic()
        witness = Witness()
        tenancy = Tenancy(load(_env_file=None, **self.platform.environment), "engine")
        clients: list[TenantClient] = []
        try:
            clients += self._make_tenants(witness)
            ledger = Ledger(clients)
            faults = Faults(self.platform, tenancy, witness, self.screen.say, self.broker)
            with Prober(ledger, witness, self.plan.seed) as prober:
                self._load(ledger, tenancy, faults)
                self._wait(ledger, tenancy)
            self._conclude(ledger, tenancy, faults, prober, witness)
        finally:
            for client in clients:
                client.http.close()
            tenancy.dispose()
        self.tally.seconds = time.monotonic() - started
        return self.tally

    def _make_tenants(self, witness: Witness) -> list[TenantClient]:
        tiers = ["dedicated" if number % 2 else "pooled" for number in range(self.plan.tenants)]
        self.tally.tenants.update(tiers)
        self.screen.say(f"making {len(tiers)} tenants")

        def make(tier: str) -> TenantClient:
            return TenantClient.create(self.platform.base_url, tier, seconds=120.0, hear=witness.hear)

        with ThreadPoolExecutor(4) as makers:
            return list(makers.map(make, tiers))

    def _load(self, ledger: Ledger, tenancy: Tenancy, faults: Faults) -> None:
        draw = random.Random(self.plan.seed)
        requests = units(self.plan.jobs, self.plan.tenants, self.plan.poison, draw)
        steps = self.plan.steps
        with ThreadPoolExecutor(SUBMITTERS) as submitters:
            for number, step in enumerate(steps):
                began = time.monotonic()
                slice_ = requests[number * len(requests) // len(steps) : (number + 1) * len(requests) // len(steps)]
                sent = [submitters.submit(ledger.submit, unit) for unit in slice_]
                time.sleep(draw.random() * 0.5)
                faults.do(step)
                self._steps_done += 1
                self._settle(sent, ledger, tenancy, began + self.plan.pause)

    def _settle(self, sent: list[Future[None]], ledger: Ledger, tenancy: Tenancy, until_at_least: float) -> None:
        for each in sent:
            each.result()
        deadline = time.monotonic() + BACKLOG_SECONDS
        while self._look(ledger, tenancy)[0] > BACKLOG and time.monotonic() < deadline:
            time.sleep(0.2)
        time.sleep(max(0.0, until_at_least - time.monotonic()))

    def _wait(self, ledger: Ledger, tenancy: Tenancy) -> None:
        """Until nothing lives any more, or much longer than that takes."""
        deadline = time.monotonic() + (POISON_SECONDS if self.plan.poison else WAIT_SECONDS)
        self.screen.say("everything is submitted; waiting for the rest")
        while self._look(ledger, tenancy)[1] and time.monotonic() < deadline:
            time.sleep(0.3)

    def _look(self, ledger: Ledger, tenancy: Tenancy) -> tuple[int, int]:
        """How many jobs are due, and how many live; tells the screen how far it all is."""
        tenants = [client.tenant_id for client in ledger.clients]
        row = _patiently(lambda: tenancy.platform.fetch(_COUNT, {"tenants": tenants})[0])
        self.screen.show(submitted=len(ledger.jobs), finished=row["finished"], faults=self._steps_done)
        return row["due"], row["live"]

    def _conclude(self, ledger: Ledger, tenancy: Tenancy, faults: Faults, prober: Prober, witness: Witness) -> None:
        tally = self.tally
        tally.kills, tally.faults = faults.kills, faults.done
        Reckoning(ledger, tenancy, faults.hits, self.platform.home / "outbox", tally).count()
        tally.looks, tally.moves_seen, tally.longest_silence = prober.looks, prober.moves, witness.longest_silence
        tally.answers = Counter(dict(witness.answers.most_common()))
        tally.problems += [f"refused: {said}" for said in ledger.refused]
        tally.problems += [f"untrue: {said}" for said in witness.untruths]
        tally.problems += [f"no server was away: {said}" for said in witness.unexcused()]
        tally.problems += faults.problems


def totals(plan: Plan) -> dict[str, int]:
    """What the bars of a run go up to. Handlers' children finish too, and the message that greets each tenant."""
    requests = units(plan.jobs, plan.tenants, plan.poison, random.Random(plan.seed))
    parents = sum(order.role is Role.PARENT for unit in requests for order in unit.orders)
    jobs = sum(unit.jobs for unit in requests)
    return {"submitted": jobs, "finished": jobs + parents * CHILDREN + plan.tenants, "faults": len(plan.steps)}


def _patiently(ask: Callable[[], T]) -> T:
    """Ask the database, which may be away for a moment."""
    found: list[T] = []

    def answered() -> bool:
        try:
            found.append(ask())
        except (psycopg.Error, OperationalError, NexusError):
            return False
        return True

    until(answered, 60.0, "an answer of the database", 0.2)
    return found[0]
