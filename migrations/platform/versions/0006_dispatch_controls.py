"""Pauses and limits that operators set, and what the leader and the workers tell of queues, kinds and themselves."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.rls import protect, setting

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_OPERATOR = "(SELECT current_setting('nexus.operator', true)) = 'on'"


def upgrade() -> None:
    op.create_table(
        "dispatch_pauses",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("drain", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("paused_by", sa.Text(), nullable=False),
        sa.Column("obeyed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("in_flight", sa.Integer(), nullable=True),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("scope IN ('queue', 'kind', 'tenant')", name=op.f("ck_dispatch_pauses_scope")),
        sa.PrimaryKeyConstraint("scope", "name", name=op.f("pk_dispatch_pauses")),
    )
    op.create_table(
        "tenant_limits",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("weight", sa.Double(), server_default="1", nullable=False),
        sa.Column("max_running", sa.Integer(), nullable=True),
        sa.Column("rate_per_second", sa.Double(), nullable=True),
        sa.Column("burst", sa.Integer(), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.CheckConstraint("weight > 0", name=op.f("ck_tenant_limits_weight")),
        sa.CheckConstraint("max_running > 0", name=op.f("ck_tenant_limits_max_running")),
        sa.CheckConstraint("rate_per_second > 0", name=op.f("ck_tenant_limits_rate_per_second")),
        sa.CheckConstraint("burst > 0", name=op.f("ck_tenant_limits_burst")),
        sa.CheckConstraint(
            "(burst IS NULL) = (rate_per_second IS NULL)", name=op.f("ck_tenant_limits_burst_with_rate")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_tenant_limits_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_tenant_limits")),
    )
    op.add_column("workers", sa.Column("running", sa.Integer(), server_default="0", nullable=False))
    op.create_table(
        "worker_jobs",
        sa.Column("worker_id", sa.Uuid(), nullable=False),
        sa.Column("jobs", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["worker_id"], ["workers.id"], name=op.f("fk_worker_jobs_worker_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("worker_id", name=op.f("pk_worker_jobs")),
    )
    op.add_column("kind_runtimes", sa.Column("failures", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("kind_runtimes", sa.Column("rate_per_minute", sa.Float(), server_default="0", nullable=False))
    op.add_column("kind_runtimes", sa.Column("measured_runs", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("kind_runtimes", sa.Column("measured_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("queue_backlogs", sa.Column("unclaimed_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("queue_backlogs", sa.Column("unclaimed_seen_at", sa.DateTime(timezone=True), nullable=True))
    _protect()
    _grant()


def _protect() -> None:
    for table in ("dispatch_pauses", "tenant_limits", "worker_jobs"):
        protect(
            table,
            f"CREATE POLICY of_operators ON {table} TO nexus_web USING ({_OPERATOR}) WITH CHECK ({_OPERATOR})",
            f"CREATE POLICY engine_rows ON {table} TO nexus_engine USING (true) WITH CHECK (true)",
        )
    op.execute(
        f"CREATE POLICY own_limits ON tenant_limits FOR SELECT TO nexus_web USING (tenant_id = {setting('tenant_id')})"
    )


def _grant() -> None:
    """The engine obeys and counts; only the API, for an operator, decides."""
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON dispatch_pauses, tenant_limits TO nexus_web")
    op.execute("GRANT SELECT ON dispatch_pauses, tenant_limits TO nexus_engine")
    op.execute("GRANT SELECT ON worker_jobs TO nexus_web")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON worker_jobs TO nexus_engine")
    op.execute("GRANT UPDATE (obeyed_at, in_flight, measured_at) ON dispatch_pauses TO nexus_engine")
