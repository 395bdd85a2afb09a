"""Invoices worked out on paper: each number here was calculated without the code, from the plan, the calendar and the terms."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from domain.billing.money import total
from domain.billing.periods import Cadence, Period, period
from domain.billing.pricing import checked_terms, price
from domain.billing.statement import Billed, Statement, compose
from domain.billing.timeline import ChargeTerms, Phase, PlanTerms

BERLIN = ZoneInfo("Europe/Berlin")
TIERS = {"tiers": [{"up_to": "10", "unit_amount": "5"}, {"up_to": "20", "unit_amount": "4", "flat_amount": "100"},
                   {"up_to": None, "unit_amount": "0.3"}]}  # fmt: skip
PACKS = {"package_amount": "300", "package_size": "10", "free_units": "5"}


def plan(amount: int, number: int = 1, **fields: Any) -> PlanTerms:
    return PlanTerms(UUID(int=number), f"p{number}", f"Plan {number}", amount, "JPY", "month", 1, **fields)


def amounts(statement: Statement, billed: Any = None, usage: Any = None) -> list[int]:
    return [line.amount for line in compose(statement, usage or {}, billed or {})]


def test_an_upgrade_in_the_month_that_summer_time_shortens() -> None:
    # March 2026 in Berlin has 31 days less an hour: 743 hours. On the 29th at noon, after the clock was put forward at two,
    # 28 days and 11 hours have passed: 683 hours.
    march = period(Cadence(datetime(2026, 3, 1, tzinfo=BERLIN), "month", 1, BERLIN), 0)
    at = datetime(2026, 3, 29, 12, tzinfo=BERLIN).astimezone(UTC)
    assert (march.end - march.start, at - march.start) == (timedelta(hours=743), timedelta(hours=683))
    phases = (Phase(march.start, plan(4999)), Phase(at, plan(12999, 2)))
    # 4999 x 683/743 = 4595.31; 12999 x 683/743 = 11949.28, so of 12999 there are 1050 left.
    assert amounts(Statement(phases, march, None, None)) == [4595, 1050]


def test_an_upgrade_in_the_month_that_summer_time_lengthens() -> None:
    # October 2026: 745 hours. On the 25th at noon, after the clock was put back, 24 days and 13 hours have passed: 589 hours.
    october = period(Cadence(datetime(2026, 10, 1, tzinfo=BERLIN), "month", 1, BERLIN), 0)
    at = datetime(2026, 10, 25, 12, tzinfo=BERLIN).astimezone(UTC)
    assert (october.end - october.start, at - october.start) == (timedelta(hours=745), timedelta(hours=589))
    phases = (Phase(october.start, plan(4999)), Phase(at, plan(12999, 2)))
    # 4999 x 589/745 = 3952.23; 12999 x 589/745 = 10277.06, so of 12999 there are 2722 left.
    assert amounts(Statement(phases, october, None, None)) == [3952, 2722]


def test_a_pause_in_the_period_after_a_short_february_in_yen() -> None:
    # Anchored on 31 January: the second period runs from 28 February to 31 March, 31 days. It rests on days 11 to 20.
    second = period(Cadence(datetime(2027, 1, 31, tzinfo=UTC), "month", 1, ZoneInfo("UTC")), 1)
    assert second == Period(datetime(2027, 2, 28, tzinfo=UTC), datetime(2027, 3, 31, tzinfo=UTC))
    rests, goes_on = datetime(2027, 3, 10, tzinfo=UTC), datetime(2027, 3, 20, tzinfo=UTC)
    phases = (Phase(second.start, plan(3000)), Phase(rests, plan(3000), paused=True), Phase(goes_on, plan(3000)))
    # 3000 x 10/31 = 967.74; 3000 x 20/31 = 1935.48, so 1065 are left. No yen has a part.
    assert amounts(Statement(phases, second, None, None)) == [968, 1065]


def test_half_a_cent_is_rounded_once() -> None:
    whole = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC))
    phases = (Phase(whole.start, plan(5)), Phase(whole.start + timedelta(days=1), plan(5, 2)))
    assert amounts(Statement(phases, whole, None, None)) == [3, 2]


@pytest.mark.parametrize(
    ("old", "new", "day", "expected"),
    [
        (3000, 6000, 11, [2000, 6000]),  # owed 1000 + 4000, paid 3000; then May
        (6000, 3000, 21, [-1000, 3000]),  # owed 4000 + 1000, paid 6000; then May
    ],
)
def test_a_change_in_an_april_that_was_paid_in_advance(old: int, new: int, day: int, expected: list[int]) -> None:
    april = Period(datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC))
    may = Period(april.end, datetime(2026, 6, 1, tzinfo=UTC))
    phases = (
        Phase(april.start, plan(old, pay_in_advance=True)),
        Phase(datetime(2026, 4, day, tzinfo=UTC), plan(new, 2, pay_in_advance=True)),
    )
    paid = {("fee", april.start, april.end): Billed(old, old)}
    assert amounts(Statement(phases, april, None, may), paid) == expected
    # Its invoice was voided, or credited in full: nothing was debited, so nothing comes back. More is still asked for.
    forgiven = {("fee", april.start, april.end): Billed(old, 0)}
    assert amounts(Statement(phases, april, None, may), forgiven) == [each for each in expected if each > 0]


@pytest.mark.parametrize(
    ("model", "terms", "quantity", "expected"),
    [
        ("graduated", TIERS, "10", 50),
        ("graduated", TIERS, "10.5", 50 + 2 + 100),
        ("graduated", TIERS, "20", 50 + 40 + 100),
        ("graduated", TIERS, "20.000000000000000001", 50 + 40 + 100),
        ("graduated", TIERS, "22", 50 + 40 + 100 + 1),  # 2 x 0.3 = 0.6
        ("volume", TIERS, "10", 50),
        ("volume", TIERS, "10.000000000000000001", 40 + 100),
        ("volume", TIERS, "20", 80 + 100),
        ("volume", TIERS, "20.5", 6),  # 6.15
        ("package", PACKS, "5", 0),
        ("package", PACKS, "5.000000000000000001", 300),
        ("package", PACKS, "15", 300),
        ("package", PACKS, "15.000000000000000001", 600),
        ("package", PACKS, "1000000000000005.000000000000000001", 30000000000000300),
        ("standard", {"unit_amount": "0.5"}, "1", 1),
        ("standard", {"unit_amount": "0.0125", "free_units": "40"}, "80", 1),  # 40 x 0.0125 = 0.5
        ("standard", {"unit_amount": "0.0125", "free_units": "40"}, "79.999999999999999999", 0),
    ],
)
def test_a_price_at_the_exact_edges_of_its_tiers(
    model: str, terms: dict[str, Any], quantity: str, expected: int
) -> None:
    assert total(price("x", model, checked_terms(model, terms, ""), Decimal(quantity))) == expected


def test_a_pause_divides_no_free_units_and_older_invoices_that_did_are_found() -> None:
    terms = ChargeTerms(UUID(int=9), "calls", "Calls", "sum", "standard", {"unit_amount": "10", "free_units": "100"})
    april = Period(datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC))
    rests, goes_on = april.start + timedelta(days=10), april.start + timedelta(days=20)
    metered = plan(0, charges=(terms,))
    phases = (Phase(april.start, metered), Phase(rests, metered, paused=True), Phase(goes_on, metered))
    (window,) = Statement(phases, april, None, None).windows()
    assert (window.start, window.end) == (april.start, april.end)
    assert amounts(Statement(phases, april, None, None), usage={window.key: Decimal(130)}) == [300]
    # Billed 120 and 180 by parts before: 150 calls cost 500, so 200 more are owed.
    charge = str(terms.id)
    parts = {(charge, april.start, rests): Billed(120, 120), (charge, goes_on, april.end): Billed(180, 180)}
    late = Statement(phases, None, april, None)
    assert amounts(late, parts, {window.key: Decimal(150)}) == [200]


def test_another_plan_counts_by_itself() -> None:
    terms = ChargeTerms(UUID(int=9), "calls", "Calls", "sum", "standard", {"unit_amount": "10"})
    april = Period(datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC))
    phases = (
        Phase(april.start, plan(0, charges=(terms,))),
        Phase(april.start + timedelta(days=10), plan(0, 2, charges=(terms,))),
    )
    assert len(Statement(phases, april, None, None).windows()) == 2
