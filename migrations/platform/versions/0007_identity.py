"""Verified addresses, mailed links, invitations, throttled logins, second factors, signing keys that are used from a moment on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.rls import protect, setting, tenant_rows
from migrations.roles import permit_system_roles

revision = "0007"
down_revision = "0008"
branch_labels = None
depends_on = None

_MANAGING = (
    "invitation:create", "invitation:delete", "invitation:read", "user:create", "user:delete", "user:update",
)  # fmt: skip
_GRANTED = {
    "owner": _MANAGING, "admin": _MANAGING, "editor": ("invitation:read",), "viewer": ("invitation:read",),
}  # fmt: skip


def upgrade() -> None:
    op.add_column("users", sa.Column("email_verified_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE users SET email_verified_at = created_at")  # who was let in before stays in
    op.add_column(
        "signing_keys",
        sa.Column("signs_from", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    )
    op.add_column("signing_keys", sa.Column("verifies_until", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "identity_links",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("purpose IN ('verify_email', 'reset_password')", name=op.f("ck_identity_links_purpose")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_identity_links_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", "purpose", name=op.f("pk_identity_links")),
    )
    op.create_table(
        "login_throttles",
        sa.Column("subject", sa.LargeBinary(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("allowance", sa.Integer(), nullable=False),
        sa.Column("locked_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_login_throttles")),
    )
    op.create_index(op.f("ix_login_throttles_failed_at"), "login_throttles", ["failed_at"], unique=False)
    op.create_table(
        "second_factors",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("secret_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_step", sa.BigInteger(), nullable=True),
        sa.Column("recovery_hashes", postgresql.ARRAY(sa.LargeBinary()), server_default="{}", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_second_factors_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_second_factors")),
    )
    op.create_table(
        "invitations",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("role_ids", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("invited_by", sa.Uuid(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accepted_by", sa.Uuid(), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("accepted_at IS NULL OR revoked_at IS NULL", name=op.f("ck_invitations_one_end")),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_invitations_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_invitations")),
    )
    op.create_index(
        "uq_invitations_pending",
        "invitations",
        ["tenant_id", "email"],
        unique=True,
        postgresql_where=sa.text("accepted_at IS NULL AND revoked_at IS NULL"),
    )
    _protect()
    _grant()
    permit_system_roles(_GRANTED)


def _protect() -> None:
    anyone = "USING (true) WITH CHECK (true)"
    protect(
        "identity_links",
        f"CREATE POLICY web_rows ON identity_links TO nexus_web {anyone}",
        f"CREATE POLICY engine_rows ON identity_links TO nexus_engine {anyone}",
    )
    protect(
        "login_throttles",
        f"CREATE POLICY web_rows ON login_throttles TO nexus_web {anyone}",
        "CREATE POLICY had_its_time ON login_throttles TO nexus_engine"
        " USING (failed_at < now() - interval '1 day') WITH CHECK (false)",
    )
    own = f"user_id = {setting('user_id')}"
    protect(
        "second_factors",
        f"CREATE POLICY own_factor ON second_factors TO nexus_web USING ({own}) WITH CHECK ({own})",
        f"CREATE POLICY engine_rows ON second_factors TO nexus_engine {anyone}",
        "CREATE POLICY of_operators ON second_factors FOR SELECT TO nexus_web"
        " USING ((SELECT current_setting('nexus.operator', true)) = 'on')",
    )
    protect(
        "invitations",
        tenant_rows("invitations", role="nexus_web"),
        f"CREATE POLICY engine_rows ON invitations TO nexus_engine {anyone}",
    )


def _grant() -> None:
    """The engine makes links for mails, reads invitations and erases those of a tenant, and can use neither. Of second factors it sees what a change of
    the master key has to seal anew.
    """
    op.execute("GRANT SELECT, DELETE ON identity_links TO nexus_web")
    op.execute("GRANT SELECT, INSERT, UPDATE ON identity_links TO nexus_engine")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON login_throttles, second_factors, invitations TO nexus_web")
    op.execute("GRANT SELECT (failed_at), DELETE ON login_throttles TO nexus_engine")
    op.execute("GRANT SELECT, DELETE ON invitations TO nexus_engine")
    op.execute("GRANT SELECT (user_id, secret_sealed), UPDATE (secret_sealed) ON second_factors TO nexus_engine")
