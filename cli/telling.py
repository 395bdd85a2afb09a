"""Telling where a long piece of work is, on standard error."""

from __future__ import annotations

from cli.output import note


class Telling:
    """A live line on a terminal, else a line for each step that has a number.

    The block's value is called with done, total (None if it is not known) and words.
    """

    def __init__(self) -> None:
        from rich.console import Console

        console = Console(stderr=True)
        self._status = console.status("") if console.is_terminal else None

    def __call__(self, done: int, total: int | None, message: str) -> None:
        text = f"{done + 1}/{total} {message}" if total else message
        if self._status is not None:
            self._status.update(text)
        elif total:
            note(text)

    def __enter__(self) -> Telling:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()
