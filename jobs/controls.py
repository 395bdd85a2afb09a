"""What operators hold back and allow: written through the API, obeyed by the leader."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from domain.jobs.limits import Limits


@dataclass(frozen=True, slots=True)
class Controls:
    """What the dispatcher has to obey. A tenant that `limits` does not name has `UNLIMITED`."""

    paused_queues: frozenset[str] = frozenset()
    paused_kinds: frozenset[str] = frozenset()
    paused_tenants: frozenset[UUID] = frozenset()
    limits: dict[UUID, Limits] = field(default_factory=dict)
