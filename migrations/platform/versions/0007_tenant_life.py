"""Archives, quotas and their use, certificates of erasure, and what a tenant is in the middle of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.rls import protect, setting, tenant_rows
from migrations.roles import permit_system_roles

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_JSON = postgresql.JSONB(astext_type=sa.Text())
_OPERATOR = "(SELECT current_setting('nexus.operator', true)) = 'on'"
_ENGINE = "TO nexus_engine USING (true) WITH CHECK (true)"
_LIFE = ("tenant:suspend", "tenant:export", "tenant:restore")

QUOTA_EXCEEDED = "NXQ01"
"""The SQLSTATE of a row beyond a quota; `tenancy.database` knows it too."""


def upgrade() -> None:
    op.add_column("tenants", sa.Column("transition", _JSON, nullable=True))
    op.add_column("tenants", sa.Column("erase_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("tenants", sa.Column("preferences", _JSON, server_default=sa.text("'{}'::jsonb"), nullable=False))
    op.add_column("tenants", sa.Column("preferences_version", sa.Integer(), server_default="1", nullable=False))
    op.add_column("tenants", sa.Column("server_sealed", sa.LargeBinary(), nullable=True))
    op.create_index("ix_tenants_erase_at", "tenants", ["erase_at"], postgresql_where=sa.text("erase_at IS NOT NULL"))
    op.create_index("ix_tenants_migrating", "tenants", ["id"], postgresql_where=sa.text("state = 'migrating'"))
    _archives()
    _quotas()
    _certificates()
    _let_the_engine_erase()
    _hold_to_quotas()
    _tell_no_end_twice()
    permit_system_roles({"owner": _LIFE, "admin": _LIFE})


def _archives() -> None:
    op.create_table(
        "tenant_archives",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="writing", nullable=False),
        sa.Column("source_tenant_id", sa.Uuid(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("schema_version", sa.Text(), nullable=True),
        sa.Column("rows", sa.BigInteger(), nullable=True),
        sa.Column("objects", sa.BigInteger(), nullable=True),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind IN ('export', 'backup', 'upload')", name=op.f("ck_tenant_archives_kind")),
        sa.CheckConstraint("state IN ('writing', 'ready')", name=op.f("ck_tenant_archives_state")),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_tenant_archives_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_tenant_archives")),
    )
    protect(
        "tenant_archives", tenant_rows("tenant_archives"), f"CREATE POLICY engine_rows ON tenant_archives {_ENGINE}"
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON tenant_archives TO nexus_web, nexus_engine")


def _quotas() -> None:
    bounds = ("jobs_per_day", "storage_bytes", "members", "api_keys")
    op.create_table(
        "tenant_quotas",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=True) for name in bounds),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        *(sa.CheckConstraint(f"{name} >= 0", name=op.f(f"ck_tenant_quotas_{name}")) for name in bounds),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_tenant_quotas_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_tenant_quotas")),
    )
    op.create_table(
        "tenant_usage",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("jobs", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_tenant_usage_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "day", name=op.f("pk_tenant_usage")),
    )
    own = f"tenant_id = {setting('tenant_id')}"
    protect(
        "tenant_quotas",
        f"CREATE POLICY of_operators ON tenant_quotas TO nexus_web USING ({_OPERATOR}) WITH CHECK ({_OPERATOR})",
        f"CREATE POLICY own_quotas ON tenant_quotas FOR SELECT TO nexus_web USING ({own})",
        f"CREATE POLICY engine_rows ON tenant_quotas {_ENGINE}",
    )
    protect("tenant_usage", tenant_rows("tenant_usage"), f"CREATE POLICY engine_rows ON tenant_usage {_ENGINE}")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON tenant_quotas, tenant_usage TO nexus_web")
    op.execute("GRANT SELECT, DELETE ON tenant_quotas TO nexus_engine")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON tenant_usage TO nexus_engine")


def _certificates() -> None:
    """They outlive their tenant, so nothing refers to it. Written once, by the engine; read by operators."""
    op.create_table(
        "erasure_certificates",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("statement", sa.Text(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasure_certificates")),
        sa.UniqueConstraint("tenant_id", name=op.f("uq_erasure_certificates_tenant_id")),
    )
    protect(
        "erasure_certificates",
        f"CREATE POLICY of_operators ON erasure_certificates FOR SELECT TO nexus_web USING ({_OPERATOR})",
        f"CREATE POLICY engine_rows ON erasure_certificates {_ENGINE}",
    )
    op.execute("GRANT SELECT ON erasure_certificates TO nexus_web")
    op.execute("GRANT SELECT, INSERT ON erasure_certificates TO nexus_engine")


def _let_the_engine_erase() -> None:
    """Of the tenant that the transaction names: logins bound to it and the answers kept for it, without reading either."""
    own = f"tenant_id = {setting('tenant_id')}"
    op.execute(f"CREATE POLICY of_the_erased ON sessions TO nexus_engine USING ({own}) WITH CHECK (false)")
    op.execute("GRANT SELECT (tenant_id) ON sessions TO nexus_engine")
    own = f"scope = 'tenant:' || {setting('tenant_id')}"
    op.execute(f"CREATE POLICY of_the_erased ON idempotent_requests TO nexus_engine USING ({own}) WITH CHECK (false)")
    op.execute("GRANT SELECT (scope) ON idempotent_requests TO nexus_engine")
    op.execute("GRANT DELETE ON tenant_limits TO nexus_engine")


_RESTORING = "current_setting('nexus.restoring', true) IS NOT DISTINCT FROM 'on'"
"""What a restore writes was counted and told when it happened."""


def _hold_to_quotas() -> None:
    """Where the row is made and in its transaction, so that no two requests share the last place.

    The platform's own jobs and what follows from others are not counted: their idempotency keys begin with §.
    """
    op.execute(
        f"""
