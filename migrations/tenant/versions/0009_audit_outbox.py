"""Changes of what a tenant sells, owes and has set up note themselves, for the platform's audit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.rls import protect, tenant_rows

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_JSON = postgresql.JSONB(astext_type=sa.Text())

_NOTED: tuple[tuple[str, str, str, str], ...] = (
    # table, resource, columns that do not count as a change, columns whose values are not shown
    ("plans", "plan", "", ""),
    ("charges", "charge", "", ""),
    ("meters", "meter", "", ""),
    ("customers", "customer", "version", "name,email"),
    ("subscriptions", "subscription", "version,periods_billed,next_cycle_at", ""),
    ("invoices", "invoice", "snapshot,announced_at,collect_at,failures,search", ""),
    ("credit_notes", "credit_note", "", ""),
    ("payments", "payment", "", ""),
    ("payment_methods", "payment_method", "", ""),
    ("notification_settings", "notification_settings", "version,providers_version", ""),
    ("notification_providers", "notification_provider", "", ""),
    ("templates", "notification_template", "updated_at", ""),
    ("template_versions", "notification_template_version", "", "variants"),
    ("suppressions", "suppression", "", "address"),
    ("llm_budgets", "llm_budget", "version,spent_micros,reserved_micros,period_start", ""),
    ("llm_prices", "llm_price", "version", ""),
    ("search_sources", "search_source", "version,updated_at", ""),
)

# A transaction that says who acts (`nexus.origin`) is noted; one that restores or moves rows says nobody, and is not.
# The id is a UUIDv7 (RFC 9562), so that entries are listed in the order in which they came about.
_NOTE_CHANGE = r"""
CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    origin jsonb := nullif(current_setting('nexus.origin', true), '')::jsonb;
    ignored text[] := string_to_array(TG_ARGV[1], ',');
    hidden text[] := string_to_array(TG_ARGV[2], ',');
    was jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    is_now jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    whose jsonb := coalesce(is_now, was);
BEGIN
    IF origin IS NULL THEN
        RETURN NULL;
    END IF;
    was := was - ignored - 'tenant_id';
    is_now := is_now - ignored - 'tenant_id';
    IF TG_OP = 'UPDATE' THEN
        IF was = is_now THEN
            RETURN NULL;
        END IF;
        SELECT jsonb_object_agg(o.key, o.value), jsonb_object_agg(o.key, is_now -> o.key) INTO was, is_now
          FROM jsonb_each(was) o WHERE o.value IS DISTINCT FROM is_now -> o.key;
    END IF;
    SELECT jsonb_object_agg(key, CASE WHEN key = ANY(hidden) OR key LIKE '%\_sealed' AND value <> 'null'
                                      THEN '"[redacted]"' ELSE value END) INTO was FROM jsonb_each(was);
    SELECT jsonb_object_agg(key, CASE WHEN key = ANY(hidden) OR key LIKE '%\_sealed' AND value <> 'null'
                                      THEN '"[redacted]"' ELSE value END) INTO is_now FROM jsonb_each(is_now);
    INSERT INTO audit_outbox (tenant_id, id, actor, user_id, action, resource, before, after, request_id, address)
    VALUES (
        (whose ->> 'tenant_id')::uuid,
        encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
            placing substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
            52, 1), 53, 1), 'hex')::uuid,
        origin ->> 'actor', (origin ->> 'user_id')::uuid,
        TG_ARGV[0] || CASE TG_OP WHEN 'INSERT' THEN '.created' WHEN 'UPDATE' THEN '.updated' ELSE '.deleted' END,
        TG_ARGV[0] || ':' || (whose ->> 'id'), was, is_now, origin ->> 'request_id', origin ->> 'address');
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    op.create_table(
        "audit_outbox",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "occurred_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("before", _JSON, nullable=True),
        sa.Column("after", _JSON, nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_audit_outbox")),
    )
    protect("audit_outbox", tenant_rows("audit_outbox"))
    op.execute(_NOTE_CHANGE)
    for table, resource, ignored, hidden in _NOTED:
        op.execute(
            f"CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW"
            f" EXECUTE FUNCTION note_change('{resource}', '{ignored}', '{hidden}')"
        )


def downgrade() -> None:
    for table, *_ in _NOTED:
        op.execute(f"DROP TRIGGER note_change ON {table}")
    op.execute("DROP FUNCTION note_change()")
    op.drop_table("audit_outbox")
