"""Packing what was picked into messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from domain.jobs.batching import SHARED_BATCH, batch_size, full_batch
from jobs.dispatch import Picked
from jobs.kinds import KINDS
from jobs.messages import Item, Message


def pack(picked: Iterable[Picked], slots: Mapping[str, int], means: Mapping[str, float], limit: int) -> list[Message]:
    """Group picked jobs into messages: `slots` by queue, mean runtime in seconds by kind, `limit` ids at most in each.

    Jobs that came back from a lost worker travel alone, so poison takes no neighbour with it a second time. So do
    express ones, which must not wait behind a neighbour. What tenants share goes in shorter messages.
    """
    groups: dict[tuple[str, str], list[Item]] = {}
    deep: set[tuple[str, str]] = set()
    shared: set[tuple[str, str]] = set()
    messages: list[Message] = []
    for each in picked:
        item: Item = (each.id, each.attempt)
        group = (each.kind, each.queue)
        if each.single or each.express or not KINDS[each.kind].batchable:
            messages.append(Message(*group, (item,), each.express))
            continue
        groups.setdefault(group, []).append(item)
        if each.deep:
            deep.add(group)
        if each.shared:
            shared.add(group)
    for (kind, queue), items in groups.items():
        backlog = None if (kind, queue) in deep else len(items)
        most = min(limit, SHARED_BATCH) if (kind, queue) in shared else limit
        size = batch_size(full_batch(means.get(kind)), backlog, slots.get(queue, 1), most)
        messages.extend(
            Message(kind, queue, tuple(items[start : start + size])) for start in range(0, len(items), size)
        )
    return messages
