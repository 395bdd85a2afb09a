"""Choosing what runs next: read who waits, let the fair scheduler choose, mark what it chose dispatched.

Queues that the same workers serve form a pool and share its room, which is counted in messages: a quick job takes a small
part of one. The list of tenants that wait is read by skipping through the index (one probe each), so a backlog of any
depth costs the same. Within a tenant and a queue, jobs go by rank: a point of priority is worth ten seconds of waiting.
What is in flight is counted from rows in each round, never kept by adding and taking away.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString
from uuid import UUID

from domain.jobs.batching import LIGHTEST, LIGHTEST_SHARED, express, room, weight
from domain.jobs.fairness import UNKNOWN_SECONDS, Bucket, Candidate, FairShare, allowance, bucket_of
from domain.jobs.limits import UNLIMITED
from jobs.controls import Controls
from jobs.kinds import KINDS
from jobs.messages import Item
from tenancy.database import RELAXED, Database

_LOOK: LiteralString = """
WITH RECURSIVE pools AS (
    SELECT * FROM unnest(%(queues)s::text[], %(pools)s::int[], %(rooms)s::float8[], %(express)s::float8[], %(lightest)s::float8[])
        AS p (queue, pool, room, express, lightest)
), weights AS (
    SELECT * FROM unnest(%(kinds)s::text[], %(weights)s::float8[]) AS k (kind, weight)
), flying AS MATERIALIZED (
    SELECT p.pool, j.tenant_id, count(*)::int AS jobs, sum(greatest(coalesce(k.weight, 1), p.lightest)) AS taken
      FROM jobs j JOIN pools p ON p.queue = j.queue LEFT JOIN weights k ON k.kind = j.kind
     WHERE j.stage = 'in_flight' GROUP BY p.pool, j.tenant_id
), free AS (
    SELECT p.queue, p.pool, p.express, p.lightest,
           p.room - coalesce((SELECT sum(f.taken) FROM flying f WHERE f.pool = p.pool), 0) AS room
      FROM pools p WHERE p.queue <> ALL(%(paused_queues)s::text[])
), waiting AS (
    (SELECT f.queue, f.pool, f.room, f.express, f.lightest, t.tenant_id FROM free f CROSS JOIN LATERAL (
        SELECT tenant_id FROM jobs WHERE queue = f.queue AND stage = 'due'
         ORDER BY tenant_id LIMIT 1) t
      WHERE f.room + f.express > 0.999)
    UNION ALL
    SELECT w.queue, w.pool, w.room, w.express, w.lightest, t.tenant_id FROM waiting w CROSS JOIN LATERAL (
        SELECT tenant_id FROM jobs WHERE queue = w.queue AND stage = 'due' AND tenant_id > w.tenant_id
         ORDER BY tenant_id LIMIT 1) t
), next AS (
    SELECT w.*, row_number() OVER (PARTITION BY w.pool ORDER BY coalesce(a.start, 0), w.tenant_id) AS place,
           count(*) OVER (PARTITION BY w.pool) AS others
      FROM waiting w
      LEFT JOIN unnest(%(ahead_pools)s::int[], %(ahead_tenants)s::uuid[], %(ahead_starts)s::float8[])
        AS a (pool, tenant_id, start) ON a.pool = w.pool AND a.tenant_id = w.tenant_id
     WHERE w.tenant_id <> ALL(%(held_tenants)s::uuid[])
       AND (w.room > 0.999 OR NOT EXISTS (SELECT FROM flying f WHERE f.pool = w.pool AND f.tenant_id = w.tenant_id))
)
SELECT NULL::uuid AS id, NULL AS kind, NULL AS queue, NULL::smallint AS attempt, NULL::boolean AS single,
       f.pool, f.tenant_id, f.jobs, f.taken, NULL::timestamp AS rank
  FROM flying f
 UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, w.pool, NULL, count(*)::int, NULL, NULL FROM waiting w GROUP BY w.pool
 UNION ALL
SELECT j.id, j.kind, n.queue, j.attempt, j.single, n.pool, n.tenant_id, NULL, NULL, j.rank
  FROM next n CROSS JOIN LATERAL (
    SELECT id, kind, attempt, single, (run_at AT TIME ZONE 'UTC') - priority * interval '10 seconds' AS rank
      FROM jobs
     WHERE queue = n.queue AND tenant_id = n.tenant_id AND stage = 'due'
       AND kind = ANY(%(runnable)s)
     ORDER BY (run_at AT TIME ZONE 'UTC') - priority * interval '10 seconds'
     LIMIT ceil(1 + greatest(n.room, 0) / n.lightest / n.others)::int) j
 WHERE n.place <= (greatest(n.room, 0) + n.express) / n.lightest
 ORDER BY rank, id
