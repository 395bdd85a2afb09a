"""Federated search: HTTP sources of tenants, on which terms a search ran, notes of sources, how a question is logged."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.rls import protect, tenant_rows

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("searches", sa.Column("mode", sa.Text(), server_default="keyword", nullable=False))
    op.add_column("searches", sa.Column("log", sa.Text(), server_default="full", nullable=False))
    op.add_column(
        "searches",
        sa.Column(
            "terms", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
    )
    op.create_check_constraint(op.f("ck_searches_log"), "searches", "log IN ('off', 'redacted', 'full')")
    op.add_column(
        "search_results",
        sa.Column("notes", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False),
    )
    op.create_table(
        "search_sources",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("weight", sa.Float(), server_default=sa.text("1"), nullable=False),
        sa.Column("timeout_ms", sa.Integer(), server_default=sa.text("3000"), nullable=False),
        sa.Column("concurrency", sa.Integer(), server_default=sa.text("8"), nullable=False),
        sa.Column("permission", sa.Text(), nullable=True),
        sa.Column("header_name", sa.Text(), server_default="authorization", nullable=False),
        sa.Column("secret_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("secret_last_four", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("weight > 0 AND weight <= 100", name=op.f("ck_search_sources_weight")),
        sa.CheckConstraint("timeout_ms BETWEEN 50 AND 30000", name=op.f("ck_search_sources_timeout_ms")),
        sa.CheckConstraint("concurrency BETWEEN 1 AND 64", name=op.f("ck_search_sources_concurrency")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_search_sources")),
        sa.UniqueConstraint("tenant_id", "name", name=op.f("uq_search_sources_tenant_id_name")),
    )
    protect("search_sources", tenant_rows("search_sources"))


def downgrade() -> None:
    op.drop_table("search_sources")
    op.drop_column("search_results", "notes")
    op.drop_constraint(op.f("ck_searches_log"), "searches", type_="check")
    for column in ("terms", "log", "mode"):
        op.drop_column("searches", column)
