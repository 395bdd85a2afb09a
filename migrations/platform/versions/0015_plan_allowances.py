"""What tenants may use by their plans, counted where jobs are made."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.rls import protect, setting

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

PLAN_QUOTA_EXCEEDED = "NXQ02"
"""The SQLSTATE of a job beyond a plan's quota; `tenancy.database` knows it too."""

_ENGINE = "TO nexus_engine USING (true) WITH CHECK (true)"


def upgrade() -> None:
    op.create_table(
        "plan_allowances",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("period_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("period_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("quota", sa.BigInteger(), nullable=False),
        sa.Column("hard", sa.Boolean(), nullable=False),
        sa.Column("used", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("told", sa.Boolean(), server_default="false", nullable=False),
        sa.CheckConstraint("quota >= 0", name=op.f("ck_plan_allowances_quota")),
        sa.CheckConstraint("used >= 0", name=op.f("ck_plan_allowances_used")),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_plan_allowances_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "code", name=op.f("pk_plan_allowances")),
    )
    own = f"tenant_id = {setting('tenant_id')}"
    protect(
        "plan_allowances",
        f"CREATE POLICY own_allowances ON plan_allowances TO nexus_web USING ({own}) WITH CHECK ({own})",
        f"CREATE POLICY engine_rows ON plan_allowances {_ENGINE}",
    )
    # The API counts against a quota and never sets one.
    op.execute("GRANT SELECT, UPDATE (used) ON plan_allowances TO nexus_web")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON plan_allowances TO nexus_engine")
    _count()


def _count() -> None:
    """Where the job is made and in its transaction, so that no two requests share the last place.

    The platform's own jobs are not counted, nor are those by which a tenant pays and goes over to another plan. What follows from others is not either, but for the messages of a
    notification to several; one that was held until the end of quiet hours was counted before.
    """
    op.execute(f"""
CREATE FUNCTION count_against_the_plan() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    counted record;
    allowance plan_allowances;
BEGIN
    IF current_setting('nexus.restoring', true) IS NOT DISTINCT FROM 'on' OR NOT EXISTS (SELECT FROM plan_allowances) THEN
        RETURN NULL;
    END IF;
    FOR counted IN
        SELECT p.tenant_id, p.code, count(*) AS n
          FROM added a JOIN plan_allowances p ON p.tenant_id = a.tenant_id
         WHERE a.principal NOT LIKE 'system%' AND a.kind NOT LIKE ALL ('{{tenant.%,payment%,billing.%}}')
           AND CASE WHEN a.idempotency_key LIKE '§%'
                    THEN p.code = 'messages' AND a.kind = 'notification.deliver' AND a.idempotency_key LIKE '§child%'
                         AND a.idempotency_key !~ '^§child.[0-9a-f-]{{36}}.held.'
                    ELSE p.code = 'jobs'
                         OR (p.code, a.kind) IN (('messages', 'notification.deliver'), ('completions', 'completion.create'),
                                                 ('embeddings', 'embedding.create'), ('searches', 'search.query'))
               END
         GROUP BY p.tenant_id, p.code ORDER BY p.tenant_id, p.code
    LOOP
        UPDATE plan_allowances SET used = used + counted.n
         WHERE tenant_id = counted.tenant_id AND code = counted.code AND now() < period_end
        RETURNING * INTO allowance;
        IF FOUND AND allowance.hard AND allowance.used > allowance.quota THEN
            RAISE EXCEPTION 'quota' USING ERRCODE = '{PLAN_QUOTA_EXCEEDED}',
                DETAIL = format('The plan allows %s %s until %s.', allowance.quota, allowance.code,
                                to_char(allowance.period_end AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24\\:MI\\:SS"Z"'));
        END IF;
    END LOOP;
    RETURN NULL;
END $$
""")
    op.execute(
        "CREATE TRIGGER count_against_the_plan AFTER INSERT ON jobs REFERENCING NEW TABLE AS added FOR EACH STATEMENT"
        " EXECUTE FUNCTION count_against_the_plan()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER count_against_the_plan ON jobs")
    op.execute("DROP FUNCTION count_against_the_plan()")
    op.drop_table("plan_allowances")
