"""Completions: open calls, budgets, the tenant's own prices, limits by the minute, and what the call log tells beside."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.rls import protect, tenant_rows

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_call_logs", sa.Column("principal", sa.Text(), nullable=True))
    op.add_column("api_call_logs", sa.Column("fallback_from", sa.Text(), nullable=True))
    op.add_column("api_call_logs", sa.Column("ttft_ms", sa.Integer(), nullable=True))
    # A job's attempt calls as often as it falls back, and a call is known by its id.
    op.drop_constraint("uq_api_call_logs_tenant_id_job_id_attempt", "api_call_logs", type_="unique")
    op.create_index("ix_api_call_logs_tenant_id_job_id", "api_call_logs", ["tenant_id", "job_id"])
    op.create_table(
        "llm_open_calls",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("token", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.SmallInteger(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("request_model", sa.Text(), nullable=False),
        sa.Column("key_source", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("fallback_from", sa.Text(), nullable=True),
        sa.Column("input_tokens", sa.Integer(), nullable=False),
        sa.Column("lost_micros", sa.BigInteger(), nullable=True),
        sa.Column("price_version", sa.Text(), nullable=True),
        sa.Column("reserved_micros", sa.BigInteger(), nullable=False),
        sa.Column("budget_ids", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_llm_open_calls")),
    )
    op.create_index("ix_llm_open_calls_tenant_id_expires_at", "llm_open_calls", ["tenant_id", "expires_at"])
    op.create_index("ix_llm_open_calls_tenant_id_job_id", "llm_open_calls", ["tenant_id", "job_id"])
    op.create_table(
        "llm_budgets",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key_source", sa.Text(), nullable=True),
        sa.Column("principal", sa.Text(), nullable=True),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("limit_micros", sa.BigInteger(), nullable=False),
        sa.Column("spent_micros", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("reserved_micros", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("period_start", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_llm_budgets")),
    )
    op.create_table(
        "llm_prices",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("input_micros", sa.BigInteger(), nullable=False),
        sa.Column("cached_input_micros", sa.BigInteger(), nullable=True),
        sa.Column("output_micros", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_llm_prices")),
        sa.UniqueConstraint("tenant_id", "provider", "model", name=op.f("uq_llm_prices_tenant_id_provider_model")),
    )
    op.create_table(
        "llm_minutes",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("minute", sa.DateTime(timezone=True), nullable=False),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "minute", name=op.f("pk_llm_minutes")),
    )
    for table in ("llm_open_calls", "llm_budgets", "llm_prices", "llm_minutes"):
        protect(table, tenant_rows(table))


def downgrade() -> None:
    for table in ("llm_minutes", "llm_prices", "llm_budgets", "llm_open_calls"):
        op.drop_table(table)
    op.drop_index("ix_api_call_logs_tenant_id_job_id", "api_call_logs")
    for column in ("ttft_ms", "fallback_from", "principal"):
        op.drop_column("api_call_logs", column)
