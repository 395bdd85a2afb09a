"""What processes count and say of themselves, how far budgets are used, and the request and trace that an event belongs to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.rls import protect, tenant_rows

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_OPERATOR = "(SELECT current_setting('nexus.operator', true)) = 'on'"
_UPDATED_OFTEN = "fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000"


def upgrade() -> None:
    op.create_table(
        "readings",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("labels", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.Float(), nullable=False),
        sa.Column("buckets", postgresql.ARRAY(sa.BigInteger()), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", "labels", name=op.f("pk_readings")),
    )
    op.create_table(
        "processes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("gauges", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_processes")),
    )
    op.create_table(
        "llm_budget_standings",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("budgets", sa.Integer(), nullable=False),
        sa.Column("exhausted", sa.Integer(), nullable=False),
        sa.Column("used_share", sa.Float(), nullable=False),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_llm_budget_standings")),
    )
    for name in ("request_id", "traceparent"):
        op.add_column("events", sa.Column(name, sa.Text(), nullable=True))
    for table in ("readings", "processes", "llm_budget_standings"):
        op.execute(f"ALTER TABLE {table} SET ({_UPDATED_OFTEN})")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO nexus_engine")
        op.execute(f"GRANT SELECT ON {table} TO nexus_web")
    protect(
        "llm_budget_standings",
        tenant_rows("llm_budget_standings"),
        "CREATE POLICY engine_rows ON llm_budget_standings TO nexus_engine USING (true) WITH CHECK (true)",
        f"CREATE POLICY of_operators ON llm_budget_standings FOR SELECT TO nexus_web USING ({_OPERATOR})",
    )
    op.execute(f"CREATE POLICY of_operators ON tenant_runtimes FOR SELECT TO nexus_web USING ({_OPERATOR})")


def downgrade() -> None:
    op.execute("DROP POLICY of_operators ON tenant_runtimes")
    for name in ("traceparent", "request_id"):
        op.drop_column("events", name)
    for table in ("llm_budget_standings", "processes", "readings"):
        op.drop_table(table)
