"""A message's life as one list, from what several tables know."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened at a moment; `source` is who says so."""

    at: datetime
    event: str
    source: str
    detail: str | None = None


def timeline(steps: Iterable[Step]) -> list[Step]:
    """The steps in the order of time; those of one moment as they were given."""
    return sorted(steps, key=lambda step: step.at)
