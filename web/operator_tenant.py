"""Which tenant sells the platform."""

from __future__ import annotations

from uuid import UUID

from flask import current_app
from sqlalchemy import select

from domain.errors import NotConfigured
from models.platform import Tenant
from tenancy.access import Tenancy
from tenancy.scopes import operator_scope


def operator_tenant_id(door: Tenancy) -> UUID:
    """The operator's tenant. Found once per process: it never becomes another. Raises `NotConfigured`."""
    known: UUID | None = current_app.extensions.get("nexus.operator_tenant_id")
    if known is not None:
        return known
    with door.platform.session(operator_scope()) as session:
        found = session.scalar(select(Tenant.id).where(Tenant.is_operator))
    if found is None:
        raise NotConfigured("The platform has no operator tenant yet.")
    current_app.extensions["nexus.operator_tenant_id"] = found
    return found
