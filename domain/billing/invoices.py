"""What an invoice can become, and who pays what of it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from domain.billing.money import Line
from domain.billing.statement import StatementLine
from domain.errors import IllegalTransition

ACTIONS: dict[str, tuple[str, ...]] = {
    "draft": ("finalise", "delete"),
    "open": ("pay", "void", "mark_uncollectible", "credit"),
    "paid": ("credit",),
    "uncollectible": ("pay", "void"),
    "void": (),
}
"""By state, what may be done. A final invoice's lines never change: it is settled, given up or credited."""


def check_action(action: str, state: str) -> None:
    """Raise `IllegalTransition` unless an invoice in that state allows it."""
    if action not in ACTIONS[state]:
        can = ", ".join(each.replace("_", " ") for each in ACTIONS[state]) or "nothing"
        raise IllegalTransition(f"The invoice is {state}; it cannot {action.replace('_', ' ')}. What it allows: {can}.")


def outstanding(total: int, credited: int) -> int:
    """What is still to be paid of an open invoice, in minor units."""
    return max(0, total - credited)


def balanced(lines: Sequence[StatementLine], balance: int) -> tuple[list[StatementLine], int]:
    """The lines with what the customer's `balance` changes, and the balance that is left.

    An invoice is never over less than nothing: what is too much is carried over and pays the next.
    """
    total = sum(line.amount for line in lines)
    if total < 0:
        carried = StatementLine(Line("Credit carried over", Decimal(1), Decimal(-total)), "balance")
        return [*lines, carried], balance - total
    used = min(balance, total)
    if used == 0:
        return list(lines), balance
    applied = StatementLine(Line("Credit from before", Decimal(1), Decimal(-used)), "balance")
    return [*lines, applied], balance - used