"""
"""What is in flight by pool and tenant (rows without an id), how many wait in a pool (without a tenant either), and
candidates of the tenants that are furthest behind."""

_MARK: LiteralString = """
UPDATE jobs j SET state = 'dispatched', dispatched_at = now()
 WHERE j.id = ANY(%(ids)s) AND j.state = 'queued'
RETURNING j.id
"""

_PROMOTE: LiteralString = """
UPDATE jobs SET state = 'queued'
 WHERE state IN ('scheduled', 'retrying') AND id IN (
    SELECT id FROM jobs WHERE stage = 'waiting' AND run_at <= now()
     ORDER BY run_at LIMIT 1000)
"""

_RETURN: LiteralString = """
UPDATE jobs j SET state = 'queued', dispatched_at = NULL
  FROM unnest(%(ids)s::uuid[], %(attempts)s::int[]) AS m (id, attempt)
 WHERE j.id = m.id AND j.attempt = m.attempt AND j.state = 'dispatched'
"""


SHARED_SECONDS = 5.0
"""How long a pool counts as shared after it had jobs of several tenants at once."""

FREE = Controls()
"""Nothing paused, nobody limited."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Workers that serve the same queues, with `slots` jobs at once between them."""

    queues: tuple[str, ...]
    slots: int


@dataclass(frozen=True, slots=True)
class Picked:
    """A job that was marked dispatched. It is `deep` if its pool had more due than room, and `shared` if several tenants
    lately had jobs there.
    """

    id: UUID
    kind: str
    queue: str
    attempt: int
    single: bool
    deep: bool
    shared: bool
    express: bool


