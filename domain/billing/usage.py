"""Reading a usage event: what its meter counts of it, and whether its time can still be billed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from domain.billing.periods import Cadence, boundary
from domain.errors import FieldError

AGGREGATIONS = ("count", "sum", "max", "unique", "latest")
AHEAD = timedelta(minutes=5)
"""How far a sender's clock may be ahead of ours."""
LARGEST_VALUE = Decimal(10**15)


@dataclass(frozen=True, slots=True)
class Measured:
    """What a meter takes of an event: a number, or a text that is told apart."""

    value: Decimal | None = None
    item: str | None = None


def measure(aggregation: str, name: str | None, properties: Mapping[str, Any], pointer: str) -> Measured | FieldError:
    """The event's part in its meter, or what is wrong with it. Quantities may be fractions and are never negative."""
    if name is None:
        return Measured()
    place = f"{pointer}/properties/{name}"
    value = properties.get(name)
    if aggregation == "unique":
        if isinstance(value, bool) or not isinstance(value, str | int) or not 1 <= len(str(value)) <= 500:
            return FieldError(place, "invalid", "The meter needs a text or a whole number of 1 to 500 characters here.")
        return Measured(item=str(value))
    if isinstance(value, bool) or not isinstance(value, str | int) or len(str(value)) > 40:
        return FieldError(place, "invalid", "The meter needs a number here: whole, or a decimal written as a string.")
    try:
        number = Decimal(value)
    except InvalidOperation:
        return FieldError(place, "invalid", "Not a decimal.")
    if not number.is_finite() or not 0 <= number <= LARGEST_VALUE:
        return FieldError(place, "out_of_range", "Must be a finite number that is not negative.")
    return Measured(value=number)


def earliest_billable(cadence: Cadence, now: datetime) -> datetime | None:
    """The start of the period before the one that holds `now`: what is older is closed, and nothing would bill it.

    The period before is closed too, but its late usage becomes an adjustment on the present period's invoice. None in the
    first two periods, before which there was nothing that could be closed.
    """
    number = number_at(cadence, now)
    return None if number < 2 else boundary(cadence, number - 1)


def number_at(cadence: Cadence, moment: datetime) -> int:
    """The number of the period that holds the moment; 0 for a moment before the first."""
    shortest = {"day": 1, "week": 7, "month": 28, "year": 365}[cadence.interval] * cadence.count
    high = max(0, (moment - cadence.anchor_at).days // shortest + 2)
    low = 0
    while low < high:
        middle = (low + high + 1) // 2
        if boundary(cadence, middle) <= moment:
            low = middle
        else:
            high = middle - 1
    return low
