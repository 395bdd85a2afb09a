"""Money is an integer count of a currency's minor units; unit prices and quantities are decimals.

Each line is rounded once, from the exact product, and a total is the sum of rounded lines: what is printed adds up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal, Inexact, InvalidOperation, Overflow

LARGEST = 2**63 - 1
"""What the amount columns hold."""

_EXACT = Context(prec=200, rounding=ROUND_HALF_UP, traps=[Inexact, InvalidOperation, Overflow])
_ROUNDING = Context(prec=200, rounding=ROUND_HALF_UP, traps=[InvalidOperation, Overflow])


@dataclass(frozen=True, slots=True)
class Line:
    """One charge of an invoice. `unit_amount` is in minor units and may have decimals."""

    description: str
    quantity: Decimal
    unit_amount: Decimal

    @property
    def amount(self) -> int:
        """Quantity × unit amount in whole minor units; a half is rounded away from zero.

        Raises `ValueError` for what is no finite number or does not fit the column.
        """
        return rounded(self.quantity, self.unit_amount)


def rounded(quantity: Decimal, unit_amount: Decimal) -> int:
    """The product in whole minor units, rounded once; raises as `Line.amount`."""
    try:
        exact = _EXACT.multiply(quantity, unit_amount)
        amount = int(exact.quantize(Decimal(1), context=_ROUNDING))
    except (InvalidOperation, Inexact, Overflow, ValueError, OverflowError):
        raise ValueError(f"{quantity} × {unit_amount} is no amount of money") from None
    if abs(amount) > LARGEST:
        raise ValueError(f"{quantity} × {unit_amount} is more than an amount can hold")
    return amount


def total(lines: Iterable[Line]) -> int:
    """The sum of the lines' rounded amounts."""
    return sum(line.amount for line in lines)
