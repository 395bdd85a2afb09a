"""Schedules, and the permissions to keep them for the system roles of tenants that are there already."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.rls import protect, tenant_rows
from migrations.roles import permit_system_roles

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_EDITING = ("schedule:create", "schedule:delete", "schedule:read", "schedule:run", "schedule:update")
_GRANTED = {"owner": _EDITING, "admin": _EDITING, "editor": _EDITING, "viewer": ("schedule:read",)}


def upgrade() -> None:
    op.create_table(
        "schedules",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payload_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("cron", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("missed", sa.Text(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=True),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.Column("last_fired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_job_id", sa.Uuid(), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "(next_at IS NULL) = (disabled_reason IS NOT NULL)", name=op.f("ck_schedules_resting_for_a_reason")
        ),
        sa.CheckConstraint("missed IN ('skip', 'last', 'all')", name=op.f("ck_schedules_missed")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_schedules_tenant_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedules")),
        sa.UniqueConstraint("tenant_id", "name", name=op.f("uq_schedules_tenant_id_name")),
    )
    op.create_index("ix_schedules_tenant_id_id", "schedules", ["tenant_id", "id"])
    op.create_index("ix_schedules_due", "schedules", ["next_at"], postgresql_where=sa.text("next_at IS NOT NULL"))
    protect(
        "schedules",
        tenant_rows("schedules"),
        "CREATE POLICY engine_rows ON schedules TO nexus_engine USING (true) WITH CHECK (true)",
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON schedules TO nexus_web, nexus_engine")
    permit_system_roles(_GRANTED)
