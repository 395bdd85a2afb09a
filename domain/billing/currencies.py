"""How many decimal places a currency has: what a minor unit is (ISO 4217)."""

from __future__ import annotations

_PLACES = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_BY_CODE = {code: places for places, codes in _PLACES.items() for code in codes.split()}


def places(currency: str) -> int:
    """The decimal places of a currency; two, unless ISO 4217 says otherwise."""
    return _BY_CODE.get(currency.upper(), 2)
