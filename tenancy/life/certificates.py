"""Certificates of erasure, for operators."""

from __future__ import annotations

from typing import LiteralString
from uuid import UUID

from domain.errors import NotFound
from tenancy.database import Database, Row
from tenancy.identity.keyset import keyset
from tenancy.life.manifest import encoded
from tenancy.scopes import operator_scope

_ALL: LiteralString = (
    "SELECT id, tenant_id, statement, signature, public_key, created_at FROM erasure_certificates WHERE true"
)


def page(platform: Database, *, after: UUID | None, limit: int, newest_first: bool) -> list[Row]:
    """Up to `limit` certificates beyond the id `after`."""
    rows = platform.fetch(
        keyset(_ALL, "id", newest_first=newest_first), {"after": after, "limit": limit}, operator_scope()
    )
    return [_shown(row) for row in rows]


def get(platform: Database, certificate_id: UUID) -> Row:
    """One certificate. Raises `NotFound`."""
    rows = platform.fetch(f"{_ALL} AND id = %(id)s", {"id": certificate_id}, operator_scope())
    if not rows:
        raise NotFound(f"There is no certificate {certificate_id}.")
    return _shown(rows[0])


def _shown(row: Row) -> Row:
    return {**row, "signature": encoded(bytes(row["signature"])), "public_key": encoded(bytes(row["public_key"]))}
