"""What one sees of a chaos run: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

LINE_SECONDS = 10.0
"""Between two plain lines about how far it is."""

BARS = ("submitted", "finished", "faults")


class Screen(Protocol):
    """Where a run tells how it goes."""

    def say(self, line: str) -> None:
        """Something happened."""

    def show(self, **counts: int) -> None:
        """So many of each of `BARS`, and of nothing else, are done."""


@dataclass(slots=True)
class Lines:
    """Plain lines on standard output."""

    totals: dict[str, int]
    _began: float = field(default_factory=time.monotonic)
    _last: float = 0.0

    def say(self, line: str) -> None:
        """One line with the seconds since the beginning."""
        print(f"{time.monotonic() - self._began:6.1f}  {line}", flush=True)

    def show(self, **counts: int) -> None:
        """At most every few seconds."""
        if time.monotonic() - self._last > LINE_SECONDS:
            self._last = time.monotonic()
            self.say(", ".join(f"{count:,} of {self.totals[name]:,} {name}" for name, count in counts.items()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return


@dataclass(slots=True)
class Bars:
    """Bars on a terminal, with what happens above them."""

    totals: dict[str, int]
    console: Console
    _progress: Progress = field(init=False)
    _tasks: dict[str, TaskID] = field(init=False)

    def __post_init__(self) -> None:
        columns = (TextColumn("{task.description:9}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=self.console)
        self._tasks = {name: self._progress.add_task(name, total=self.totals[name]) for name in BARS}

    def say(self, line: str) -> None:
        """Above the bars."""
        self._progress.console.print(line, highlight=False)

    def show(self, **counts: int) -> None:
        """Move the bars."""
        for name, count in counts.items():
            self._progress.update(self._tasks[name], completed=count)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


def screen(console: Console, totals: dict[str, int]) -> Bars | Lines:
    """What suits the console."""
    return Bars(totals, console) if console.is_terminal else Lines(totals)
