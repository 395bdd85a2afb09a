"""The engine removes what has had its time, and finds the tenants whose making has not ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.rls import protect

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ENDED = "least(expires_at, revoked_at)"


def upgrade() -> None:
    op.create_index("ix_sessions_ended", "sessions", [sa.text(ENDED)], unique=False)
    op.create_index("ix_refresh_tokens_expires_at", "refresh_tokens", ["expires_at"], unique=False)
    op.create_index(
        "ix_tenants_unsettled",
        "tenants",
        ["id"],
        unique=False,
        postgresql_where=sa.text("state IN ('provisioning', 'failed')"),
    )
    for table in ("sessions", "refresh_tokens"):
        protect(table, f"CREATE POLICY web_rows ON {table} TO nexus_web USING (true) WITH CHECK (true)")
    _let_the_engine_remove("idempotent_requests", "created_at < now() - interval '24 hours'", "created_at")
    _let_the_engine_remove("sessions", f"{ENDED} < now() - interval '30 days'", "expires_at, revoked_at")
    _let_the_engine_remove("refresh_tokens", "expires_at < now() - interval '30 days'", "expires_at")


def _let_the_engine_remove(table: str, condition: str, columns: str) -> None:
    """Rows that have had their time, and of those the times alone: no hash, no sealed answer, nothing to write."""
    op.execute(f"CREATE POLICY had_its_time ON {table} TO nexus_engine USING ({condition}) WITH CHECK (false)")
    op.execute(f"GRANT SELECT ({columns}), DELETE ON {table} TO nexus_engine")
