"""Metered usage on its way into the operator's books: what is told of it, and what has not been passed on yet."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "metered_usage",
        sa.Column("properties", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
    )
    op.add_column("metered_usage", sa.Column("relayed_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_metered_usage_unrelayed",
        "metered_usage",
        ["tenant_id", "id"],
        postgresql_where=sa.text("relayed_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_metered_usage_unrelayed", table_name="metered_usage")
    op.drop_column("metered_usage", "relayed_at")
    op.drop_column("metered_usage", "properties")
