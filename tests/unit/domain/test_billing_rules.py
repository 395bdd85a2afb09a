"""Prices, time and corrections: the parts are the whole, and a second look changes nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.billing.cycles import GRACE, Course, next_cycle
from domain.billing.documents import Document, DocumentLine, money, pdf
from domain.billing.dunning import SCHEDULE, after_failure
from domain.billing.invoices import balanced
from domain.billing.money import Line, total
from domain.billing.periods import Cadence, Period, boundary
from domain.billing.pricing import checked_terms, price
from domain.billing.statement import Billed, Key, Statement, StatementLine, compose
from domain.billing.timeline import ChargeTerms, Phase, PlanTerms, prorated, spans
from domain.billing.usage import Measured, earliest_billable, measure, number_at
from domain.errors import FieldError, InvalidPayload

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
WHOLE = Period(START, END)
MOMENTS = st.integers(0, 31 * 86400).map(lambda seconds: START + timedelta(seconds=seconds))
CHARGE = ChargeTerms(UUID(int=9), "calls", "Calls", "sum", "standard", {"unit_amount": "0.5"})


def plan(amount: int = 3100, *, number: int = 1, **fields: Any) -> PlanTerms:
    return PlanTerms(UUID(int=number), f"p{number}", f"Plan {number}", amount, "EUR", "month", 1, **fields)


def amounts(lines: list[StatementLine]) -> list[int]:
    return [line.amount for line in lines]


# --- prices

TIERS = {"tiers": [{"up_to": "10", "unit_amount": "5"}, {"up_to": "20", "unit_amount": "4", "flat_amount": "100"},
                   {"up_to": None, "unit_amount": "0.3"}]}  # fmt: skip


@pytest.mark.parametrize(
    ("model", "terms", "quantity", "expected"),
    [
        ("standard", {"unit_amount": "2.5"}, "3", 8),
        ("standard", {"unit_amount": "2", "free_units": "10"}, "4", 0),
        ("standard", {"unit_amount": "2", "free_units": "10"}, "10.5", 1),
        ("graduated", TIERS, "10", 50),
        ("graduated", TIERS, "15", 50 + 20 + 100),
        ("graduated", TIERS, "25", 50 + 40 + 100 + 2),
        ("volume", TIERS, "10", 50),
        ("volume", TIERS, "15", 160),
        ("volume", TIERS, "25", 8),
        ("package", {"package_amount": "300", "package_size": "10"}, "0.1", 300),
        ("package", {"package_amount": "300", "package_size": "10"}, "20", 600),
        ("package", {"package_amount": "300", "package_size": "10", "free_units": "5"}, "16", 600),
    ],
)
def test_a_quantity_has_its_price(model: str, terms: dict[str, Any], quantity: str, expected: int) -> None:
    assert total(price("Calls", model, checked_terms(model, terms, ""), Decimal(quantity))) == expected


@pytest.mark.parametrize("model", ["standard", "graduated", "volume", "package"])
def test_nothing_used_costs_nothing(model: str) -> None:
    assert price("Calls", model, {}, Decimal(0)) == []


@given(st.lists(st.decimals(0, 1000, places=3), min_size=1, max_size=6), st.decimals(0, 10**6, places=3))
def test_one_tier_without_end_is_the_standard_price(prices: list[Decimal], quantity: Decimal) -> None:
    unit = str(prices[0])
    tiers = checked_terms("graduated", {"tiers": [{"up_to": None, "unit_amount": unit}]}, "")
    standard = checked_terms("standard", {"unit_amount": unit}, "")
    assert total(price("x", "graduated", tiers, quantity)) == total(price("x", "standard", standard, quantity))


@given(st.decimals(0, 10**6, places=3))
def test_the_tiers_of_a_quantity_add_up_to_it(quantity: Decimal) -> None:
    lines = price("Calls", "graduated", checked_terms("graduated", TIERS, ""), quantity)
    assert sum(line.quantity for line in lines if "flat" not in line.description) == quantity


@pytest.mark.parametrize(
    ("model", "terms", "pointer"),
    [
        ("standard", {}, "/unit_amount"),
        ("standard", {"unit_amount": -1}, "/unit_amount"),
        ("standard", {"unit_amount": 0.5}, "/unit_amount"),
        ("standard", {"unit_amount": "1e3"}, "/unit_amount"),
        ("standard", {"unit_amount": "NaN"}, "/unit_amount"),
        ("standard", {"unit_amount": True}, "/unit_amount"),
        ("standard", {"unit_amount": "1", "tiers": []}, "/tiers"),
        ("package", {"package_amount": "1", "package_size": "0"}, "/package_size"),
        ("graduated", {"tiers": []}, "/tiers"),
        ("volume", {"tiers": [{"up_to": "5", "unit_amount": "1"}]}, "/tiers/0/up_to"),
        ("volume", {"tiers": [{"up_to": None, "unit_amount": "1"}, {"up_to": None, "unit_amount": "1"}]}, "/tiers/0/up_to"),
        ("graduated", {"tiers": [{"up_to": "5", "unit_amount": "1"}, {"up_to": "5", "unit_amount": "1"},
                                 {"up_to": None, "unit_amount": "1"}]}, "/tiers/1/up_to"),
        ("graduated", {"tiers": [7]}, "/tiers/0"),
    ],
)  # fmt: skip
def test_terms_that_make_no_price_are_refused(model: str, terms: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidPayload) as raised:
        checked_terms(model, terms, "")
    assert [error.pointer for error in raised.value.errors] == [pointer]


# --- time


@given(st.integers(0, 10**12), st.lists(MOMENTS, max_size=8))
def test_the_parts_of_a_period_add_up_to_its_price(amount: int, cuts: list[datetime]) -> None:
    edges = [START, *sorted(cuts), END]
    assert sum(prorated(amount, WHOLE, start, end) for start, end in pairwise(edges)) == amount


@given(st.integers(0, 10**9), MOMENTS, MOMENTS)
def test_a_longer_part_never_costs_less(amount: int, one: datetime, other: datetime) -> None:
    assert prorated(amount, WHOLE, START, min(one, other)) <= prorated(amount, WHOLE, START, max(one, other))


@given(st.lists(st.tuples(MOMENTS, st.booleans()), min_size=1, max_size=8))
def test_spans_cover_the_period_once(changes: list[tuple[datetime, bool]]) -> None:
    phases = tuple(Phase(at, plan(), paused) for at, paused in changes)
    found = spans(phases, START, END)
    assert (found[0].start, found[-1].end) == (START, END)
    assert all(one.end == other.start for one, other in pairwise(found))


def test_a_plan_changed_twice_in_a_second_costs_nothing_in_between() -> None:
    middle = START + timedelta(days=10)
    phases = (Phase(START, plan(3100)), Phase(middle, plan(10**9, number=2)), Phase(middle, plan(6200, number=3)))
    lines = compose(Statement(phases, WHOLE, None, None), {}, {})
    assert amounts(lines) == [1000, 6200 - 2000]


# --- corrections


def keyed(lines: list[StatementLine]) -> dict[Key, Billed]:
    """What the lines have billed."""
    found: dict[Key, Billed] = {}
    for line in lines:
        if line.key is not None:
            before = found.get(line.key, Billed())
            found[line.key] = Billed(before.amount + line.amount, before.debited + line.amount)
    return found


@given(st.decimals(0, 10**6, places=2), st.decimals(0, 10**6, places=2))
def test_late_usage_is_billed_once_and_then_nothing_is_left(first: Decimal, late: Decimal) -> None:
    phases = (Phase(START, plan(charges=(CHARGE,))),)
    (window,) = Statement(phases, WHOLE, None, None).windows()
    billed = compose(Statement(phases, WHOLE, None, None), {window.key: first}, {})
    correcting = Statement(phases, None, WHOLE, None)
    corrected = compose(correcting, {window.key: first + late}, keyed(billed))
    of_usage = sum(line.amount for line in [*billed, *corrected] if line.code == "calls")
    assert of_usage == total(price("x", "standard", CHARGE.terms, first + late))
    assert compose(correcting, {window.key: first + late}, keyed([*billed, *corrected])) == []


@given(st.integers(0, 10**9), st.integers(0, 10**9), MOMENTS)
def test_a_change_within_a_period_paid_in_advance_is_put_right_by_the_next_invoice(
    old: int, new: int, at: datetime
) -> None:
    before, after = plan(old, pay_in_advance=True), plan(new, number=2, pay_in_advance=True)
    following = Period(END, datetime(2026, 3, 1, tzinfo=UTC))
    debit = compose(Statement((Phase(START, before),), None, None, WHOLE), {}, {})
    assert amounts(debit) == [old]
    phases = (Phase(START, before), Phase(at, after))
    lines = compose(Statement(phases, WHOLE, None, following), {}, keyed(debit))
    owed = prorated(old, WHOLE, START, at) + prorated(new, WHOLE, at, END)
    assert old + sum(line.amount for line in lines if line.kind == "adjustment") == (owed if at > START else new)


def test_a_credit_is_never_more_than_what_was_debited() -> None:
    paid = plan(3100, pay_in_advance=True)
    key = ("fee", START, END)
    ended = Statement((Phase(START, paid),), WHOLE, None, None, until=START + timedelta(days=10))
    assert amounts(compose(ended, {}, {key: Billed(3100, 3100)})) == [-2100]
    assert amounts(compose(ended, {}, {key: Billed(3100, 0)})) == [], "its invoice was voided: nothing was debited"


@given(st.lists(st.integers(-(10**6), 10**6), max_size=6), st.integers(0, 10**6))
def test_an_invoice_is_never_over_less_than_nothing_and_no_cent_is_lost(values: list[int], balance: int) -> None:
    lines = [StatementLine(Line("x", Decimal(1), Decimal(value)), "fee") for value in values]
    shown, left = balanced(lines, balance)
    assert sum(amounts(shown)) >= 0
    assert left >= 0
    assert sum(amounts(shown)) - left == sum(values) - balance


# --- cycles


def course(**fields: Any) -> Course:
    values: dict[str, Any] = {
        "anchor_at": START,
        "zone": ZoneInfo("UTC"),
        "phases": (Phase(START, plan()),),
        "periods_billed": 0,
    }
    return Course(**{**values, **fields})


def test_in_arrears_a_period_is_billed_when_it_has_ended() -> None:
    cycle = next_cycle(course())
    assert (cycle.due_at, cycle.label, cycle.last) == (END, WHOLE, False)


def test_usage_is_waited_for() -> None:
    metered = (Phase(START, plan(charges=(CHARGE,))),)
    assert next_cycle(course(phases=metered)).due_at == END + GRACE


def test_in_advance_a_period_is_billed_when_it_begins() -> None:
    cycle = next_cycle(course(phases=(Phase(START, plan(pay_in_advance=True)),)))
    assert (cycle.due_at, cycle.label, cycle.statement.fee_in_advance) == (START, WHOLE, WHOLE)


@pytest.mark.parametrize("in_advance", [False, True])
def test_every_period_is_billed_once_until_it_ends(in_advance: bool) -> None:
    ends = datetime(2026, 6, 10, tzinfo=UTC)
    found = course(phases=(Phase(START, plan(pay_in_advance=in_advance)),), cancel_at=ends)
    labels, billed = [], 0
    while True:
        cycle = next_cycle(replace(found, periods_billed=billed))
        labels.append(cycle.label)
        billed += 1
        if cycle.last:
            break
    starts = [label.start for label in labels if label is not None]
    assert len(starts) == len(set(starts)) == (7 if in_advance else 6)
    assert starts[:6] == [datetime(2026, month, 1, tzinfo=UTC) for month in range(1, 7)]


@given(st.integers(0, 3650 * 86400), st.sampled_from(["day", "week", "month", "year"]),
       st.integers(1, 5), st.integers(0, 4000))  # fmt: skip
def test_the_period_of_a_moment_holds_it(anchor: int, interval: str, count: int, days: int) -> None:
    cadence = Cadence(START + timedelta(seconds=anchor), interval, count, ZoneInfo("Pacific/Auckland"))
    moment = cadence.anchor_at + timedelta(days=days)
    number = number_at(cadence, moment)
    assert boundary(cadence, number) <= moment < boundary(cadence, number + 1)


# --- usage, dunning, paper


def test_usage_of_the_period_before_can_be_billed_and_none_older() -> None:
    cadence = Cadence(START, "month", 1, ZoneInfo("UTC"))
    assert earliest_billable(cadence, datetime(2026, 2, 15, tzinfo=UTC)) is None
    assert earliest_billable(cadence, datetime(2026, 4, 15, tzinfo=UTC)) == datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize("value", [-1, "-0.1", "NaN", "Infinity", 1.5, True, None, [], "x", 10**16])
def test_a_quantity_that_is_none_is_refused(value: Any) -> None:
    assert isinstance(measure("sum", "n", {"n": value}, "/events/0"), FieldError)


@pytest.mark.parametrize("value", [0, 7, "0.125", "12"])
def test_quantities_may_be_fractions(value: Any) -> None:
    assert measure("sum", "n", {"n": value}, "") == Measured(value=Decimal(value))


def test_failures_are_tried_again_by_schedule_and_then_given_up() -> None:
    waits = [after_failure(number, START).collect_at for number in range(1, len(SCHEDULE) + 2)]
    assert waits == [*(START + wait for wait in SCHEDULE), None]


def test_money_is_written_with_its_currencys_places() -> None:
    assert [money(1999, "EUR"), money(1999, "JPY"), money(-5, "EUR")] == ["19.99 EUR", "1999 JPY", "-0.05 EUR"]
    assert money(Decimal("0.25"), "EUR") == "0.0025 EUR"
    assert [money(5000, "XOF"), money(5000, "isk"), money(5124, "KWD"), money(5, "CLF")] == [
        "5000 XOF", "5000 isk", "5.124 KWD", "0.0005 CLF",
    ]  # fmt: skip


def test_any_name_can_be_printed() -> None:
    lines = [DocumentLine("Größe – 東京", Decimal("1.50"), Decimal("0.5"), 1)]
    printed = pdf(Document(7, "open", "東京 GmbH", "a@example.com", START, (START, END), "EUR", lines, 1, 0))
    assert printed.startswith(b"%PDF-")
