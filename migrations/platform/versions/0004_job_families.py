"""Jobs that wait for others, and finding what failed and what was replayed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.rls import protect, tenant_rows

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = ("job_waits", "job_dependencies")


def upgrade() -> None:
    op.create_table(
        "job_waits",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("run_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("remaining", sa.Integer(), nullable=False),
        sa.Column("unsuccessful", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint("policy IN ('all_succeeded', 'all_finished')", name=op.f("ck_job_waits_policy")),
        sa.CheckConstraint("remaining >= 0 AND unsuccessful >= 0", name=op.f("ck_job_waits_counts")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_job_waits")),
    )
    op.create_index(
        "ix_job_waits_decided", "job_waits", ["job_id"], postgresql_where=sa.text("remaining = 0 OR unsuccessful > 0")
    )
    op.create_table(
        "job_dependencies",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("depends_on", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "outcome IN ('succeeded', 'failed', 'cancelled', 'expired')", name=op.f("ck_job_dependencies_outcome")
        ),
        sa.PrimaryKeyConstraint("job_id", "depends_on", name=op.f("pk_job_dependencies")),
    )
    op.create_index(
        "ix_job_dependencies_open",
        "job_dependencies",
        ["depends_on", "job_id"],
        postgresql_where=sa.text("outcome IS NULL"),
    )
    # Of the finished part alone: it names the state, which must stand in no index that workers' updates pay for.
    op.execute(
        "CREATE INDEX ix_jobs_dead ON jobs_finished (tenant_id, state, id) WHERE state IN ('failed', 'cancelled')"
    )
    op.create_index("ix_jobs_replay_of", "jobs", ["replay_of"], postgresql_where=sa.text("replay_of IS NOT NULL"))
    for table in TABLES:
        protect(
            table,
            tenant_rows(table),
            f"CREATE POLICY engine_rows ON {table} TO nexus_engine USING (true) WITH CHECK (true)",
        )
    op.execute(f"GRANT SELECT, INSERT ON {', '.join(TABLES)} TO nexus_web")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(TABLES)} TO nexus_engine")
