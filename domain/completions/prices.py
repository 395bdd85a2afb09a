"""What a tenant says that it pays on its own keys."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

_MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class OwnPrice:
    """Millionths of a US dollar for a million tokens. Without a price of its own, cached input costs what all input costs."""

    input_micros: int
    output_micros: int
    cached_input_micros: int | None = None
    version: int = 1

    @property
    def name(self) -> str:
        """The version of the price, as the call log has it."""
        return f"own {self.version}"

    def cost(self, input_tokens: int, cached_input_tokens: int, output_tokens: int) -> int:
        """Millionths of a US dollar, rounded up; `cached_input_tokens` are a part of `input_tokens`."""
        cached = self.input_micros if self.cached_input_micros is None else self.cached_input_micros
        exact = (
            (input_tokens - cached_input_tokens) * self.input_micros
            + cached_input_tokens * cached
            + output_tokens * self.output_micros
        )
        return int((Decimal(exact) / _MILLION).to_integral_value(ROUND_CEILING))
