"""Keys that are rotated: which job made a data key, what is retired; and waves of migrations over all tenants."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.rls import protect

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_OPERATOR = "(SELECT current_setting('nexus.operator', true)) = 'on'"
TABLES = ("master_keys", "fleet_waves", "fleet_failures")


def upgrade() -> None:
    op.add_column("tenant_keys", sa.Column("job_id", sa.Uuid(), nullable=True))
    op.add_column("tenant_keys", sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("uq_tenant_keys_job_id", "tenant_keys", ["tenant_id", "job_id"], unique=True)
    op.create_table(
        "master_keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_master_keys")),
    )
    op.create_table(
        "fleet_waves",
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="running", nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("canaries", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("databases", sa.Integer(), nullable=True),
        sa.Column("started_by", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("state IN ('running', 'paused', 'stopped', 'finished')", name=op.f("ck_fleet_waves_state")),
        sa.CheckConstraint("(state = 'finished') = (finished_at IS NOT NULL)", name=op.f("ck_fleet_waves_finished")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fleet_waves")),
    )
    op.create_index(
        "uq_fleet_waves_unfinished",
        "fleet_waves",
        [sa.literal_column("(true)")],
        unique=True,
        postgresql_where=sa.text("state <> 'finished'"),
    )
    op.create_table(
        "fleet_failures",
        sa.Column("wave_id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("database_name", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["wave_id"], ["fleet_waves.id"], name=op.f("fk_fleet_failures_wave_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("wave_id", "tenant_id", name=op.f("pk_fleet_failures")),
    )
    op.create_index("ix_tenants_schema_version", "tenants", ["schema_version", "database_name"])
    _protect()
    _grant()


def _protect() -> None:
    """Operators see; which data keys there are, they see as well, wrapped as they are, to know what a master key holds."""
    for table in TABLES:
        protect(
            table,
            f"CREATE POLICY of_operators ON {table} TO nexus_web USING ({_OPERATOR}) WITH CHECK ({_OPERATOR})",
            f"CREATE POLICY engine_rows ON {table} TO nexus_engine USING (true) WITH CHECK (true)",
        )
    op.execute(f"CREATE POLICY of_operators ON tenant_keys FOR SELECT TO nexus_web USING ({_OPERATOR})")


def _grant() -> None:
    op.execute("GRANT SELECT, INSERT, UPDATE ON master_keys, fleet_waves TO nexus_web, nexus_engine")
    op.execute("GRANT SELECT ON fleet_failures TO nexus_web")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON fleet_failures TO nexus_engine")
