"""Models that are known by their prices: what a tenant can ask for without looking it up. Nothing is fetched."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache, lru_cache

PRICED = ("openai", "anthropic")


@dataclass(frozen=True, slots=True)
class Model:
    """Prices are in millionths of a US dollar for a million tokens; None where there is none or it is in tiers."""

    provider: str
    id: str
    name: str
    context_window: int | None
    input_micros: int | None
    cached_input_micros: int | None
    output_micros: int | None
    price_version: str


@cache
def known_models(provider: str) -> tuple[Model, ...]:
    """The models of `openai` or `anthropic` that are not withdrawn."""
    import genai_prices  # noqa: PLC0415 - 0.2 s that only those wait for who ask for models
    from genai_prices import data  # noqa: PLC0415

    version = f"genai-prices {genai_prices.__version__}"
    now = datetime.now(UTC)
    found = []
    for offered in data.providers:
        if offered.id != provider:
            continue
        for model in offered.models:
            prices = model.get_prices(now)
            found.append(
                Model(
                    provider, model.id, model.name or model.id, model.context_window, _micros(prices.input_mtok),
                    _micros(prices.cache_read_mtok), _micros(prices.output_mtok), version,
                )
            )  # fmt: skip
    return tuple(sorted(found, key=lambda model: model.id))


@lru_cache(maxsize=1024)
def context_window(provider: str, model: str) -> int | None:
    """How many tokens the model reads at most, if that is known. A dated model has the window of its family."""
    known = {each.id: each.context_window for each in known_models(provider)} if provider in PRICED else {}
    if model in known:
        return known[model]
    families = [id for id in known if re.fullmatch(rf"{re.escape(id)}-(\d{{8}}|\d{{4}}-\d\d-\d\d)", model)]
    return known[families[0]] if families else None


def models_of(providers: Collection[str]) -> list[Model]:
    """Those of several providers."""
    return [model for provider in PRICED if provider in providers for model in known_models(provider)]


def _micros(price: object) -> int | None:
    if not isinstance(price, (Decimal, int)):
        return None
    return int((Decimal(price) * 1_000_000).to_integral_value(ROUND_HALF_EVEN))
