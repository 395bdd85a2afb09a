"""What a quantity of usage costs: the models `standard`, `graduated`, `volume` and `package`.

- standard: each unit beyond `free_units` costs `unit_amount`.
- graduated: the units that fall into a tier cost that tier's `unit_amount`; each tier that is reached adds its `flat_amount`.
- volume: all units cost the `unit_amount` of the tier that the quantity falls into, and its `flat_amount`.
- package: each package of `package_size` units that has been begun, beyond `free_units`, costs `package_amount`.

Each price becomes lines, so that every amount on an invoice is its quantity × its unit amount, rounded once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, localcontext
from typing import Any

from domain.billing.money import Line
from domain.errors import FieldError, InvalidPayload

MODELS = ("standard", "graduated", "volume", "package")
_DIGITS = 200
LARGEST_PRICE = Decimal(10**12)
_NAMES = {
    "standard": {"unit_amount", "free_units"},
    "graduated": {"tiers"},
    "volume": {"tiers"},
    "package": {"package_amount", "package_size", "free_units"},
}


@dataclass(frozen=True, slots=True)
class Tier:
    """From the tier before up to and including `up_to` units; None is without end. Prices in minor units."""

    up_to: Decimal | None
    unit_amount: Decimal
    flat_amount: Decimal


def price(name: str, model: str, terms: Mapping[str, Any], quantity: Decimal) -> list[Line]:
    """The lines of `quantity` units, none where nothing was used. `terms` have passed `checked_terms`."""
    if quantity <= 0:
        return []
    with localcontext(prec=_DIGITS):  # the 28 digits of every day would round a quantity before it is priced
        return _priced(name, model, terms, quantity)


def _priced(name: str, model: str, terms: Mapping[str, Any], quantity: Decimal) -> list[Line]:
    match model:
        case "standard":
            billable = max(Decimal(0), quantity - _decimal(terms.get("free_units", "0")))
            return [Line(name, billable, _decimal(terms["unit_amount"]))]
        case "graduated":
            return _graduated(name, _tiers(terms), quantity)
        case "volume":
            return _volume(name, _tiers(terms), quantity)
        case "package":
            billable = max(Decimal(0), quantity - _decimal(terms.get("free_units", "0")))
            packages = (billable / _decimal(terms["package_size"])).to_integral_value(ROUND_CEILING)
            return [Line(name, packages, _decimal(terms["package_amount"]))]
        case _:
            raise ValueError(f"{model!r} is not a model")


def checked_terms(model: str, terms: Mapping[str, Any], pointer: str) -> dict[str, Any]:
    """The terms in the form in which they are kept: decimals as strings. Raises `InvalidPayload` below `pointer`."""
    names = _NAMES[model]
    for name in terms:
        if name not in names:
            raise _invalid(f"{pointer}/{name}", f"Not a term of the model {model}.")
    required = names - {"free_units"}
    for name in sorted(required):
        if name not in terms:
            raise _invalid(f"{pointer}/{name}", f"The model {model} needs it.")
    if "tiers" in names:
        return {"tiers": _checked_tiers(terms["tiers"], f"{pointer}/tiers")}
    kept = {name: _number(value, f"{pointer}/{name}") for name, value in terms.items()}
    if "package_size" in kept and not Decimal(kept["package_size"]) > 0:
        raise _invalid(f"{pointer}/package_size", "Must be more than 0.")
    return kept


def _graduated(name: str, tiers: Sequence[Tier], quantity: Decimal) -> list[Line]:
    lines: list[Line] = []
    below = Decimal(0)
    for number, tier in enumerate(tiers, start=1):
        if quantity <= below:
            break
        top = quantity if tier.up_to is None else min(quantity, tier.up_to)
        lines += _tier_lines(f"{name}, tier {number}", top - below, tier)
        below = top
    return lines


def _volume(name: str, tiers: Sequence[Tier], quantity: Decimal) -> list[Line]:
    for tier in tiers:
        if tier.up_to is None or quantity <= tier.up_to:
            return _tier_lines(name, quantity, tier)
    return []


def _tier_lines(name: str, quantity: Decimal, tier: Tier) -> list[Line]:
    flat = [Line(f"{name}, flat", Decimal(1), tier.flat_amount)] if tier.flat_amount else []
    return [Line(name, quantity, tier.unit_amount), *flat]


def _tiers(terms: Mapping[str, Any]) -> list[Tier]:
    return [
        Tier(
            None if tier["up_to"] is None else _decimal(tier["up_to"]),
            _decimal(tier["unit_amount"]),
            _decimal(tier["flat_amount"]),
        )
        for tier in terms["tiers"]
    ]


def _checked_tiers(tiers: Any, pointer: str) -> list[dict[str, str | None]]:
    if not isinstance(tiers, list) or not 1 <= len(tiers) <= 50:
        raise _invalid(pointer, "Must be 1 to 50 tiers.")
    kept: list[dict[str, str | None]] = []
    below = Decimal(0)
    for number, tier in enumerate(tiers):
        here = f"{pointer}/{number}"
        if not isinstance(tier, Mapping) or not {"up_to", "unit_amount"} <= set(tier) <= {
            "up_to",
            "unit_amount",
            "flat_amount",
        }:
            raise _invalid(here, "A tier has `up_to`, `unit_amount` and, if it likes, `flat_amount`.")
        last = number == len(tiers) - 1
        if (tier["up_to"] is None) != last:
            raise _invalid(f"{here}/up_to", "Null in the last tier, and only there.")
        up_to = None if last else _number(tier["up_to"], f"{here}/up_to")
        if up_to is not None:
            if not Decimal(up_to) > below:
                raise _invalid(f"{here}/up_to", "Must be more than in the tier before.")
            below = Decimal(up_to)
        kept.append({
            "up_to": up_to,
            "unit_amount": _number(tier["unit_amount"], f"{here}/unit_amount"),
            "flat_amount": _number(tier.get("flat_amount", "0"), f"{here}/flat_amount"),
        })  # fmt: skip
    return kept


def _number(value: Any, pointer: str) -> str:
    """A decimal that is written as a string, or a whole number; floats are refused, for they are no decimals."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not 1 <= len(value) <= 40 or not value.isascii():
        raise _invalid(pointer, "Must be a decimal, written as a string.")
    whole, _, fraction = value.partition(".")
    if not whole.isdigit() or (fraction and not fraction.isdigit()) or value.endswith("."):
        raise _invalid(pointer, "Must be a decimal that is not negative, such as 0.0125.")
    if Decimal(value) > LARGEST_PRICE:
        raise _invalid(pointer, "Out of range.")
    return value


def _decimal(text: Any) -> Decimal:
    return Decimal(str(text))


def _invalid(pointer: str, detail: str) -> InvalidPayload:
    return InvalidPayload("The charge is invalid.", errors=(FieldError(pointer, "invalid", detail),))
