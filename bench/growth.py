"""What a job costs the engine beside a long history and many tenants, to what it costs on an empty platform, in turns.

Two platforms stand on one PostgreSQL: one as after its first start, one with finished jobs of many tenants. Each round takes
the same number of no-op jobs through submit, dispatch, claim and finish on both, with the engine's own statements and without
Celery, so that the database is what is measured. Processor time is that of the PostgreSQL process that serves it and of this
one together; unlike the seconds, it hardly depends on what else the machine does.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any, LiteralString
from uuid import UUID

import psutil
import psycopg
from rich.progress import Progress

from bench.ground import Ground, second_platform
from domain.identity.principals import system
from domain.ids import new_id
from domain.jobs.states import JobState
from jobs.dispatch import Pool, Scheduler, take_back
from jobs.leases import ClaimedRow, claim
from jobs.messages import Item
from jobs.outcomes import Outcome, record
from jobs.queries import get, page
from jobs.submit import INSERT, NewJob, insert_parameters
from tenancy.access import Tenancy

KIND, QUEUE = "system.ping", "default"
BATCH = 64
POOLS = [Pool((QUEUE,), 2)]
MEANS = {KIND: 0.001}
LOOKS = 100
"""How often a job and a page of jobs are read in a round."""

SCHEDULED = 100_000

_TENANTS: LiteralString = """
INSERT INTO tenants (id, name, tier, state) SELECT id, 'Bench', 'pooled', 'active' FROM unnest(%(ids)s::uuid[]) AS t (id)
"""

# Ids as a UUIDv7 generator would have made them over the last four weeks.
_FINISHED: LiteralString = """
INSERT INTO jobs (id, tenant_id, kind, queue, state, attempt, max_attempts, deadline_seconds, run_at, created_at, started_at,
                  finished_at, expires_at, dispatched_at, payload_sealed, result_sealed, principal, version)
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(noise, 1, 3) || '8'
        || substr(noise, 4, 15))::uuid,
       (%(tenants)s::uuid[])[1 + n %% array_length(%(tenants)s::uuid[], 1)], 'system.ping', 'default',
       CASE WHEN n %% 50 = 0 THEN 'failed' ELSE 'succeeded' END, 1, 5, 90, at, at, at, at, at + interval '30 days', at,
       decode(repeat(noise, 4), 'hex'), decode(repeat(noise, 3), 'hex'), 'system:bench', 3
  FROM generate_series(1, %(rows)s) AS n
 CROSS JOIN LATERAL (SELECT now() - interval '28 days' * (n::float8 / %(rows)s) AS at, md5(n::text) AS noise) AS made
"""

_WAITING: LiteralString = """
INSERT INTO jobs (id, tenant_id, kind, queue, state, max_attempts, deadline_seconds, run_at, payload_sealed, principal)
SELECT uuidv7(), t.id, 'system.ping', 'default', %(state)s, 5, 90, now() + make_interval(secs => %(later)s), '\\x00', 'system:bench'
  FROM unnest(%(tenants)s::uuid[]) AS t (id) CROSS JOIN generate_series(1, %(each)s)
"""

_CLEAR: LiteralString = "DELETE FROM jobs WHERE state IN ('scheduled', 'queued', 'dispatched', 'running', 'retrying')"


_UPDATES: LiteralString = """
SELECT n_tup_upd AS updates, n_tup_hot_upd AS hot FROM pg_stat_user_tables WHERE relname = 'jobs_live'
"""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two platforms, and the tenants whose jobs it gets in turns."""

    tenancy: Tenancy
    owner_dsn: str
    tenants: Sequence[UUID]
    job: Mapping[str, Any]
    scheduler: Scheduler = field(default_factory=Scheduler)


def measure(ground: Ground, rows: int, tenants: int, jobs: int, rounds: int, progress: Progress) -> dict[str, Any]:
    """Seconds per job by step on both platforms, the medians of the rounds' ratios, and seconds of a dispatch round."""
    task = progress.add_task("growth: filling", total=rounds + 4)
    with second_platform(ground) as grown:
        empty, full = _side(ground, 1), _side(grown, tenants)
        started = time.perf_counter()
        full.tenancy.platform.fetch(_FINISHED, {"tenants": list(full.tenants), "rows": rows})
        filled = time.perf_counter() - started
        for side in (empty, full):
            _vacuum(side)
            _cycle(side, 200)  # so that plans are made and pages are known
        progress.advance(task)
        found: dict[str, list[dict[str, float]]] = {"empty": [], "full": []}
        for number in range(rounds):
            progress.update(task, description=f"growth: round {number + 1}")
            turns = [("empty", empty), ("full", full)]
            for name, side in turns[number % 2 :] + turns[: number % 2]:
                found[name].append(_cycle(side, jobs))
            progress.advance(task)
        updates = {name: _updates(side) for name, side in (("empty", empty), ("full", full))}
        progress.update(task, description="growth: dispatch rounds")
        dispatch = _dispatch_rounds(full, lambda: progress.advance(task))
    steps = list(found["empty"][0])
    medians = {name: {step: median(each[step] for each in found[name]) for step in steps} for name in found}
    ratios = {
        step: median(full[step] / empty[step] for empty, full in zip(found["empty"], found["full"], strict=True))
        for step in steps
    }
    return {"finished": rows, "tenants": tenants, "jobs": jobs, "rounds": rounds, "fill_seconds": filled,
            "seconds_per_job": medians, "ratio": ratios, "updates": updates, "dispatch_round_seconds": dispatch}  # fmt: skip


