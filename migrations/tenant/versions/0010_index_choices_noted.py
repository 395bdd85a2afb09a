"""How a tenant has its documents indexed is noted for the audit too. That row has no id but its tenant's."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_BY_ID = "whose ->> ''id''"
_BY_EITHER = "coalesce(whose ->> ''id'', whose ->> ''tenant_id'')"


def _rewrite(present: str, wanted: str) -> None:
    op.execute(
        "DO $$ BEGIN EXECUTE replace(pg_get_functiondef('note_change()'::regprocedure),"
        f" '({present})', '({wanted})'); END $$"
    )


def upgrade() -> None:
    _rewrite(_BY_ID, _BY_EITHER)
    op.execute(
        "CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON search_indexing FOR EACH ROW"
        " EXECUTE FUNCTION note_change('search_indexing', 'version,generation', '')"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER note_change ON search_indexing")
    _rewrite(_BY_EITHER, _BY_ID)
