"""Where a search looks: the platform's own sources by name, and what holds for those that tenants register."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from domain.search.fusion import DEFAULT_WEIGHT

OWN: Mapping[str, str | None] = {
    "documents": None,
    "messages": "notification:read",
    "invoices": "invoice:read",
    "users": "user:read",
}
"""The platform's own sources, and what a caller needs beside `search:create` because they show another resource's rows."""

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,49}")

MOST_REGISTERED = 16
"""HTTP sources of one tenant, so that all its sources fit into one search."""

MOST_SOURCES = 20
"""Sources of one search."""

WINDOW = 50
"""Hits that each source is asked for, or as many as a page holds if that is more. It is the same for every page."""


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms a source takes part in one search; kept with it, so that later changes do not shift its pages.

    `permission` is what a reader of its hits needs. A source that is not `enabled` is named in the answer and not asked.
    """

    weight: float = DEFAULT_WEIGHT
    permission: str | None = None
    enabled: bool = True

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"weight": self.weight, "permission": self.permission, "enabled": self.enabled}


def terms_of(registered: Mapping[str, Terms]) -> dict[str, Terms]:
    """The terms of all sources, the platform's own first."""
    return {**registered, **{name: Terms(permission=permission) for name, permission in OWN.items()}}


def chosen(asked: Collection[str] | None, terms: Mapping[str, Terms]) -> tuple[str, ...]:
    """The sources of a search, each once: those that were asked for, or all that are enabled, the platform's own first."""
    if asked is not None:
        return tuple(dict.fromkeys(asked))
    own = [name for name in OWN if name in terms]
    others = sorted(name for name, each in terms.items() if name not in OWN and each.enabled)
    return (*own, *others)[:MOST_SOURCES]
