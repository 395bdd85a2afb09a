"""Alembic environment of the platform history: runs on the connection that `tenancy.migrations` hands over."""

from __future__ import annotations

from alembic import context

from models.platform import PlatformBase

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=PlatformBase.metadata,
    compare_server_default=False,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
