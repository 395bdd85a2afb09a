"""Which rows are a tenant's own: what an archive holds, and what it leaves out and why. A test holds every table to it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import LiteralString

from models.base import TenantBase
from tenancy.life.rows import Connection, Table, describe


class Return(Enum):
    """How a restore brings rows back."""

    REPLACE = "replace"
    """What the tenant has goes, what the archive has comes."""
    MERGE = "merge"
    """What the tenant has stays, what the archive has beside it comes: nobody loses access by a restore."""


@dataclass(frozen=True, slots=True)
class Contents:
    """A table of the platform database. `where` leaves rows out; `settle` is run after a restore, on the tenant's rows."""

    name: str
    back: Return = Return.REPLACE
    where: LiteralString = "true"
    settle: LiteralString | None = None


LIFE: LiteralString = "left(kind, 7) = 'tenant.'"
"""Jobs that are the tenant's life itself: the very export is one."""

PLATFORM: tuple[Contents, ...] = (
    Contents("roles", Return.MERGE),
    Contents("role_permissions", Return.MERGE),
    Contents("memberships", Return.MERGE),
    Contents("membership_roles", Return.MERGE),
    Contents("permissions", Return.MERGE),
    Contents("groups", Return.MERGE),
    Contents("group_members", Return.MERGE),
    Contents("group_roles", Return.MERGE),
    Contents("schedules"),
    Contents("webhook_endpoints"),
    Contents("events", settle="UPDATE events SET relay_at = NULL WHERE tenant_id = %s AND relay_at IS NOT NULL"),
    Contents(
        "webhook_deliveries",
        settle="UPDATE webhook_deliveries SET state = 'failed', finished_at = now() WHERE tenant_id = %s AND state = 'pending'",
    ),
    Contents("webhook_attempts"),
    Contents(
        "jobs",
        where=f"NOT ({LIFE})",
        settle="UPDATE jobs SET state = 'cancelled', error_code = 'restored', finished_at = now(), token = NULL,"
        " worker_id = NULL, lease_until = NULL, expires_at = now() + interval '30 days', version = version + 1"
        " WHERE tenant_id = %s AND state IN ('scheduled', 'queued', 'dispatched', 'running', 'retrying')"
        f" AND NOT ({LIFE})",
    ),
    Contents("job_keys", where=f"job_id NOT IN (SELECT id FROM jobs WHERE {LIFE})"),
    Contents("job_dependencies"),
    Contents("external_events"),
)
"""In the order in which rows refer to each other.

What had not ended when the archive was taken has ended by now, one way or the other, so a restore does not begin it again:
live jobs come back as cancelled, to be replayed by a person who knows; events and deliveries are not sent twice.
"""

LEFT_OUT: dict[str, str] = {
    "tenant_keys": "they seal, and never leave the platform",
    "api_keys": "credentials are made anew, not carried about",
    "invitations": "their links are credentials, and name the tenant that sent them",
    "job_waits": "of jobs that had not begun, which a restore does not begin",
    "tenant_runtimes": "measurements of the engine",
    "llm_budget_standings": "measurements, which the next call makes anew",
    "tenant_limits": "the operator's, not the tenant's",
    "tenant_quotas": "the operator's, not the tenant's",
    "tenant_usage": "what counts against the quota",
    "plan_allowances": "of the plan, which the operator's books hold",
    "tenant_archives": "an archive holds no archive",
    "erasure_certificates": "the platform's proof",
    "fleet_failures": "the operator's, not the tenant's",
    "audit_entries": "the record of what was done, which a restore must not put back",
    "audit_unsealed": "of the record",
    "audit_seals": "of the record",
    "audit_anchors": "of the record",
}


def platform_tables(connection: Connection) -> list[tuple[Contents, Table]]:
    """The platform's tables with what the catalog knows of them."""
    return [(each, describe(connection, each.name, each.where)) for each in PLATFORM]


def tenant_tables(connection: Connection) -> list[Table]:
    """The tables of a tenant database, referred-to ones first, without those that triggers derive from them."""
    return [
        describe(connection, table.name) for table in TenantBase.metadata.sorted_tables if not table.info.get("derived")
    ]
