"""Rows of the audit as entries."""

from __future__ import annotations

from typing import LiteralString

from domain.audit.entries import Entry
from tenancy.database import Row

COLUMNS: LiteralString = """e.tenant_id, e.id, e.occurred_at, e.actor, e.user_id, e.action, e.resource, e.before, e.after,
 e.request_id, e.address"""
"""Of `audit_entries e`."""

_NAMES = (
    "tenant_id", "id", "occurred_at", "actor", "user_id", "action", "resource", "before", "after", "request_id", "address",
)  # fmt: skip


def entry_of(row: Row) -> Entry:
    """The entry of a row that holds `COLUMNS`."""
    return Entry(**{name: row[name] for name in _NAMES})
