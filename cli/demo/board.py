"""The demo's table: what each part is doing, how long it took, and what came out; plain lines without a terminal."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from cli.output import clean

if TYPE_CHECKING:  # rich is drawn on terminals only
    from rich.live import Live
    from rich.table import Table

STYLES = {"waiting": "dim", "running": "cyan", "done": "green", "failed": "red", "skipped": "yellow"}


@dataclass
class Row:
    """One part. Times are `time.monotonic()`."""

    name: str
    state: str = "waiting"
    text: str = ""
    began: float | None = None
    ended: float | None = None

    @property
    def elapsed(self) -> float | None:
        """Seconds, until now while it runs."""
        return None if self.began is None else (self.ended or time.monotonic()) - self.began


class Board:
    """The table of the parts named. Use it as a context manager; it is drawn meanwhile and stays when left."""

    def __init__(self, names: list[str], *, live: bool | None = None):
        self.rows = {name: Row(name) for name in names}
        self._is_live = sys.stdout.isatty() if live is None else live
        self._live: Live | None = None

    def begin(self, name: str) -> None:
        """The part runs from now on."""
        row = self.rows[name]
        row.state, row.began = "running", time.monotonic()

    def tell(self, name: str, text: str) -> None:
        """What the running part is doing."""
        self.rows[name].text = text

    def end(self, name: str, state: str, text: str) -> None:
        """The part is `done`, `failed` or `skipped`, and why."""
        row = self.rows[name]
        row.state, row.text, row.ended = state, text, time.monotonic()
        if not self._is_live:
            click.echo(f"{state:<8}{'' if row.elapsed is None else f'{row.elapsed:.1f} s':>8}  {name:<14}{clean(text)}")
            sys.stdout.flush()

    def __enter__(self) -> Self:
        if self._is_live:
            from rich.live import Live

            self._live = Live(get_renderable=self._table, refresh_per_second=8)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _table(self) -> Table:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table("part", "state", "elapsed", "result", box=box.SIMPLE_HEAD, pad_edge=False)
        table.columns[2].justify = "right"
        for row in self.rows.values():
            elapsed = "" if row.elapsed is None else f"{row.elapsed:.1f} s"
            table.add_row(row.name, Text(row.state, style=STYLES[row.state]), elapsed, Text(clean(row.text)))
        return table
