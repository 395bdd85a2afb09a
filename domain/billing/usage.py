"""Reading a usage event: what its meter counts of it, and whether its time can still be billed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from domain.billing.periods import Cadence, boundary
from domain.errors import FieldError

AGGREGATIONS = ("count", "sum", "max", "unique", "latest")
AHEAD = timedelta(minutes=5)
"""How far a sender's clock may be ahead of ours."""
LARGEST_VALUE = Decimal(10**15)
_DECIMAL = re.compile(r"[0-9]{1,16}(\.[0-9]{1,18})?")


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
    if isinstance(value, bool) or not isinstance(value, str | int):
        return FieldError(place, "invalid", "The meter needs a number here: whole, or a decimal written as a string.")
    if not _DECIMAL.fullmatch(str(value)):
        return FieldError(
            place, "invalid", "Must be a decimal that is not negative, such as 12.5, of at most 18 places."
        )
    number = Decimal(value)
    if number > LARGEST_VALUE:
        return FieldError(place, "out_of_range", f"Must be at most {LARGEST_VALUE:f}.")
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
