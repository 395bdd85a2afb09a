"""Doing at once what many threads ask for at the same time: one round trip and one commit for all of them.

Who comes first acts for those who are there; who comes meanwhile is gathered for the next turn, which one of them leads. Nobody
waits for company, so alone it costs what it would without this.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


@dataclass(slots=True, eq=False)
class _Entry(Generic[Asked, Answer]):
    asked: Asked
    woken: threading.Event = field(default_factory=threading.Event)
    leads: bool = False
    answers: list[Answer] = field(default_factory=list)
    error: Exception | None = None


class Gathering(Generic[Key, Asked, Answer]):
    """`act` takes a key and what was asked under it, at most `limit` at a time, and returns as many answers in the same order.

    What it raises, all of them get.
    """

    def __init__(self, act: Callable[[Key, Sequence[Asked]], Sequence[Answer]], limit: int = 100):
        self._act = act
        self._limit = limit
        self._lock = threading.Lock()
        self._waiting: dict[Key, list[_Entry[Asked, Answer]]] = {}
        """A key is in here while somebody acts for it."""

    def ask(self, key: Key, asked: Asked) -> Answer:
        """The answer, when it is there. Raises what `act` raises."""
        entry: _Entry[Asked, Answer] = _Entry(asked)
        with self._lock:
            waiting = self._waiting.get(key)
            if waiting is None:
                self._waiting[key] = []
                entry.leads = True
            else:
                waiting.append(entry)
        if not entry.leads:
            entry.woken.wait()
        if entry.leads:
            self._lead(key, entry)
        if entry.error is not None:
            raise entry.error
        return entry.answers[0]

    def __len__(self) -> int:
        """How many wait for a turn that has not begun."""
        with self._lock:
            return sum(len(waiting) for waiting in self._waiting.values())

    def _lead(self, key: Key, own: _Entry[Asked, Answer]) -> None:
        with self._lock:
            waiting = self._waiting[key]
            turn = [own, *waiting[: self._limit - 1]]
            del waiting[: self._limit - 1]
        try:
            for entry, answer in zip(turn, self._act(key, [entry.asked for entry in turn]), strict=True):
                entry.answers.append(answer)
        except Exception as error:  # noqa: BLE001 - not swallowed: each of those who asked raises it
            for entry in turn:
                entry.error = error
        finally:
            self._hand_over(key)
            for entry in turn[1:]:
                entry.woken.set()

    def _hand_over(self, key: Key) -> None:
        with self._lock:
            waiting = self._waiting[key]
            if not waiting:
                del self._waiting[key]
                return
            successor = waiting.pop(0)
            successor.leads = True
        successor.woken.set()
