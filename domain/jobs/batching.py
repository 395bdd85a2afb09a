"""How many ids one message carries, and how much of a pool's room a job takes.

A message should take about `TARGET_SECONDS`: long enough to spread the cost of claiming and finishing over many short
jobs, short enough that a lost worker or a late neighbour costs little. Room is counted in messages of that length, so a
pool is not flooded with slow jobs because it also serves quick ones.
"""

from __future__ import annotations

TARGET_SECONDS = 0.1
LARGEST_BATCH = 64
SHARED_BATCH = 8
"""Ids per message in a pool that several tenants lately waited for: who comes next waits for the end of one message."""

MOST_AHEAD = 256
"""Jobs in the time of one message, at most. The quickest kinds take far less than that for a full message, and a slot that
runs dry while outcomes are written and the next ids come waits for longer than it works.
"""

LIGHTEST, LIGHTEST_SHARED = 1 / MOST_AHEAD, 1 / (4 * SHARED_BATCH)
"""The least that a job weighs: in a pool that one tenant waits for, and in one that several do. There, no more of the quickest
jobs go ahead than keep the slots from running dry, for whoever comes next waits for a round that chooses them, and for what they take.
"""

UNKNOWN_BATCH = 8
"""How many jobs of a kind that has not run yet make a message."""

LONG_SECONDS = 1.0
MESSAGES_PER_SLOT = 2
"""One runs, one waits in the broker, so that no slot waits for the dispatcher."""


def full_batch(mean_seconds: float | None, *, batchable: bool = True) -> int:
    """Jobs of a kind that fill a message, for a mean runtime (None: not known yet)."""
    if not batchable:
        return 1
    if mean_seconds is None:
        return UNKNOWN_BATCH
    return max(1, min(LARGEST_BATCH, int(TARGET_SECONDS / max(mean_seconds, 1e-6))))


def batch_size(full: int, backlog: int | None, slots: int, limit: int) -> int:
    """Ids per message. `backlog` is how many are due, None if more than there is room for.

    A shallow backlog is spread over the slots rather than packed, so that an idle system sends single ids at once.
    """
    spread = full if backlog is None else -(-backlog // max(slots, 1))
    return max(1, min(full, spread, limit))


def weight(mean_seconds: float | None, *, batchable: bool = True) -> float:
    """The part of a message's time that one job is. A long job counts as all the messages that a slot may have.

    What waits in the broker cannot be chosen again, so long jobs are sent only when a slot is free for them.
    """
    if not batchable or (mean_seconds is not None and mean_seconds >= LONG_SECONDS):
        return float(MESSAGES_PER_SLOT)
    if mean_seconds is None:
        return 1.0 / UNKNOWN_BATCH
    return 1.0 / max(1, min(MOST_AHEAD, int(TARGET_SECONDS / max(mean_seconds, 1e-6))))


def room(slots: int) -> float:
    """Messages that may be dispatched or running for workers with `slots`."""
    return float(slots * MESSAGES_PER_SLOT)


def express(slots: int) -> float:
    """Messages beyond the room for tenants that have nothing in flight: one for each slot."""
    return float(slots)
