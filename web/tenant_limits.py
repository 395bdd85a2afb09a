"""How many requests a tenant's callers may make together, so that one with many keys takes no more than its share.

Counted once the caller is known: a stranger who names a tenant uses up nothing of it. Over it, an answer tells of the
tenant's limit in the header fields where it otherwise tells of the caller's.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from uuid import UUID

from flask import current_app, g
from flask_limiter import Limiter
from limits import RateLimitItem
from limits.errors import StorageError

from domain.errors import TooManyRequests

EXTENSION = "nexus.tenant_limit"


@dataclass(frozen=True, slots=True)
class TenantLimit:
    """The limit of each tenant, counted where `limiter` counts: in Redis, or in this process while that is away."""

    limiter: Limiter
    limit: RateLimitItem

    def count(self, tenant_id: UUID) -> None:
        """Count a request. Raises `TooManyRequests`; one that cannot be counted passes."""
        key = ("nexus tenant", str(tenant_id))
        strategy = self.limiter.limiter
        try:
            if strategy.hit(self.limit, *key):
                return
            seconds = math.ceil(strategy.get_window_stats(self.limit, *key).reset_time - time.time())
        except StorageError:
            return
        wait = max(1, min(self.limit.get_expiry(), seconds))
        g.tenant_wait = wait
        raise TooManyRequests(f"The tenant's callers together send too much; try again in {wait} s.", retry_after=wait)

    def headers(self) -> dict[str, str] | None:
        """The header fields of an answer that was refused for the tenant; None for any other."""
        wait: int | None = g.get("tenant_wait")
        if wait is None:
            return None
        return {
            "RateLimit-Policy": f'"tenant";q={self.limit.amount};w={self.limit.get_expiry()}',
            "RateLimit": f'"tenant";r=0;t={wait}',
        }


def count(tenant_id: UUID | None) -> None:
    """Count this request for the tenant that its caller is a member of, if one is selected. Raises `TooManyRequests`."""
    limit: TenantLimit | None = current_app.extensions.get(EXTENSION)
    if limit is not None and tenant_id is not None:
        limit.count(tenant_id)
