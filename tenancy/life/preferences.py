"""A tenant's settings, as its row holds them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import LiteralString
from uuid import UUID

from sqlalchemy.orm import Session

from domain.errors import NotFound
from domain.tenants.preferences import Preferences, preferences_of
from models.platform import Tenant
from tenancy.access import Tenancy
from tenancy.database import Database, tenant_scope

_GET: LiteralString = "SELECT preferences, preferences_version FROM tenants WHERE id = %(id)s"


def get(platform: Database, tenant_id: UUID) -> tuple[Preferences, int]:
    """The settings and their version. Raises `NotFound`."""
    rows = platform.fetch(_GET, {"id": tenant_id}, tenant_scope(tenant_id))
    if not rows:
        raise NotFound(f"There is no tenant {tenant_id}.")
    return preferences_of(rows[0]["preferences"]), rows[0]["preferences_version"]


@contextmanager
def change(tenancy: Tenancy, tenant_id: UUID) -> Iterator[tuple[Session, Tenant]]:
    """The tenant's row, locked, to change its settings, and its transaction. Raises `NotFound`."""
    with tenancy.platform.session(tenant_scope(tenant_id)) as session:
        tenant = session.get(Tenant, tenant_id, with_for_update=True)
        if tenant is None:
            raise NotFound(f"There is no tenant {tenant_id}.")
        yield session, tenant
        tenant.version += (
            1  # jobs that begin after the change hold to it, whatever their workers remember of the tenant
        )
    tenancy.directory.forget(tenant_id)
