"""What changes in a tenant's database, told to the platform's audit.

Triggers there note each change of what is sold, owed and set up, in the change's own transaction, with who acted
(`speaking_for`). A moment later the notes are told: inserted on the platform under the ids that they have, then removed here. A
crash between the two tells twice what is kept once; a crash before leaves them to the next change, or to who reads the audit.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any, LiteralString
from uuid import UUID

import structlog
from psycopg.types.json import Jsonb

from domain.audit.entries import presentable
from tenancy.audit.origin import current_origin
from tenancy.database import Database, Row, Scope, tenant_scope

NOTED_TABLES = (
    "plans", "charges", "meters", "customers", "subscriptions", "invoices", "credit_notes", "payments", "payment_methods",
    "notification_settings", "notification_providers", "templates", "template_versions", "suppressions", "llm_budgets",
    "llm_prices", "search_sources", "search_indexing",
)  # fmt: skip
"""Those whose triggers note."""

SINCE = "0009"
"""The version of a tenant's schema that has the triggers."""

PIECE = 500

_CHANGES = re.compile(rf'\b(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+"?(?:{"|".join(NOTED_TABLES)})\b', re.IGNORECASE)

_READ: LiteralString = "SELECT * FROM audit_outbox WHERE tenant_id = %(tenant_id)s ORDER BY id LIMIT %(limit)s"
_TELL: LiteralString = """
INSERT INTO audit_entries
       (tenant_id, id, occurred_at, actor, user_id, action, resource, before, after, request_id, address)
VALUES (%(tenant_id)s, %(id)s, %(occurred_at)s, %(actor)s, %(user_id)s, %(action)s, %(resource)s, %(before)s::jsonb,
        %(after)s::jsonb, %(request_id)s, %(address)s)
ON CONFLICT (tenant_id, id) DO NOTHING
"""
_TOLD: LiteralString = "DELETE FROM audit_outbox WHERE tenant_id = %(tenant_id)s AND id = ANY(%(ids)s)"

log = structlog.get_logger(__name__)


def speaking_for(tenant_id: UUID) -> Scope:
    """The scope of a transaction in the tenant's database, which says who acts."""
    origin = current_origin()
    told = {
        "actor": origin.actor, "user_id": None if origin.user_id is None else str(origin.user_id),
        "request_id": origin.request_id, "address": origin.address,
    }  # fmt: skip
    return {**tenant_scope(tenant_id), "nexus.origin": json.dumps(told)}


@lru_cache(maxsize=4096)
def is_noted(statement: str) -> bool:
    """Whether a statement may change what triggers note."""
    return _CHANGES.search(statement) is not None


def tell(platform: Database, database: Database, tenant_id: UUID) -> int:
    """Tell the platform all that waits in the tenant's database; returns how many notes that were."""
    told = 0
    while True:
        rows = database.fetch(_READ, {"tenant_id": tenant_id, "limit": PIECE}, tenant_scope(tenant_id))
        if rows:
            platform.fetch_many([(_TELL, _presentable(row)) for row in rows], tenant_scope(tenant_id))
            done = {"tenant_id": tenant_id, "ids": [row["id"] for row in rows]}
            database.fetch(_TOLD, done, tenant_scope(tenant_id))
        told += len(rows)
        if len(rows) < PIECE:
            return told


def _presentable(row: Row) -> dict[str, Any]:
    shown = {name: presentable(row[name]) for name in ("before", "after")}
    return {**row, **{name: None if values is None else Jsonb(values) for name, values in shown.items()}}
