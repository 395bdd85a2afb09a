"""Batches of broadcasts: who is being written to at this moment, and the batch that is being handed over."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.rls import protect, tenant_rows

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("broadcasts", sa.Column("handing", sa.Uuid(), nullable=True))
    op.create_table(
        "broadcast_batches",
        sa.Column("broadcast_id", sa.Uuid(), nullable=False),
        sa.Column("token", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=True),
        sa.Column("recipients", postgresql.ARRAY(sa.Uuid()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("messages", postgresql.ARRAY(sa.Uuid()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("marked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "broadcast_id"],
            ["broadcasts.tenant_id", "broadcasts.id"],
            name=op.f("fk_broadcast_batches_tenant_id_broadcast_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_broadcast_batches")),
    )
    protect("broadcast_batches", tenant_rows("broadcast_batches"))


def downgrade() -> None:
    op.drop_table("broadcast_batches")
    op.drop_column("broadcasts", "handing")
