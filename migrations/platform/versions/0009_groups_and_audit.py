"""Groups, permissions that tenants make, versions of roles; the audit, append-only and chained."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.audit import append_only, let_old_entries_go
from migrations.job_months import COUNTER_SETTINGS
from migrations.rls import protect, tenant_rows
from migrations.roles import permit_system_roles

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

GROUP_TABLES = ("groups", "group_members", "group_roles", "permissions")

_READING = ("group:read",)
_KEEPING = (
    "group:create", "group:read", "group:update", "group:delete", "role:create", "role:update", "role:delete",
    "permission:create", "permission:delete", "audit:read",
)  # fmt: skip
_GRANTED = {"owner": _KEEPING, "admin": _KEEPING, "editor": _READING, "viewer": _READING}


def upgrade() -> None:
    op.add_column("roles", sa.Column("description", sa.Text(), server_default="", nullable=False))
    op.add_column("roles", sa.Column("version", sa.Integer(), server_default="1", nullable=False))
    op.create_index("ix_membership_roles_role_id", "membership_roles", ["tenant_id", "role_id"])
    _groups()
    for table in GROUP_TABLES:
        protect(
            table,
            tenant_rows(table),
            f"CREATE POLICY engine_rows ON {table} TO nexus_engine USING (true) WITH CHECK (true)",
        )
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(GROUP_TABLES)} TO nexus_web, nexus_engine")
    _audit()
    append_only()
    let_old_entries_go()
    permit_system_roles(_GRANTED)


def _groups() -> None:
    op.create_table(
        "groups",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("parent_id <> id", name=op.f("ck_groups_not_its_own_parent")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_groups_tenant_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "parent_id"],
            ["groups.tenant_id", "groups.id"],
            name=op.f("fk_groups_tenant_id_parent_id"),
            deferrable=True,
            initially="DEFERRED",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_groups")),
        sa.UniqueConstraint("tenant_id", "name", name=op.f("uq_groups_tenant_id_name")),
    )
    op.create_index("ix_groups_parent_id", "groups", ["tenant_id", "parent_id"])
    _belonging("group_members", "user_id", "memberships", "user_id", dated=True)
    _belonging("group_roles", "role_id", "roles", "id", dated=False)
    op.create_table(
        "permissions",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_permissions_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "name", name=op.f("pk_permissions")),
    )


def _belonging(table: str, column: str, of_table: str, of_column: str, *, dated: bool) -> None:
    """What a group has: members, roles."""
    created = sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)
    op.create_table(
        table,
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column(column, sa.Uuid(), nullable=False),
        *([created] if dated else []),
        sa.ForeignKeyConstraint(
            ["tenant_id", "group_id"],
            ["groups.tenant_id", "groups.id"],
            name=op.f(f"fk_{table}_tenant_id_group_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", column],
            [f"{of_table}.tenant_id", f"{of_table}.{of_column}"],
            name=op.f(f"fk_{table}_tenant_id_{column}"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "group_id", column, name=op.f(f"pk_{table}")),
    )
    op.create_index(f"ix_{table}_{column}", table, ["tenant_id", column])


def _audit() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "occurred_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("before", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("after", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_audit_entries")),
    )
    op.create_index("ix_audit_entries_actor", "audit_entries", ["tenant_id", "actor", "id"])
    op.create_index("ix_audit_entries_resource", "audit_entries", ["tenant_id", "resource", "id"])
    op.create_table(
        "audit_unsealed",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "entry_id", name=op.f("pk_audit_unsealed")),
    )
    op.execute(f"ALTER TABLE audit_unsealed SET ({COUNTER_SETTINGS})")
    op.create_table(
        "audit_seals",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "sequence", name=op.f("pk_audit_seals")),
        sa.UniqueConstraint("tenant_id", "entry_id", name=op.f("uq_audit_seals_tenant_id_entry_id")),
    )
    op.create_index(op.f("ix_audit_seals_sealed_at"), "audit_seals", ["sealed_at"])
    op.create_table(
        "audit_anchors",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("pruned_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_audit_anchors")),
    )
