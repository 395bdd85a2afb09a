"""Events with their outbox, webhook endpoints with deliveries and attempts, and the event that ends a job."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.rls import protect, tenant_rows

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLES = ("events", "webhook_endpoints", "webhook_deliveries", "webhook_attempts")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("webhook_endpoint_id", sa.Uuid(), nullable=True))
    _events()
    _endpoints()
    _deliveries()
    for table in TABLES:
        protect(
            table,
            tenant_rows(table),
            f"CREATE POLICY engine_rows ON {table} TO nexus_engine USING (true) WITH CHECK (true)",
        )
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(TABLES)} TO nexus_web, nexus_engine")
    _tell_the_end_of_jobs()
    _permit()


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("payload_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("job_id", sa.Uuid(), nullable=True),
        sa.Column("endpoint_id", sa.Uuid(), nullable=True),
        sa.Column("relay_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sa.UniqueConstraint("tenant_id", "id", name=op.f("uq_events_tenant_id_id")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_events_tenant_id_key")),
    )
    op.create_index(
        "ix_events_relay_at", "events", ["relay_at"], unique=False, postgresql_where=sa.text("relay_at IS NOT NULL")
    )


def _endpoints() -> None:
    op.create_table(
        "webhook_endpoints",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("event_types", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("secret_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("previous_secret_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("previous_secret_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_webhook_endpoints_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_endpoints")),
        sa.UniqueConstraint("tenant_id", "id", name=op.f("uq_webhook_endpoints_tenant_id_id")),
    )
    op.create_index(
        "ix_webhook_endpoints_wants_jobs",
        "webhook_endpoints",
        ["tenant_id"],
        unique=False,
        postgresql_where=sa.text(_WANTS_JOBS),
    )


def _deliveries() -> None:
    op.create_table(
        "webhook_deliveries",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("redelivery_of", sa.Uuid(), nullable=True),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("state IN ('pending', 'delivered', 'failed')", name=op.f("ck_webhook_deliveries_state")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "endpoint_id"],
            ["webhook_endpoints.tenant_id", "webhook_endpoints.id"],
            name=op.f("fk_webhook_deliveries_tenant_id_endpoint_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "event_id"],
            ["events.tenant_id", "events.id"],
            name=op.f("fk_webhook_deliveries_tenant_id_event_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_deliveries")),
        sa.UniqueConstraint("tenant_id", "id", name=op.f("uq_webhook_deliveries_tenant_id_id")),
    )
    op.create_index("ix_webhook_deliveries_endpoint_id_id", "webhook_deliveries", ["endpoint_id", "id"], unique=False)
    op.create_index("ix_webhook_deliveries_event_id", "webhook_deliveries", ["event_id"], unique=False)
    op.create_index(
        "uq_webhook_deliveries_event_id_endpoint_id",
        "webhook_deliveries",
        ["event_id", "endpoint_id"],
        unique=True,
        postgresql_where=sa.text("redelivery_of IS NULL"),
    )
    op.create_table(
        "webhook_attempts",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("duration_ms", sa.Integer(), nullable=True),
        sa.Column("response_status", sa.Integer(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("response_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "delivery_id"],
            ["webhook_deliveries.tenant_id", "webhook_deliveries.id"],
            name=op.f("fk_webhook_attempts_tenant_id_delivery_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_attempts")),
        sa.UniqueConstraint("delivery_id", "number", name=op.f("uq_webhook_attempts_delivery_id_number")),
    )


# UUIDv7 (RFC 9562) by hand: servers before PostgreSQL 18 have no function for it.
_UUID7 = """encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
    PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6), 52, 1), 53, 1),
    'hex')::uuid"""


_WANTS_JOBS = (
    "disabled_at IS NULL AND event_types && ARRAY['*', 'job.*', 'job.succeeded', 'job.failed', 'job.cancelled']"
)
"""The condition of the index that each end of a job looks into; the look must repeat it for the index to serve."""


def _tell_the_end_of_jobs() -> None:
    """An event for a job that has ended, in the transaction that ends it, if an endpoint asks for it.

    A trigger, because several statements end a job and none may forget it; it runs under the rights of who ended the job.
    The update that ends a job moves its row: for the part of finished jobs that is an insertion.
    The bus's own jobs are left out, or each delivery would cause the next.
    """
    op.execute(f"""
CREATE FUNCTION tell_the_end_of_a_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.webhook_endpoint_id IS NOT NULL OR EXISTS (
        SELECT FROM webhook_endpoints e
         WHERE e.tenant_id = NEW.tenant_id AND {_WANTS_JOBS} AND e.event_types && ARRAY['*', 'job.*', 'job.' || NEW.state]
    ) THEN
        INSERT INTO events (id, tenant_id, name, job_id, endpoint_id)
        VALUES ({_UUID7}, NEW.tenant_id, 'job.' || NEW.state, NEW.id, NEW.webhook_endpoint_id);
    END IF;
    RETURN NULL;
END $$
""")
    op.execute("""
CREATE TRIGGER tell_the_end AFTER INSERT ON jobs_finished FOR EACH ROW
WHEN (NEW.kind NOT IN ('webhook.deliver', 'event.handle'))
EXECUTE FUNCTION tell_the_end_of_a_job()
""")


_GRANTED = {
    "event:read": ("owner", "admin", "editor", "viewer"),
    "webhook_endpoint:read": ("owner", "admin", "editor", "viewer"),
    "webhook_endpoint:create": ("owner", "admin"),
    "webhook_endpoint:update": ("owner", "admin"),
    "webhook_endpoint:delete": ("owner", "admin"),
}


def _permit() -> None:
    """The new permissions for the system roles of the tenants that are there; later ones get them when they are made.

    For this statement the owner's rows are not hidden from the owner; the tables are locked until the commit.
    """
    for table in ("roles", "role_permissions"):
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    pairs = ", ".join(f"('{role}', '{permission}')" for permission, roles in _GRANTED.items() for role in roles)
    op.execute(f"""
INSERT INTO role_permissions (tenant_id, role_id, permission)
SELECT r.tenant_id, r.id, g.permission FROM roles r JOIN (VALUES {pairs}) AS g (role, permission) ON g.role = r.name
 WHERE r.is_system ON CONFLICT DO NOTHING
""")
    for table in ("roles", "role_permissions"):
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
