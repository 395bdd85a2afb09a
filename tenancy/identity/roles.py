"""Roles of a tenant with what they permit."""

from __future__ import annotations

from typing import LiteralString
from uuid import UUID

from domain.errors import NotFound
from tenancy.database import Database, Row, tenant_scope
from tenancy.identity.keyset import keyset

_ROLE: LiteralString = """
SELECT r.id, r.name, r.is_system, r.created_at,
       ARRAY(SELECT p.permission FROM role_permissions p
              WHERE p.tenant_id = r.tenant_id AND p.role_id = r.id ORDER BY p.permission) AS permissions
  FROM roles r WHERE r.tenant_id = %(tenant_id)s
"""
_ONE: LiteralString = f"{_ROLE} AND r.id = %(role_id)s"


def page(
    platform: Database, tenant_id: UUID, *, after: UUID | None, limit: int, newest_first: bool = True
) -> list[Row]:
    """Up to `limit` of the tenant's roles, beyond the id `after`."""
    parameters = {"tenant_id": tenant_id, "after": after, "limit": limit}
    return platform.fetch(keyset(_ROLE, "r.id", newest_first=newest_first), parameters, tenant_scope(tenant_id))


def get(platform: Database, tenant_id: UUID, role_id: UUID) -> Row:
    """One role. Raises `NotFound`."""
    rows = platform.fetch(_ONE, {"tenant_id": tenant_id, "role_id": role_id}, tenant_scope(tenant_id))
    if not rows:
        raise NotFound(f"There is no role {role_id}.")
    return rows[0]
