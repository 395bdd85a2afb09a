"""Permissions for the parts of billing that the system roles did not know, and a way to jobs by when they finished."""

from __future__ import annotations

from alembic import op

from migrations.roles import permit_system_roles

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_READING = (
    "meter:read", "usage_event:read", "credit_note:read", "payment_method:read", "billing:read",
)  # fmt: skip
_ADMINISTERING = (
    *_READING, "meter:create", "usage_event:create", "customer:update", "subscription:update", "invoice:create",
    "invoice:update", "credit_note:create", "payment_method:create", "payment_method:delete", "billing:update",
)  # fmt: skip


def upgrade() -> None:
    permit_system_roles({
        "owner": _ADMINISTERING, "admin": _ADMINISTERING, "editor": _READING, "viewer": _READING,
    })  # fmt: skip
    # Metering reads jobs in the order in which they finished, which is about the order in which they lie: a few bytes for
    # each range of pages are enough, and a job that finishes pays nothing for it.
    op.execute("CREATE INDEX ix_jobs_finished_at ON jobs_finished USING brin (finished_at) WITH (pages_per_range = 32)")