CREATE FUNCTION count_jobs_of_the_day() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    counted record;
    total bigint;
BEGIN
    IF {_RESTORING} OR NOT EXISTS (SELECT FROM tenant_quotas WHERE jobs_per_day IS NOT NULL) THEN
        RETURN NULL;
    END IF;
    FOR counted IN
        SELECT q.tenant_id, q.jobs_per_day AS most, count(*) AS jobs
          FROM added a JOIN tenant_quotas q ON q.tenant_id = a.tenant_id
         WHERE q.jobs_per_day IS NOT NULL AND a.principal NOT LIKE 'system:%%'
           AND (a.idempotency_key IS NULL OR a.idempotency_key NOT LIKE '§%%') AND a.kind NOT LIKE 'tenant.%%'
         GROUP BY q.tenant_id, q.jobs_per_day ORDER BY q.tenant_id
    LOOP
        INSERT INTO tenant_usage AS u (tenant_id, day, jobs)
        VALUES (counted.tenant_id, (now() AT TIME ZONE 'UTC')::date, counted.jobs)
        ON CONFLICT (tenant_id, day) DO UPDATE SET jobs = u.jobs + excluded.jobs RETURNING u.jobs INTO total;
        IF total > counted.most THEN
            RAISE EXCEPTION 'quota' USING ERRCODE = '{QUOTA_EXCEEDED}',
                DETAIL = format('The quota of %s jobs a day is used up until midnight UTC.', counted.most);
        END IF;
    END LOOP;
    RETURN NULL;
END $$
""".replace("%%", "%")
    )
    op.execute(
        "CREATE TRIGGER count_jobs AFTER INSERT ON jobs REFERENCING NEW TABLE AS added FOR EACH STATEMENT"
        " EXECUTE FUNCTION count_jobs_of_the_day()"
    )
    _bound("memberships", "members", "true")
    _bound("api_keys", "api_keys", "revoked_at IS NULL AND id <> NEW.id")


def _bound(table: str, quota: str, condition: str) -> None:
    op.execute(f"""
CREATE FUNCTION hold_{table}_to_quota() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    most bigint;
BEGIN
    SELECT {quota} INTO most FROM tenant_quotas WHERE tenant_id = NEW.tenant_id;
    IF most IS NULL OR {_RESTORING} THEN
        RETURN NEW;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('nexus quota {quota}'), hashtext(NEW.tenant_id::text));
    IF (SELECT count(*) FROM {table} WHERE tenant_id = NEW.tenant_id AND {condition}) >= most THEN
        RAISE EXCEPTION 'quota' USING ERRCODE = '{QUOTA_EXCEEDED}',
            DETAIL = format('The quota of %s {quota.replace("_", " ")} is used up.', most);
    END IF;
    RETURN NEW;
END $$
""")
    op.execute(
        f"CREATE TRIGGER hold_to_quota BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION hold_{table}_to_quota()"
    )


def _tell_no_end_twice() -> None:
    op.execute("DROP TRIGGER tell_the_end ON jobs_finished")
    op.execute(f"""
CREATE TRIGGER tell_the_end AFTER INSERT ON jobs_finished FOR EACH ROW
WHEN (NEW.kind NOT IN ('webhook.deliver', 'event.handle') AND NOT ({_RESTORING}))
EXECUTE FUNCTION tell_the_end_of_a_job()
""")
