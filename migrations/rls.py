"""Row-level security as migrations write it. Frozen once released: later changes are new functions.

The settings are read through a sub-select, so that PostgreSQL evaluates them once per statement, and through `nullif`,
because a setting that was once set locally reads as the empty string afterwards, not as null.
"""

from __future__ import annotations

from alembic import op


def setting(name: str) -> str:
    """SQL for the id in a transaction-local setting, null when there is none."""
    return f"(SELECT nullif(current_setting('nexus.{name}', true), '')::uuid)"


def protect(table: str, *policies: str) -> None:
    """Enable and force row-level security, so that not even the owner sees rows without a policy, and add `policies`."""
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    for policy in policies:
        op.execute(policy)


def tenant_rows(table: str, column: str = "tenant_id", role: str = "PUBLIC") -> str:
    """The policy: rows of the transaction's tenant, to read and to write."""
    condition = f"{column} = {setting('tenant_id')}"
    return f"CREATE POLICY tenant_rows ON {table} TO {role} USING ({condition}) WITH CHECK ({condition})"
