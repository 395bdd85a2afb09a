"""What a look at one thing came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["good", "odd", "bad"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`odd` works but deserves a look; `bad` keeps the platform from working. `advice` says what to do about it."""

    subject: str
    level: Level
    detail: str
    advice: str = ""


def good(subject: str, detail: str) -> Finding:
    """As it should be."""
    return Finding(subject, "good", detail)


def odd(subject: str, detail: str, advice: str) -> Finding:
    """Works, and yet."""
    return Finding(subject, "odd", detail, advice)


def bad(subject: str, detail: str, advice: str) -> Finding:
    """Does not work."""
    return Finding(subject, "bad", detail, advice)
