"""Tenants in tests: the operator's, made whole, and what one holds, read whole to be compared before and after."""

from __future__ import annotations

from uuid import UUID

from tenancy.access import Tenancy
from tenancy.database import tenant_scope
from tenancy.life.contents import PLATFORM, tenant_tables
from tenancy.life.rows import describe, read
from tenancy.life.tier import raw
from tenancy.provisioning import Provisioner

Rows = dict[str, list[str]]


def operators_tenant(tenancy: Tenancy) -> UUID:
    """The operator's tenant with a database, as after the first start. Never active without one: processes remember that."""
    tenant_id: UUID = tenancy.platform.fetch("SELECT id FROM tenants WHERE is_operator", {})[0]["id"]
    tenancy.directory.forget(tenant_id)
    if tenancy.record(tenant_id).dsn is None:
        saga = Provisioner(tenancy.settings, tenancy, tenant_id)
        for _, step in saga.steps():
            step()
        saga.close()
    return tenant_id


def rows_of(tenancy: Tenancy, tenant_id: UUID) -> Rows:
    """Every row that archives hold, as its line, in both databases."""
    found: Rows = {}
    with tenancy.platform.session(tenant_scope(tenant_id)) as session:
        connection = raw(session)
        for each in PLATFORM:
            table = describe(connection, each.name, each.where)
            found[each.name] = [row.line for row in read(connection, table, tenant_id)]
    with tenancy.session(tenant_id) as session:
        connection = raw(session)
        for table in tenant_tables(connection):
            found[table.name] = [row.line for row in read(connection, table, tenant_id)]
    return found


def objects_of(tenancy: Tenancy, tenant_id: UUID) -> dict[str, bytes]:
    """The tenant's own objects."""
    bucket = tenancy.bucket(tenant_id)
    return {info.key: bucket.get(info.key) for info in bucket.list() if not info.key.startswith(".")}
