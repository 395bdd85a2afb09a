"""Choosing what runs next: one statement per round picks due jobs fairly and marks them dispatched.

Queues that the same workers serve form a pool and share its room, which is counted in messages: a quick job takes a small
part of one. Within a pool the tenants take turns, so a tenant with a deep backlog fills only what the others leave. The
list of tenants that wait is read by skipping through the index (one probe each), so a backlog of any depth costs the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from domain.jobs.batching import LARGEST_BATCH, batch_size, full_batch, room, weight
from jobs.kinds import KINDS
from jobs.messages import Item, Message
from tenancy.database import RELAXED, Database

_PICK: LiteralString = """
WITH RECURSIVE pools AS (
    SELECT * FROM unnest(%(queues)s::text[], %(pools)s::int[], %(rooms)s::float8[]) AS p (queue, pool, room)
), weights AS (
    SELECT * FROM unnest(%(kinds)s::text[], %(weights)s::float8[]) AS k (kind, weight)
), flying AS (
    SELECT p.pool, sum(coalesce(k.weight, 1)) AS taken
      FROM jobs j JOIN pools p ON p.queue = j.queue LEFT JOIN weights k ON k.kind = j.kind
     WHERE j.stage = 'in_flight' GROUP BY p.pool
), free AS (
    SELECT p.queue, p.pool, p.room - coalesce(f.taken, 0) AS room FROM pools p LEFT JOIN flying f ON f.pool = p.pool
     WHERE p.room - coalesce(f.taken, 0) > 0.999
), waiting AS (
    (SELECT f.queue, f.pool, f.room, t.tenant_id FROM free f CROSS JOIN LATERAL (
        SELECT tenant_id FROM jobs WHERE queue = f.queue AND stage = 'due'
         ORDER BY tenant_id LIMIT 1) t)
    UNION ALL
    SELECT w.queue, w.pool, w.room, t.tenant_id FROM waiting w CROSS JOIN LATERAL (
        SELECT tenant_id FROM jobs WHERE queue = w.queue AND stage = 'due' AND tenant_id > w.tenant_id
         ORDER BY tenant_id LIMIT 1) t
), shares AS (
    SELECT w.*, ceil(1 + w.room * %(largest)s / count(*) OVER (PARTITION BY w.pool))::int AS most FROM waiting w
), candidates AS (
    SELECT s.pool, s.room, j.id, j.priority, j.run_at, k.weight,
           row_number() OVER (PARTITION BY s.pool, s.tenant_id ORDER BY j.priority DESC, j.run_at, j.id) AS turn
      FROM shares s CROSS JOIN LATERAL (
        SELECT id, kind, priority, run_at FROM jobs
         WHERE queue = s.queue AND tenant_id = s.tenant_id AND stage = 'due'
           AND kind = ANY(%(kinds)s)
         ORDER BY priority DESC, run_at LIMIT s.most) j
      JOIN weights k ON k.kind = j.kind
), ranked AS (
    SELECT id, pool, room, row_number() OVER turns AS place, sum(weight) OVER turns AS taken
      FROM candidates
    WINDOW turns AS (PARTITION BY pool ORDER BY turn, priority DESC, run_at, id)
), measured AS (
    SELECT *, max(taken) OVER (PARTITION BY pool) > room AS deep FROM ranked
), picked AS (
    SELECT id, place, pool, deep FROM measured WHERE taken <= room
)
UPDATE jobs j SET state = 'dispatched', dispatched_at = now()
  FROM picked
 WHERE j.id = picked.id AND j.state = 'queued'
RETURNING j.id, j.kind, j.queue, j.attempt, j.single, picked.place, picked.deep
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


@dataclass(frozen=True, slots=True)
class Pool:
    """Workers that serve the same queues, with `slots` jobs at once between them."""

    queues: tuple[str, ...]
    slots: int


def pick(platform: Database, pools: Sequence[Pool], means: Mapping[str, float]) -> list[Mapping[str, Any]]:
    """Queue the jobs whose time has come, and mark as many queued ones dispatched as the pools have room for.

    Returns these in the order they should run. What waits for its time is in no list that a round reads.
    `means` holds runtimes in seconds by kind. A row is `deep` if its pool had more due than room. Jobs of a kind that
    this version does not know are left for one that does.
    """
    if not pools:
        return []
    entries = [(queue, number, room(pool.slots)) for number, pool in enumerate(pools) for queue in pool.queues]
    queues, numbers, rooms = (list(column) for column in zip(*entries, strict=True))
    parameters = {
        "queues": queues,
        "pools": numbers,
        "rooms": rooms,
        "kinds": list(KINDS),
        "weights": [weight(means.get(kind.name), batchable=kind.batchable) for kind in KINDS.values()],
        "largest": LARGEST_BATCH,
    }
    _, rows = platform.fetch_many([(_PROMOTE, {}), (_PICK, parameters)], RELAXED)
    return sorted(rows, key=lambda row: row["place"])


def pack(
    rows: Iterable[Mapping[str, Any]], slots: Mapping[str, int], means: Mapping[str, float], limit: int
) -> list[Message]:
    """Group picked jobs into messages: `slots` by queue, mean runtime in seconds by kind, `limit` ids at most in each.

    Jobs that came back from a lost worker travel alone, so poison takes no neighbour with it a second time.
    """
    groups: dict[tuple[str, str], list[Item]] = {}
    deep: set[tuple[str, str]] = set()
    messages: list[Message] = []
    for row in rows:
        item: Item = (row["id"], row["attempt"])
        group = (row["kind"], row["queue"])
        if row["single"] or not KINDS[row["kind"]].batchable:
            messages.append(Message(*group, (item,)))
            continue
        groups.setdefault(group, []).append(item)
        if row["deep"]:
            deep.add(group)
    for (kind, queue), items in groups.items():
        backlog = None if (kind, queue) in deep else len(items)
        size = batch_size(full_batch(means.get(kind)), backlog, slots.get(queue, 1), limit)
        messages.extend(
            Message(kind, queue, tuple(items[start : start + size])) for start in range(0, len(items), size)
        )
    return messages


def take_back(platform: Database, items: Sequence[Item]) -> None:
    """Queue jobs again whose message could not be published."""
    ids: list[UUID] = [job_id for job_id, _ in items]
    platform.fetch(_RETURN, {"ids": ids, "attempts": [attempt for _, attempt in items]})
