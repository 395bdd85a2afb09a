"""What a completion cost, from the price table that genai-prices carries; nothing is fetched."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_CEILING, Decimal

from providers.llm.base import Usage

_PRICED = frozenset({"openai", "anthropic"})
_MICROS = Decimal(1_000_000)


def cost_micros(provider: str, model: str, usage: Usage, at: datetime | None = None) -> tuple[int | None, str]:
    """Cost in millionths of a US dollar, rounded up, and the version of the prices, for a call made `at` (now).

    The cost is None where no price is known: another model, or a server of the tenant's own. The sandbox is free.
    """
    import genai_prices

    if provider == "sandbox":
        return 0, "sandbox"
    version = f"genai-prices {genai_prices.__version__}"
    if provider not in _PRICED:  # the table would match `openai_compatible` as `openai`
        return None, version
    counted = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.cached_input_tokens,
        output_tokens=usage.output_tokens,
    )
    try:
        price = genai_prices.calc_price(counted, model, provider_id=provider, genai_request_timestamp=at)
    except LookupError:
        return None, version
    return int((price.total_price * _MICROS).to_integral_value(ROUND_CEILING)), version
