"""Where a tenant's completions go, as a list of targets with their keys, sealed as one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tenants", sa.Column("llm_config_sealed", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    op.drop_column("tenants", "llm_config_sealed")
