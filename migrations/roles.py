"""New permissions as migrations give them. Frozen once released: later changes are new functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from alembic import op

TABLES = ("roles", "role_permissions")


def permit_system_roles(permissions: Mapping[str, Sequence[str]]) -> None:
    """Give the system roles of the tenants that are there, by name, more permissions; later tenants begin with them.

    Row-level security binds the owner too, so it is lifted for this statement, under the lock that lifting takes.
    """
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    pairs = ", ".join(f"('{role}', '{permission}')" for role, names in permissions.items() for permission in names)
    op.execute(f"""
INSERT INTO role_permissions (tenant_id, role_id, permission)
SELECT r.tenant_id, r.id, g.permission FROM roles r JOIN (VALUES {pairs}) AS g (role, permission) ON g.role = r.name
 WHERE r.is_system ON CONFLICT DO NOTHING
""")
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
