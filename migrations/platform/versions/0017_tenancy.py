"""A quota of schedules, and the key of each archive beside it, so that it can be put under another master key."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0015"
branch_labels = None
depends_on = None

_QUOTA_EXCEEDED = "NXQ01"
_RESTORING = "current_setting('nexus.restoring', true) IS NOT DISTINCT FROM 'on'"


def upgrade() -> None:
    op.add_column("tenant_quotas", sa.Column("schedules", sa.BigInteger(), nullable=True))
    op.create_check_constraint(op.f("ck_tenant_quotas_schedules"), "tenant_quotas", "schedules >= 0")
    op.execute(f"""
CREATE FUNCTION hold_schedules_to_quota() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    most bigint;
BEGIN
    SELECT schedules INTO most FROM tenant_quotas WHERE tenant_id = NEW.tenant_id;
    IF most IS NULL OR {_RESTORING} THEN
        RETURN NEW;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('nexus quota schedules'), hashtext(NEW.tenant_id::text));
    IF (SELECT count(*) FROM schedules WHERE tenant_id = NEW.tenant_id AND id <> NEW.id) >= most THEN
        RAISE EXCEPTION 'quota' USING ERRCODE = '{_QUOTA_EXCEEDED}',
            DETAIL = format('The quota of %s schedules is used up.', most);
    END IF;
    RETURN NEW;
END $$
""")
    op.execute(
        "CREATE TRIGGER hold_to_quota BEFORE INSERT ON schedules FOR EACH ROW EXECUTE FUNCTION hold_schedules_to_quota()"
    )
    op.add_column("tenant_archives", sa.Column("master_key_id", sa.Text(), nullable=True))
    op.add_column("tenant_archives", sa.Column("wrapped", sa.LargeBinary(), nullable=True))
    op.execute(
        "CREATE POLICY of_operators ON tenant_archives FOR SELECT TO nexus_web"
        " USING ((SELECT current_setting('nexus.operator', true)) = 'on')"
    )
    op.create_check_constraint(
        op.f("ck_tenant_archives_wrapped"), "tenant_archives", "(master_key_id IS NULL) = (wrapped IS NULL)"
    )


def downgrade() -> None:
    op.execute("DROP POLICY of_operators ON tenant_archives")
    op.drop_constraint(op.f("ck_tenant_archives_wrapped"), "tenant_archives")
    op.drop_column("tenant_archives", "wrapped")
    op.drop_column("tenant_archives", "master_key_id")
    op.execute("DROP TRIGGER hold_to_quota ON schedules")
    op.execute("DROP FUNCTION hold_schedules_to_quota()")
    op.drop_column("tenant_quotas", "schedules")
