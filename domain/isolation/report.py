"""The report on one tenant's isolation: each thing that was tried, what should have come of it, and what did."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

SHOWN_GAPS = 50
"""Gaps of one check that a report spells out; it says how many there are in all."""


class Result(StrEnum):
    """`skipped` says that there was nothing to try it on, never that it went well."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried. `found` says what came of it: for a failed check, the gap, by the name of what has it."""

    name: str
    tried: str
    expected: str
    result: Result
    found: str


def judged(name: str, tried: str, expected: str, gaps: Sequence[str]) -> Check:
    """A check that passes when there are no gaps."""
    if not gaps:
        return Check(name, tried, expected, Result.PASSED, "as expected")
    more = "" if len(gaps) <= SHOWN_GAPS else f"; and {len(gaps) - SHOWN_GAPS} more"
    return Check(name, tried, expected, Result.FAILED, "; ".join(gaps[:SHOWN_GAPS]) + more)


def skipped(name: str, tried: str, expected: str, why: str) -> Check:
    """A check that could not be tried."""
    return Check(name, tried, expected, Result.SKIPPED, why)


def tried_safely(name: str, tried: str, expected: str, attempt: Callable[[], Sequence[str]]) -> Check:
    """The check that `attempt` makes, which returns gaps. One that breaks is no proof of anything, so it has failed."""
    try:
        return judged(name, tried, expected, attempt())
    except Exception as error:  # noqa: BLE001 - whatever it was, the other checks still say what they say
        return Check(name, tried, expected, Result.FAILED, f"could not be tried: {type(error).__name__}")


def summary(checks: Iterable[Check]) -> dict[str, Any]:
    """The report as JSON: `isolated` only if nothing failed, how many checks came to what, and the checks."""
    listed = list(checks)
    counts = {str(result): sum(check.result is result for check in listed) for result in Result}
    return {"isolated": counts["failed"] == 0, **counts, "checks": [asdict(check) for check in listed]}
