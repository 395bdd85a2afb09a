"""Alembic environment of the tenant history: runs on the connection that `tenancy.migrations` hands over."""

from __future__ import annotations

from alembic import context

from models.tenant import TenantBase

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=TenantBase.metadata,
    compare_server_default=False,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
