"""Jobs that operators start: they belong to the operator's own tenant and run in the platform's name."""

from __future__ import annotations

from typing import LiteralString
from uuid import UUID

from domain.errors import ServiceUnavailable
from tenancy.database import Database
from tenancy.scopes import operator_scope

_OPERATOR: LiteralString = "SELECT id FROM tenants WHERE is_operator AND state = 'active'"


def operator_tenant(platform: Database) -> UUID:
    """The operator's tenant. Raises `ServiceUnavailable` while the platform is still being prepared."""
    rows = platform.fetch(_OPERATOR, {}, operator_scope())
    if not rows:
        raise ServiceUnavailable("The operator's tenant is not active yet; prepare the platform first.")
    tenant_id: UUID = rows[0]["id"]
    return tenant_id
