"""Usage, charges, changes of plan, collection, credit notes and balances; row-level security on every new table.

Only expands: new tables, columns that are nullable or have defaults, and constraints that the code before keeps anyway.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.rls import protect, tenant_rows

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = (
    "charges",
    "credit_note_counters",
    "credit_notes",
    "customer_balances",
    "meters",
    "payment_attempts",
    "payment_methods",
    "subscription_changes",
    "usage_cursors",
    "usage_events",
)
UNBOUND = ("number", "subscription_id", "period_start", "period_end")
"""What a draft, or an invoice without a subscription, does not have."""


def upgrade() -> None:
    op.create_table(
        "meters",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("aggregation", sa.Text(), nullable=False),
        sa.Column("property", sa.Text(), nullable=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("(aggregation = 'count') = (property IS NULL)", name=op.f("ck_meters_property")),
        sa.CheckConstraint(
            "aggregation IN ('count', 'sum', 'max', 'unique', 'latest')", name=op.f("ck_meters_aggregation")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_meters")),
        sa.UniqueConstraint("tenant_id", "code", name=op.f("uq_meters_tenant_id_code")),
    )
    op.create_table(
        "charges",
        sa.Column("plan_id", sa.Uuid(), nullable=False),
        sa.Column("meter_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("terms", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("model IN ('standard', 'graduated', 'volume', 'package')", name=op.f("ck_charges_model")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "meter_id"], ["meters.tenant_id", "meters.id"], name=op.f("fk_charges_tenant_id_meter_id")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "plan_id"], ["plans.tenant_id", "plans.id"], name=op.f("fk_charges_tenant_id_plan_id")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_charges")),
        sa.UniqueConstraint("tenant_id", "plan_id", "meter_id", name=op.f("uq_charges_tenant_id_plan_id_meter_id")),
    )
    op.create_table(
        "usage_events",
        sa.Column("transaction_id", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("timestamp", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "properties", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("value", sa.Numeric(), nullable=True),
        sa.Column("item", sa.Text(), nullable=True),
        sa.Column("source_type", sa.Text(), nullable=True),
        sa.Column("source_id", sa.Text(), nullable=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers.tenant_id", "customers.id"],
            name=op.f("fk_usage_events_tenant_id_customer_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_usage_events")),
        sa.UniqueConstraint("tenant_id", "transaction_id", name=op.f("uq_usage_events_tenant_id_transaction_id")),
    )
    op.create_index(
        "ix_usage_events_metered", "usage_events", ["tenant_id", "customer_id", "code", "timestamp"], unique=False
    )
    op.create_table(
        "usage_cursors",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "source", name=op.f("pk_usage_cursors")),
    )
    op.create_table(
        "customer_balances",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_customer_balances_amount")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers.tenant_id", "customers.id"],
            name=op.f("fk_customer_balances_tenant_id_customer_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "customer_id", "currency", name=op.f("pk_customer_balances")),
    )
    op.create_table(
        "subscription_changes",
        sa.Column("subscription_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("plan_id", sa.Uuid(), nullable=False),
        sa.Column("paused", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "plan_id"],
            ["plans.tenant_id", "plans.id"],
            name=op.f("fk_subscription_changes_tenant_id_plan_id"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "subscription_id"],
            ["subscriptions.tenant_id", "subscriptions.id"],
            name=op.f("fk_subscription_changes_tenant_id_subscription_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_subscription_changes")),
        sa.UniqueConstraint(
            "tenant_id", "subscription_id", "at", name=op.f("uq_subscription_changes_tenant_id_subscription_id_at")
        ),
    )
    op.create_table(
        "credit_notes",
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("invoice_id", sa.Uuid(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind IN ('reduction', 'balance', 'refund')", name=op.f("ck_credit_notes_kind")),
        sa.CheckConstraint("state IN ('pending', 'done', 'failed')", name=op.f("ck_credit_notes_state")),
        sa.CheckConstraint("amount > 0", name=op.f("ck_credit_notes_amount")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "invoice_id"],
            ["invoices.tenant_id", "invoices.id"],
            name=op.f("fk_credit_notes_tenant_id_invoice_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_credit_notes")),
        sa.UniqueConstraint("tenant_id", "number", name=op.f("uq_credit_notes_tenant_id_number")),
    )
    op.create_table(
        "credit_note_counters",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("last_number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_credit_note_counters")),
    )
    op.create_table(
        "payment_methods",
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=False),
        sa.Column("brand", sa.Text(), nullable=False),
        sa.Column("last4", sa.Text(), nullable=False),
        sa.Column("is_default", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("detached_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers.tenant_id", "customers.id"],
            name=op.f("fk_payment_methods_tenant_id_customer_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_payment_methods")),
        sa.UniqueConstraint(
            "tenant_id",
            "customer_id",
            "provider",
            "provider_id",
            name=op.f("uq_payment_methods_tenant_id_customer_id_provider_provider_id"),
        ),
    )
    op.create_index(
        "uq_payment_methods_default",
        "payment_methods",
        ["tenant_id", "customer_id"],
        unique=True,
        postgresql_where=sa.text("is_default AND detached_at IS NULL"),
    )
    op.create_table(
        "payment_attempts",
        sa.Column("invoice_id", sa.Uuid(), nullable=False),
        sa.Column("payment_method_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "state IN ('calling', 'unknown', 'pending', 'succeeded', 'failed')", name=op.f("ck_payment_attempts_state")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "invoice_id"],
            ["invoices.tenant_id", "invoices.id"],
            name=op.f("fk_payment_attempts_tenant_id_invoice_id"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "payment_method_id"],
            ["payment_methods.tenant_id", "payment_methods.id"],
            name=op.f("fk_payment_attempts_tenant_id_payment_method_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_payment_attempts")),
        sa.UniqueConstraint(
            "tenant_id", "invoice_id", "number", name=op.f("uq_payment_attempts_tenant_id_invoice_id_number")
        ),
    )
    op.create_index(
        "uq_payment_attempts_under_way",
        "payment_attempts",
        ["tenant_id", "invoice_id"],
        unique=True,
        postgresql_where=sa.text("state IN ('calling', 'unknown', 'pending')"),
    )
    op.add_column("plans", sa.Column("pay_in_advance", sa.Boolean(), server_default="false", nullable=False))
    op.add_column("plans", sa.Column("trial_days", sa.Integer(), server_default="0", nullable=False))
    op.add_column(
        "plans",
        sa.Column(
            "entitlements",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
    )
    op.add_column(
        "plans",
        sa.Column(
            "quotas", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
    )
    op.add_column("customers", sa.Column("external_id", sa.Text(), nullable=True))
    op.add_column("customers", sa.Column("provider_customer_id", sa.Text(), nullable=True))
    op.add_column("customers", sa.Column("version", sa.Integer(), server_default="1", nullable=False))
    op.add_column("subscriptions", sa.Column("cancel_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("subscriptions", sa.Column("version", sa.Integer(), server_default="1", nullable=False))
    op.add_column("invoices", sa.Column("credited", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column(
        "invoices",
        sa.Column("announced_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=True),
    )
    op.add_column("invoices", sa.Column("collect_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("invoices", sa.Column("failures", sa.Integer(), server_default="0", nullable=False))
    op.add_column("invoice_lines", sa.Column("kind", sa.Text(), server_default="fee", nullable=False))
    op.add_column("invoice_lines", sa.Column("charge", sa.Text(), nullable=True))
    op.add_column("invoice_lines", sa.Column("code", sa.Text(), nullable=True))
    op.add_column("invoice_lines", sa.Column("starts_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("invoice_lines", sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_invoices_to_announce",
        "invoices",
        ["tenant_id"],
        unique=False,
        postgresql_where=sa.text("announced_at IS NULL"),
    )
    op.create_index(
        "ix_invoices_to_collect",
        "invoices",
        ["tenant_id", "collect_at"],
        unique=False,
        postgresql_where=sa.text("collect_at IS NOT NULL"),
    )
    op.create_index("ix_subscriptions_customer_id", "subscriptions", ["tenant_id", "customer_id"], unique=False)
    op.create_index(
        "ix_subscriptions_waking",
        "subscriptions",
        ["tenant_id", "next_cycle_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('incomplete', 'trialing', 'active', 'past_due', 'paused')"),
    )
    op.create_index("ix_invoice_lines_invoice_id", "invoice_lines", ["tenant_id", "invoice_id"], unique=False)
    op.create_unique_constraint(op.f("uq_customers_tenant_id_external_id"), "customers", ["tenant_id", "external_id"])
    op.create_check_constraint(op.f("ck_plans_trial_days"), "plans", "trial_days BETWEEN 0 AND 730")
    op.create_check_constraint(op.f("ck_invoices_numbered"), "invoices", "number IS NOT NULL OR state = 'draft'")
    for column in UNBOUND:
        op.alter_column("invoices", column, nullable=True)
    for table in TABLES:
        protect(table, tenant_rows(table))
