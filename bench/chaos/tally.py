"""What happened in a chaos run, and what came of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

RECOVERY_SECONDS = 20.0
"""Wanted: whatever a fault hit has finished this long after it."""


@dataclass(slots=True)
class Tally:
    """`problems` is empty if nothing was lost, done twice or told wrongly. `slow` names recoveries beyond the wanted time."""

    tenants: Counter[str] = field(default_factory=Counter)
    submitted: int = 0
    children: int = 0
    roles: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    doubled: int = 0
    messages: int = 0
    poison: str = ""
    kills: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    hits: int = 0
    attempts: Counter[int] = field(default_factory=Counter)
    recovery_seconds: dict[str, float] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    looks: int = 0
    moves_seen: int = 0
    longest_silence: float = 0.0
    seconds: float = 0.0
    slow: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        return {name: dict(value) if isinstance(value := getattr(self, name), Counter) else value
                for name in self.__slots__}  # fmt: skip
