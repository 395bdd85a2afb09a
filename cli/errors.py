"""Why a command failed, as one line for standard error. `cli.main` prints it and exits; nobody sees a stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class CommandFailed(Exception):
    """The command cannot go on. The message is for the person at the terminal; `exit_code` is for scripts."""

    exit_code = 2


class Unreachable(CommandFailed):
    """The server did not answer: it does not run, or not there."""


class TimedOut(CommandFailed):
    """What was waited for did not happen in time."""

    exit_code = 1


class Problem(CommandFailed):
    """The API refused, as RFC 9457 problem+json: `status`, the stable `code`, `detail`, and faults of single fields."""

    def __init__(self, status: int, body: Mapping[str, Any], retry_after: str | None = None):
        self.status = status
        self.code = str(body.get("code") or f"http_{status}")
        self.detail = str(body.get("detail") or body.get("title") or "The server gave no reason.")
        self.errors = [error for error in _sequence(body.get("errors")) if isinstance(error, Mapping)]
        self.retry_after = retry_after
        super().__init__(self._line())

    def _line(self) -> str:
        faults = "; ".join(f"{error.get('pointer') or '/'}: {error.get('detail')}" for error in self.errors)
        wait = f" (try again in {self.retry_after} s)" if self.retry_after else ""
        return f"{self.detail} [{self.code}]{wait}" + (f" {faults}" if faults else "")


def _sequence(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
