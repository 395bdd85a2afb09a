"""What stands in the way of a call before it is made, and how much it might use at most."""

from __future__ import annotations

from domain.errors import JobError, NotNow, Permanent

PERIODS = ("day", "month", "total")
"""Of a budget, by UTC; `total` never begins anew."""

RESERVED_SECONDS = 2.0
"""How long a call waits for others that have reserved what is left of a budget; mostly they use less than they reserved."""


def most_tokens(texts: list[str]) -> int:
    """More tokens than these texts can be: no tokenizer makes more than one of a byte, and a message adds a few."""
    return sum(len(text.encode("utf-8", "replace")) + 8 for text in texts)


def refusal(verdict: str, seconds_left: float) -> JobError | None:
    """The error for the ledger's verdict on a call; None if it may be made. `seconds_left` is to the next minute."""
    match verdict:
        case "open":
            return None
        case "rate_limited":
            return NotNow(
                "The tenant's limit of requests or tokens per minute is reached.",
                code="llm_rate_limited",
                retry_after=max(seconds_left, 0.1),
            )
        case "budget_reserved":
            return NotNow(
                "What is left of the budget is reserved by calls that have not ended.",
                code="budget_reserved",
                retry_after=RESERVED_SECONDS,
            )
        case "price_unknown":
            return Permanent(
                "A budget applies and the model has no known price: set one with PUT /llm/prices.", code="price_unknown"
            )
        case _:
            return Permanent("The budget for this period is spent.", code="budget_exhausted")
