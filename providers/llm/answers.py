"""Reading a vendor's JSON with care: a part that is missing or of another type is an unreadable answer, not a crash."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from domain.errors import Transient
from providers.llm.failures import malformed

T = TypeVar("T")

LARGEST_SINGLE = 3.4e38


class Answer:
    """A JSON object from `provider`. Every reader raises `Transient` if the value is not of its type."""

    def __init__(self, provider: str, value: Any):
        if not isinstance(value, Mapping):
            raise malformed(provider)
        self._provider = provider
        self._value = value

    @classmethod
    def parse(cls, provider: str, content: bytes) -> Answer:
        """The answer's body."""
        try:
            value = json.loads(content)
        except (ValueError, RecursionError):
            raise malformed(provider) from None
        return cls(provider, value)

    def text(self, name: str) -> str:
        return self._typed(name, str)

    def optional_text(self, name: str) -> str | None:
        return None if self._value.get(name) is None else self.text(name)

    def count(self, name: str) -> int:
        """A number of tokens; 0 where the field is absent or null."""
        value = self._value.get(name)
        if value is None:
            return 0
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self._malformed()
        return value

    def numbers(self, name: str) -> tuple[float, ...]:
        values = self._typed(name, list)
        if not values or not all(map(_is_number, values)):
            raise self._malformed()
        return tuple(map(float, values))

    def part(self, name: str) -> Answer:
        return Answer(self._provider, self._value.get(name))

    def optional_part(self, name: str) -> Answer | None:
        return None if self._value.get(name) is None else self.part(name)

    def parts(self, name: str) -> list[Answer]:
        return [Answer(self._provider, item) for item in self._typed(name, list)]

    def _typed(self, name: str, type: type[T]) -> T:
        value = self._value.get(name)
        if not isinstance(value, type):
            raise self._malformed()
        return value

    def _malformed(self) -> Transient:
        return malformed(self._provider)


def _is_number(value: Any) -> bool:
    """Whether a number of single precision can hold it, which a vector's are: NaN and the infinities are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= LARGEST_SINGLE
