"""How far one platform reaches: what a dispatch round costs by who waits, measured; what jobs wait then, simulated.

The rounds are the engine's own statements on a real PostgreSQL, without workers. The simulation runs the product's own scheduler
over these costs (`bench.simulation`), so that loads can be looked at for which a laptop has neither the workers nor the time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from rich.progress import Progress

from bench.ground import Ground
from bench.simulation import Costs, Load, simulate
from domain.ids import new_id
from jobs.dispatch import Pool, Scheduler, take_back
from tenancy.database import Database

KIND, QUEUE = "system.ping", "default"
MEANS = {KIND: 0.02}
ROUNDS = 7
SMALL, LARGE = [Pool((QUEUE,), 8)], [Pool((QUEUE,), 512)]

JOB_SECONDS = 0.02
SLOTS = 64

_TENANTS: LiteralString = """
INSERT INTO tenants (id, name, tier, state) SELECT id, 'Bench', 'pooled', 'active' FROM unnest(%(ids)s::uuid[]) AS t (id)
"""
_DUE: LiteralString = """
INSERT INTO jobs (id, tenant_id, kind, queue, state, max_attempts, deadline_seconds, run_at, payload_sealed, principal)
SELECT uuidv7(), t.id, %(kind)s, %(queue)s, 'queued', 5, 90, now(), '\\x00', 'system:bench'
  FROM unnest(%(tenants)s::uuid[]) AS t (id) CROSS JOIN generate_series(1, %(each)s)
"""
_CLEAR: LiteralString = "DELETE FROM jobs WHERE state IN ('queued', 'dispatched')"


def measure(ground: Ground, tenants: int, seconds: float, progress: Progress) -> dict[str, Any]:
    """The costs of a round, and what jobs wait at several sizes and loads for `seconds` of virtual time each."""
    task = progress.add_task("scaling: rounds", total=4)
    ids = [new_id() for _ in range(tenants)]
    for start in range(0, tenants, 10_000):
        ground.tenancy.platform.fetch(_TENANTS, {"ids": ids[start : start + 10_000]})
    rounds = []
    for waiting, each, pools in ((1, 1, SMALL), (1, 20_000, LARGE), (tenants // 10, 1, SMALL), (tenants, 1, SMALL)):
        rounds.append(_round(ground, ids[:waiting], each, pools))
        progress.advance(task)
    idle, picking, _, crowded = rounds
    job = (picking["seconds"] - idle["seconds"]) / max(1, picking["picked"] - 1)
    left = crowded["seconds"] - idle["seconds"] - job * (crowded["picked"] - 1)
    costs = Costs(idle["seconds"], max(0.0, left) / tenants, max(0.0, job))
    loads = scenarios(seconds)
    progress.reset(task, total=len(loads), description="scaling: simulating")
    simulated = []
    for name, load in loads:
        simulated.append({"name": name, **_shown(load, costs)})
        progress.advance(task)
    return {
        "rounds": rounds,
        "costs": {"round": costs.round, "tenant": costs.tenant, "job": costs.job},
        "slots": SLOTS,
        "job_seconds": JOB_SECONDS,
        "simulated": simulated,
    }


def scenarios(seconds: float) -> list[tuple[str, Load]]:
    """Sizes from a hundred to a million tenants: half loaded, nearly full, and beside tenants with endless backlogs."""
    full = SLOTS / JOB_SECONDS
    found = []
    for tenants in (100, 10_000, 1_000_000):
        found += [
            ("0.5×", Load(tenants, full * 0.5, JOB_SECONDS, SLOTS, seconds)),
            ("0.9×", Load(tenants, full * 0.9, JOB_SECONDS, SLOTS, seconds)),
            (
                "0.5×, ten backlogs",
                Load(tenants, full * 0.5, JOB_SECONDS, SLOTS, seconds, noisy=10, backlog=int(full * seconds)),
            ),
            ("1.5×", Load(tenants, full * 1.5, JOB_SECONDS, SLOTS, seconds)),
        ]
    return found


def _round(ground: Ground, tenants: Sequence[UUID], each: int, pools: Sequence[Pool]) -> dict[str, Any]:
    """Median seconds of a round and of what it picked, with these tenants waiting with so many jobs each."""
    platform = ground.tenancy.platform
    platform.fetch(_CLEAR, {})
    for start in range(0, len(tenants), 10_000):
        given = {"kind": KIND, "queue": QUEUE, "tenants": list(tenants[start : start + 10_000]), "each": each}
        platform.fetch(_DUE, given)
    _vacuum(ground)
    taken = [_pick(platform, pools) for _ in range(ROUNDS)]
    platform.fetch(_CLEAR, {})
    return {
        "tenants": len(tenants), "due": len(tenants) * each, "seconds": median(seconds for seconds, _ in taken),
        "picked": median(picked for _, picked in taken),
    }  # fmt: skip


def _pick(platform: Database, pools: Sequence[Pool]) -> tuple[float, int]:
    """Seconds of one round by a leader that has just begun, and how many jobs it picked; they are queued again."""
    scheduler = Scheduler()
    started = time.perf_counter()
    picked = scheduler.pick(platform, pools, MEANS)
    seconds = time.perf_counter() - started
    take_back(platform, [(each.id, each.attempt) for each in picked])
    return seconds, len(picked)


def _vacuum(ground: Ground) -> None:
    with psycopg.connect(ground.settings.owner_dsn, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE jobs")


def _shown(load: Load, costs: Costs) -> dict[str, Any]:
    outcome = simulate(load, costs)
    waits = sorted(outcome.quiet_waits)
    return {
        "tenants": load.tenants,
        "rate": load.rate,
        "begun": outcome.begun.total(),
        "left": outcome.left,
        "wait_p50": waits[len(waits) // 2] if waits else None,
        "wait_p95": waits[int(len(waits) * 0.95)] if waits else None,
        "dispatcher_busy": outcome.dispatcher_busy,
        "slots_busy": outcome.slots_busy,
        "most_waiting": outcome.most_waiting,
        "rounds": outcome.rounds,
    }
