"""What travels: ids of one kind, and the attempt that each was dispatched for. Never a payload."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

Item = tuple[UUID, int]
"""A job's id and the number of attempts that had been started when it was dispatched."""


@dataclass(frozen=True, slots=True)
class Message:
    """What one Celery message carries. An `express` one is taken before those that already wait in its queue."""

    kind: str
    queue: str
    items: tuple[Item, ...]
    express: bool = False
