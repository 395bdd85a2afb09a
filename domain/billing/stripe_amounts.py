"""Amounts as Stripe counts them. For three currencies its unit is not the minor unit of ISO 4217, which is ours.

Source: https://docs.stripe.com/currencies#special-cases.
"""

from __future__ import annotations

from domain.errors import Permanent

_TIMES_HUNDRED = frozenset({"ISK", "UGX"})
"""They have no decimals any more; Stripe still has them written with two, both nought."""
_BY_HUNDRED = frozenset({"MGA"})
"""It has decimals; Stripe knows whole ones only."""


def to_stripe(amount: int, currency: str) -> int:
    """Our minor units as Stripe's. Raises `Permanent` (`provider_rejected`) for a part of what Stripe cannot divide."""
    code = currency.upper()
    if code in _TIMES_HUNDRED:
        return amount * 100
    if code in _BY_HUNDRED:
        if amount % 100:
            raise Permanent(f"Stripe moves whole {code} only, not {amount} hundredths.", code="provider_rejected")
        return amount // 100
    return amount


def from_stripe(amount: int, currency: str) -> int:
    """Stripe's units as our minor units."""
    code = currency.upper()
    if code in _TIMES_HUNDRED:
        return amount // 100
    return amount * 100 if code in _BY_HUNDRED else amount
