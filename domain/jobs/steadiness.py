"""For how long something has gone on without a standstill, judged by who looks at it again and again."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Steady:
    """`gap` is the longest pause between two looks that is no standstill; all times are in seconds of one clock."""

    gap: float
    since: float
    _last: float = field(init=False)

    def __post_init__(self) -> None:
        self._last = self.since

    def note(self, now: float) -> None:
        """Look. After a standstill everything counts from now."""
        if now - self._last > self.gap:
            self.since = now
        self._last = now

    def lasted(self, now: float) -> float:
        """Seconds since the last standstill, or since the beginning."""
        return now - self.since