def _side(ground: Ground, tenants: int) -> Side:
    tenant_id = ground.tenant()
    others = [new_id() for _ in range(tenants - 1)]
    ground.tenancy.platform.fetch(_TENANTS, {"ids": others})
    job = insert_parameters(ground.tenancy, NewJob(KIND, {}, system("bench", tenant_id)))
    return Side(ground.tenancy, ground.settings.owner_dsn, [tenant_id, *others], job)


class Stopwatch:
    """Adds up seconds by what was done."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        """Add what the block takes."""
        started = time.perf_counter()
        yield
        self.seconds[step] += time.perf_counter() - started


def _cycle(side: Side, jobs: int) -> dict[str, float]:
    """Take `jobs` jobs through the engine; returns seconds per job by step, and of processor time altogether."""
    platform, timed = side.tenancy.platform, Stopwatch()
    before = _processor_seconds(side)
    for start in range(0, jobs, 1000):
        batch = [
            (INSERT, {**side.job, "id": new_id(), "tenant_id": side.tenants[number % len(side.tenants)]})
            for number in range(start, min(start + 1000, jobs))
        ]
        with timed("submit"):
            platform.fetch_many(batch)
    done: list[ClaimedRow] = []
    while len(done) < jobs:
        with timed("dispatch"):
            items = _pick(side)
        for first in range(0, len(items), BATCH):
            token = new_id()
            with timed("claim"):
                rows = claim(platform, items[first : first + BATCH], token=token, worker_id=token, lease_seconds=60)
            with timed("finish"):
                record(platform, [Outcome(row["id"], token, KIND, JobState.SUCCEEDED) for row in rows])
            done += rows
    spent = _processor_seconds(side) - before
    for row in done[:LOOKS]:
        with timed("read a job"):
            get(side.tenancy, row["tenant_id"], row["id"])
        with timed("list 50 jobs"):
            page(side.tenancy, row["tenant_id"])
    steps = {step: timed.seconds[step] / jobs for step in ("submit", "dispatch", "claim", "finish")}
    reads = {step: timed.seconds[step] / min(LOOKS, jobs) for step in ("read a job", "list 50 jobs")}
    return {**steps, "together": sum(steps.values()), "processor": spent / jobs, **reads}


def _pick(side: Side) -> list[Item]:
    return [(each.id, each.attempt) for each in side.scheduler.pick(side.tenancy.platform, POOLS, MEANS)]


def _dispatch_rounds(side: Side, advance: Callable[[], None]) -> dict[str, float]:
    """Median seconds of a round, by who waits: tenants with ten jobs each, and one with jobs that are not yet due."""
    platform, found = side.tenancy.platform, {}
    for waiting, scheduled in ((1, 0), (1, SCHEDULED), (100, 0), (len(side.tenants), 0)):
        platform.fetch(_CLEAR, {})
        due = {"state": "queued", "later": 0.0, "tenants": list(side.tenants[:waiting]), "each": 10}
        later = {"state": "scheduled", "later": 86400.0, "tenants": list(side.tenants[:1]), "each": scheduled}
        platform.fetch_many([(_WAITING, due), (_WAITING, later)])
        _vacuum(side)
        seconds = []
        for _ in range(20):
            started = time.perf_counter()
            items = _pick(side)
            seconds.append(time.perf_counter() - started)
            take_back(platform, items)
        name = f"{waiting:,} waiting" + (f", {scheduled:,} jobs of one scheduled" if scheduled else "")
        found[name] = median(seconds)
        advance()
    platform.fetch(_CLEAR, {})
    return found


def _updates(side: Side) -> dict[str, int]:
    """Updates of live jobs so far, and those of them that touched no index. A job's last one moves it and is neither."""
    return side.tenancy.platform.fetch_many([("SELECT pg_stat_force_next_flush()", {}), (_UPDATES, {})])[1][0]


def _vacuum(side: Side) -> None:
    """What autovacuum does within a minute."""
    with psycopg.connect(side.owner_dsn, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE jobs")


def _processor_seconds(side: Side) -> float:
    """Of this process and of the PostgreSQL process that serves its one thread."""
    backend = psutil.Process(side.tenancy.platform.fetch("SELECT pg_backend_pid() AS pid", {})[0]["pid"])
    times = backend.cpu_times()
    return float(times.user + times.system) + time.process_time()
