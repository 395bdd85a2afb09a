"""The tenants' own prices, read at most every few seconds."""

from __future__ import annotations

import threading
import time
from typing import LiteralString
from uuid import UUID

from domain.completions.prices import OwnPrice
from jobs.context import JobContext

FRESH_SECONDS = 5.0
_TENANTS_KEPT = 1024

_READ: LiteralString = """
SELECT provider, model, input_micros, cached_input_micros, output_micros, version FROM llm_prices WHERE tenant_id = %(tenant_id)s
"""

_Prices = dict[tuple[str, str], OwnPrice]
_lock = threading.Lock()
_known: dict[UUID, tuple[float, _Prices]] = {}


def own_price(context: JobContext, provider: str, model: str) -> OwnPrice | None:
    """What the tenant says that it pays for the model, if it says."""
    tenant_id = context.tenant_id
    now = time.monotonic()
    known = _known.get(tenant_id)
    if known is None or now - known[0] > FRESH_SECONDS:
        known = (now, _read(context))
        with _lock:
            if len(_known) >= _TENANTS_KEPT:
                _known.clear()
            _known[tenant_id] = known
    return known[1].get((provider, model))


def _read(context: JobContext) -> _Prices:
    rows = context.tenancy.fetch_many(context.tenant_id, [(_READ, {"tenant_id": context.tenant_id})])[0]
    return {
        (row["provider"], row["model"]): OwnPrice(
            row["input_micros"], row["output_micros"], row["cached_input_micros"], row["version"]
        )
        for row in rows
    }
