"""What a tenant holds, read whole: for tests that compare it before and after."""

from __future__ import annotations

from uuid import UUID

from tenancy.access import Tenancy
from tenancy.database import tenant_scope
from tenancy.life.contents import PLATFORM, tenant_tables
from tenancy.life.rows import describe, read
from tenancy.life.tier import raw

Rows = dict[str, list[str]]


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
