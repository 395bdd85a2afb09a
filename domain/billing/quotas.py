"""A plan's quotas: the most that a period may use of a meter, as a warning or as a bound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

COUNTED = ("jobs", "messages", "completions", "embeddings", "searches")
"""What the platform counts against its own tenants' plans, where it is asked for."""


@dataclass(frozen=True, slots=True)
class Quota:
    """The most that a period may use. What is beyond a `hard` one is refused; beyond another one it is only told."""

    limit: int
    hard: bool = False


def read_quotas(quotas: Mapping[str, Any]) -> dict[str, Quota]:
    """A plan's quotas by meter: each a number, or `{"limit": …, "hard": …}`."""
    return {
        code: Quota(written["limit"], written.get("hard", False)) if isinstance(written, Mapping) else Quota(written)
        for code, written in quotas.items()
    }


def allowances(entitlements: Mapping[str, Any], quotas: Mapping[str, Any]) -> dict[str, Quota]:
    """What a plan of the platform lets its tenant use. A feature that is `false` allows none of what it names."""
    allowed = {code: quota for code, quota in read_quotas(quotas).items() if code in COUNTED}
    return {**allowed, **{code: Quota(0, hard=True) for code in COUNTED if entitlements.get(code) is False}}


def quotas_left(quotas: Mapping[str, Any], used: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """For each quota of a plan: what it is, what is used and whether that is more than it."""
    return {
        code: {
            "limit": quota.limit,
            "hard": quota.hard,
            "used": str(used.get(code, 0)),
            "exceeded": used.get(code, 0) > quota.limit,
        }
        for code, quota in read_quotas(quotas).items()
    }