@dataclass(slots=True)
class Scheduler:
    """What fairness remembers between rounds: a virtual clock per pool and a token bucket per limited tenant.

    A new leader starts with none of it: all tenants are level then, and all buckets empty.
    """

    clocks: dict[tuple[str, ...], FairShare] = field(default_factory=dict)
    buckets: dict[UUID, Bucket] = field(default_factory=dict)
    shared_until: dict[tuple[str, ...], float] = field(default_factory=dict)
    in_flight: Counter[UUID] = field(default_factory=Counter)
    is_full: bool = False
    """Whether the last round left due jobs, or could not look for them, for want of room."""

    def pick(
        self,
        platform: Database,
        pools: Sequence[Pool],
        means: Mapping[str, float],
        controls: Controls = FREE,
        now: float = 0.0,
    ) -> list[Picked]:
        """Queue the jobs whose time has come, and mark as many queued ones dispatched as the pools have room for.

        Returns these in the order they should run. What waits for its time is in no list that a round reads. `means`
        holds runtimes in seconds by kind, `now` is a steady clock's. Jobs of a kind that this version does not know are
        left for one that does.
        """
        if not pools:
            return []
        self.clocks = {pool.queues: self.clocks.get(pool.queues) or FairShare() for pool in pools}
        self._fill_buckets(controls, now)
        waiting: list[_Waiting] = [_Waiting() for _ in pools]
        self.in_flight = Counter()
        _, rows = platform.fetch_many([(_PROMOTE, {}), (_LOOK, self._question(pools, means, controls, now))], RELAXED)
        for row in rows:
            of_pool = waiting[row["pool"]]
            if row["tenant_id"] is None:
                of_pool.somebody = True
            elif row["id"] is None:
                of_pool.in_flight[row["tenant_id"]] = row["jobs"]
                of_pool.taken += row["taken"]
                self.in_flight[row["tenant_id"]] += row["jobs"]
            else:
                of_pool.due[row["tenant_id"]].append(_candidate(row, means, self._lightest(pools[row["pool"]], now)))
        self.is_full = False
        found = [
            each for pool, due in zip(pools, waiting, strict=True) for each in self._choose(pool, due, controls, now)
        ]
        if not found:
            return []
        marked = {row["id"] for row in platform.fetch(_MARK, {"ids": [each.id for each in found]}, RELAXED)}
        return [each for each in found if each.id in marked]

    def settle(self, queue: str, tenant_id: UUID, runs: int, seconds: float, controls: Controls = FREE) -> None:
        """Charge a tenant what its finished runs in a queue really took."""
        for queues, clock in self.clocks.items():
            if queue in queues:
                clock.correct(tenant_id, runs, seconds, controls.limits.get(tenant_id, UNLIMITED).weight)

    def _choose(self, pool: Pool, waiting: _Waiting, controls: Controls, now: float) -> list[Picked]:
        if len(waiting.due.keys() | waiting.in_flight.keys()) > 1:
            self.shared_until[pool.queues] = now + SHARED_SECONDS
        shared = self._is_shared(pool, now)
        free = room(pool.slots) - waiting.taken
        chosen = self.clocks[pool.queues].choose(
            waiting.due,
            waiting.in_flight,
            free,
            express(pool.slots),
            lambda tenant: controls.limits.get(tenant, UNLIMITED).weight,
            lambda tenant: self._allowance(tenant, controls),
        )
        for each in chosen:
            tenant_id = each.job["tenant_id"]
            self.in_flight[tenant_id] += 1
            if tenant_id in self.buckets:
                self.buckets[tenant_id].tokens -= 1
        deep = sum(len(jobs) for jobs in waiting.due.values()) > len(chosen)
        self.is_full |= deep or (waiting.somebody and free < 1)
        return [
            Picked(
                each.job["id"], each.job["kind"], each.job["queue"], each.job["attempt"], each.job["single"],
                deep=deep, shared=shared, express=each.express,
            )
            for each in chosen
        ]  # fmt: skip

    def _allowance(self, tenant_id: UUID, controls: Controls) -> float:
        bucket = self.buckets.get(tenant_id)
        return allowance(
            controls.limits.get(tenant_id, UNLIMITED),
            self.in_flight[tenant_id],
            0.0 if bucket is None else bucket.tokens,
        )

    def _fill_buckets(self, controls: Controls, now: float) -> None:
        limited = {
            tenant_id: limits for tenant_id, limits in controls.limits.items() if limits.rate_per_second is not None
        }
        self.buckets = {
            tenant_id: bucket_of(limits, self.buckets.get(tenant_id)) for tenant_id, limits in limited.items()
        }
        for bucket in self.buckets.values():
            bucket.fill(now)

    def _is_shared(self, pool: Pool, now: float) -> bool:
        return now < self.shared_until.get(pool.queues, now)

    def _lightest(self, pool: Pool, now: float) -> float:
        return LIGHTEST_SHARED if self._is_shared(pool, now) else LIGHTEST

    def _question(
        self, pools: Sequence[Pool], means: Mapping[str, float], controls: Controls, now: float
    ) -> dict[str, Any]:
        entries = [(queue, number, pool) for number, pool in enumerate(pools) for queue in pool.queues]
        ahead = [
            (number, tenant_id, start)
            for number, pool in enumerate(pools)
            for tenant_id, start in self.clocks[pool.queues].ahead().items()
        ]
        limited = [tenant_id for tenant_id in controls.limits if self._allowance(tenant_id, controls) < 1]
        return {
            "queues": [queue for queue, _, _ in entries],
            "pools": [number for _, number, _ in entries],
            "rooms": [room(pool.slots) for _, _, pool in entries],
            "express": [express(pool.slots) for _, _, pool in entries],
            "kinds": list(KINDS),
            "weights": [weight(means.get(kind.name), batchable=kind.batchable) for kind in KINDS.values()],
            "runnable": [kind for kind in KINDS if kind not in controls.paused_kinds],
            "lightest": [self._lightest(pool, now) for _, _, pool in entries],
            "paused_queues": list(controls.paused_queues),
            "held_tenants": [*controls.paused_tenants, *limited],
            "ahead_pools": [number for number, _, _ in ahead],
            "ahead_tenants": [tenant_id for _, tenant_id, _ in ahead],
            "ahead_starts": [start for _, _, start in ahead],
        }


@dataclass(slots=True)
class _Waiting:
    """What one look found of a pool."""

    due: dict[UUID, list[Candidate[Mapping[str, Any]]]] = field(default_factory=lambda: defaultdict(list))
    in_flight: dict[UUID, int] = field(default_factory=dict)
    taken: float = 0.0
    somebody: bool = False


def take_back(platform: Database, items: Sequence[Item]) -> None:
    """Queue jobs again whose message could not be published."""
    ids: list[UUID] = [job_id for job_id, _ in items]
    platform.fetch(_RETURN, {"ids": ids, "attempts": [attempt for _, attempt in items]})


def _candidate(row: Mapping[str, Any], means: Mapping[str, float], lightest: float) -> Candidate[Mapping[str, Any]]:
    mean = means.get(row["kind"])
    units = max(lightest, weight(mean, batchable=KINDS[row["kind"]].batchable))
    return Candidate(row, UNKNOWN_SECONDS if mean is None else mean, units)
