"""Amounts of money: integers, each line rounded once."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.billing.money import LARGEST, Line, rounded, total

decimals = st.decimals(Decimal("-1e9"), Decimal("1e9"), allow_nan=False, allow_infinity=False, places=9)


@pytest.mark.parametrize(
    ("quantity", "unit_amount", "amount"),
    [("1", "1999", 1999), ("3", "0.5", 2), ("1", "2.5", 3), ("1", "2.49999", 2), ("-1", "2.5", -3), ("0", "17", 0)],
)
def test_a_half_is_rounded_away_from_zero(quantity: str, unit_amount: str, amount: int) -> None:
    assert rounded(Decimal(quantity), Decimal(unit_amount)) == amount


@given(decimals, decimals)
def test_a_line_is_the_exact_product_rounded_once(quantity: Decimal, unit_amount: Decimal) -> None:
    exact = Fraction(quantity) * Fraction(unit_amount)

    amount = Line("", quantity, unit_amount).amount

    assert abs(amount - exact) <= Fraction(1, 2)
    assert not (abs(amount - exact) == Fraction(1, 2) and abs(amount) < abs(exact))


@given(st.lists(st.tuples(decimals, decimals), max_size=20))
def test_a_total_is_what_the_printed_lines_add_up_to(charges: list[tuple[Decimal, Decimal]]) -> None:
    lines = [Line(str(number), *charge) for number, charge in enumerate(charges)]

    assert total(lines) == sum(line.amount for line in lines)


@pytest.mark.parametrize("unit_amount", ["NaN", "Infinity", "-Infinity", "sNaN", str(LARGEST + 1), "1e999999"])
def test_what_is_no_amount_is_refused(unit_amount: str) -> None:
    with pytest.raises(ValueError, match="amount"):
        rounded(Decimal(1), Decimal(unit_amount))


def test_the_largest_amount_is_kept_to_the_last_unit() -> None:
    assert rounded(Decimal(1), Decimal(LARGEST)) == LARGEST
