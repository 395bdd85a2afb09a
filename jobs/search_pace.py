"""How long a tenant's sources took lately, as far as this process has seen: who takes longest is asked first.

The jobs of a search go out one after the other, a few milliseconds apart. The answer waits for the last source, so the slowest
should not be the one that is asked last. Nothing depends on it: a process that has seen nothing asks in the given order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from uuid import UUID

from domain.search.answer import SourceAnswer

KEPT = 10_000
"""Sources that a process remembers. Beyond that it begins anew."""


class Pace:
    """The milliseconds of each source's latest answer."""

    def __init__(self) -> None:
        self._took: dict[tuple[UUID, str], int] = {}

    def note(self, tenant_id: UUID, answers: Iterable[SourceAnswer]) -> None:
        """Remember what the sources took this time."""
        if len(self._took) >= KEPT:
            self._took.clear()
        self._took.update({(tenant_id, each.source): each.took_ms for each in answers})

    def slowest_first(self, tenant_id: UUID, sources: Sequence[str]) -> list[str]:
        """The sources by what they took last; those of equal or unknown time stay in their order, at the end."""
        return sorted(sources, key=lambda name: -self._took.get((tenant_id, name), 0))


@cache
def pace() -> Pace:
    """This process's."""
    return Pace()
