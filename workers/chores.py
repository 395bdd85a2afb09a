"""What the leader does beside dispatching, and how often. Each chore is bounded: jobs are dispatched between two of them."""

from __future__ import annotations

import math
import os
import random
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import LiteralString

from bus import relay
from domain.jobs.steadiness import Steady
from jobs import provisioning, reconcile, retention, tenant_life
from jobs.backlog import Meter
from jobs.firing import fire_due
from jobs.kinds import QUEUES
from jobs.publisher import Publisher
from jobs.readings import forget_gone
from jobs.waits import Waits
from tenancy.access import Tenancy
from tenancy.audit.sealing import prune, seal_waiting
from tenancy.database import Database
from tenancy.sweeping import sweep

_LEAD: LiteralString = """
INSERT INTO leaders (role, holder, epoch, heartbeat_at) VALUES ('dispatcher', %(holder)s, 1, now())
ON CONFLICT (role) DO UPDATE SET heartbeat_at = now(), holder = excluded.holder,
    epoch = leaders.epoch + (leaders.holder <> excluded.holder)::int
"""


@dataclass(slots=True)
class Every:
    """Calls `act` at its first call, and then when `seconds` have passed since it last did."""

    seconds: float
    act: Callable[[], object]
    last: float = -math.inf

    @property
    def due_at(self) -> float:
        """From when on it is to be done, on the steady clock."""
        return self.last + self.seconds

    def __call__(self, now: float) -> None:
        if now >= self.due_at:
            self.last = now
            self.act()


def chores(tenancy: Tenancy, publisher: Publisher, steady: Steady) -> list[Every]:
    """All of them, for one term of a leader. What they make due, the round that does them dispatches."""
    platform, waits = tenancy.platform, Waits(tenancy)
    kept = timedelta(days=tenancy.settings.audit_retention_days)
    return [
        Every(1.0, lambda: _say_who_leads(platform)),
        # what a crash left half done
        Every(1.0, lambda: _reclaim(tenancy, steady)),
        Every(1.0, lambda: _requeue(tenancy, publisher)),
        Every(2.0, lambda: provisioning.submit_compensations(tenancy)),
        Every(2.0, lambda: tenant_life.submit_settlements(tenancy)),
        Every(2.0, lambda: tenant_life.submit_erasures(tenancy)),
        # what makes jobs due
        Every(0.1, lambda: fire_due(tenancy)),
        Every(0.1, lambda: relay.relay(tenancy)),
        Every(0.2, waits.look),
        # what is noted of changes
        Every(0.5, lambda: seal_waiting(platform)),
        # what operators see
        Every(3.0, Meter(platform, QUEUES)),
        # what is past its time
        Every(1.0, lambda: retention.expire_short_lived(platform)),
        Every(10.0, lambda: reconcile.forget_dead_workers(tenancy)),
        Every(10.0, lambda: sweep(platform)),
        Every(10.0, lambda: forget_gone(platform)),
        Every(60.0, lambda: retention.free_keys(platform)),
        Every(60.0, lambda: relay.expire(tenancy)),
        Every(60.0, waits.forget),
        Every(3600.0, lambda: retention.turn_months(platform)),
        Every(3600.0, lambda: prune(platform, kept)),
    ]


def _say_who_leads(platform: Database) -> None:
    platform.fetch(_LEAD, {"holder": f"{socket.gethostname()}:{os.getpid()}"})


def _reclaim(tenancy: Tenancy, steady: Steady) -> None:
    """Not while workers may be unable to renew: after a standstill or an outage they get the time to do it first."""
    now = time.monotonic()
    steady.note(now)
    if steady.lasted(now) > tenancy.settings.lease_seconds / 3:
        reconcile.reclaim_expired(tenancy, random.random)


def _requeue(tenancy: Tenancy, publisher: Publisher) -> None:
    lost_memory = publisher.epoch_was_lost()
    reconcile.requeue_undelivered(tenancy, 0.0 if lost_memory else reconcile.STALE_DISPATCH_SECONDS)
    reconcile.requeue_drained(tenancy, publisher.drained)
