"""What a source of a search is asked, and what it answers: a query and a deadline in, a ranked list out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from domain.search.filters import Filter
from domain.search.fusion import Hit

MODES = ("keyword", "semantic", "hybrid")


class OutOfTime(Exception):
    """The deadline passed before the source had its answer."""


@dataclass(frozen=True, slots=True)
class Ask:
    """The question as it was typed, what documents must fulfil beside, and how many hits are wanted until when."""

    q: str
    limit: int
    deadline: datetime
    mode: str = "keyword"
    filters: Sequence[Filter] = ()

    def seconds_left(self) -> float:
        """Until the deadline. Raises `OutOfTime` if that has passed."""
        left = (self.deadline - datetime.now(UTC)).total_seconds()
        if left <= 0:
            raise OutOfTime
        return left


@dataclass(frozen=True, slots=True)
class Found:
    """Hits, best first. `notes` say in a sentence each what a reader should know of how they were found; `complete` is false
    where a part of the source could not be asked, so that the answer is partial.
    """

    hits: Sequence[Hit]
    notes: Sequence[str] = ()
    complete: bool = True
