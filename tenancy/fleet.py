"""The tenants' databases as a fleet: at which schema each is, by the catalog, and bringing one to the newest.

The catalog is `tenants.schema_version`. What is current is known from there, so a fleet that is current costs one query
and no connection. Tenants in the shared database are one database; each other tenant is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

import psycopg
from sqlalchemy.exc import DBAPIError

from domain.fleet.stages import Failure
from tenancy.access import Tenancy
from tenancy.database import Database, Row, Scope
from tenancy.migrations import head, upgrade
from tenancy.migrations import older as revisions_before
from tenancy.scopes import operator_scope
from tenancy.servers import with_database

LOCK_TIMEOUT: LiteralString = "2s"
"""How long a migration may wait for a lock: whoever comes after it waits as long."""

_PLACED: LiteralString = "state IN ('active', 'suspended', 'deleting') AND database_name IS NOT NULL"
"""A tenant whose data is being moved or replaced is left alone; it is behind when it comes back, and shown so."""

# Pooled tenants share a database, so one of them stands for all. The pool comes last: it is many tenants at once.
_BEHIND: LiteralString = f"""
SELECT tier, database_name, min(schema_version) AS version, count(*) AS tenants, (array_agg(id ORDER BY id))[1] AS tenant_id
  FROM tenants WHERE {_PLACED} AND schema_version = ANY(%(older)s)
 GROUP BY tier, database_name, CASE WHEN tier <> 'pooled' THEN id END
 ORDER BY bool_or(id = ANY(%(canaries)s)) DESC, tier = 'pooled', tenant_id
"""
_COUNTS: LiteralString = f"""
SELECT tier, schema_version AS version, count(*) AS tenants,
       count(DISTINCT CASE WHEN tier = 'pooled' THEN database_name ELSE id::text END) AS databases
  FROM tenants WHERE {_PLACED} GROUP BY tier, schema_version ORDER BY tier, schema_version
"""
_ALL: LiteralString = f"""
SELECT tier, database_name, min(schema_version) AS version, count(*) AS tenants, (array_agg(id ORDER BY id))[1] AS tenant_id
  FROM tenants WHERE {_PLACED} AND (%(tenants)s::uuid[] IS NULL OR id = ANY(%(tenants)s))
 GROUP BY tier, database_name, CASE WHEN tier <> 'pooled' THEN id END ORDER BY tenant_id
"""
_RECORD: LiteralString = """
UPDATE tenants SET schema_version = %(version)s
 WHERE id = %(tenant_id)s OR tier = 'pooled' AND %(tier)s = 'pooled' AND database_name = %(database)s
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A database with one of its tenants, who stands for all of them, and the revision that the catalog tells."""

    tenant_id: UUID
    tier: str
    database: str
    tenants: int
    version: str | None


def behind(platform: Database, canaries: list[UUID], scope: Scope | None = None) -> list[Place]:
    """The databases at an older revision than the newest: the canaries first, the shared ones last."""
    rows = platform.fetch(_BEHIND, {"older": older(), "canaries": canaries}, scope or operator_scope())
    return [_place(row) for row in rows]


def places(platform: Database, tenants: list[UUID] | None = None) -> list[Place]:
    """The databases of these tenants, or all."""
    return [_place(row) for row in platform.fetch(_ALL, {"tenants": tenants}, operator_scope())]


def counts(platform: Database) -> list[Row]:
    """Tenants and databases by tier and revision."""
    return platform.fetch(_COUNTS, {}, operator_scope())


def owners_database(tenancy: Tenancy, place: Place) -> Database:
    """The database, through the account that owns its schema: on the tenant's own server, the account that was given."""
    dsn = with_database(tenancy.settings, place.database)
    if place.tier == "external":
        dsn = tenancy.record(place.tenant_id).server_dsn or dsn
    return Database(dsn, pool_size=1, application_name="nexus fleet", timeout=5.0)


def migrate(tenancy: Tenancy, place: Place) -> Failure | None:
    """Bring one database to the newest revision and note that in the catalog; None once both are done.

    A migration is one transaction, so one that was killed has changed nothing; if the note was lost, the next run finds
    the database current and writes it.
    """
    database = owners_database(tenancy, place)
    try:
        version = upgrade("tenant", database, lock_timeout=LOCK_TIMEOUT)
    except DBAPIError as error:
        return _failure(error)
    except Exception as error:  # noqa: BLE001 - whatever a revision raises is why this database was not migrated
        return Failure("migration_failed", f"{type(error).__name__}: {_line(error)}")
    finally:
        database.dispose()
    note = {"version": version, "tenant_id": place.tenant_id, "tier": place.tier, "database": place.database}
    tenancy.platform.fetch(_RECORD, note)
    return None


def newest() -> str:
    """The revision that this code brings databases to."""
    return head("tenant")


def older() -> list[str]:
    """The revisions that this code still serves or migrates from. Any other was made by newer code."""
    return revisions_before("tenant")


def _place(row: Row) -> Place:
    return Place(row["tenant_id"], row["tier"], row["database_name"], row["tenants"], row["version"])


def _failure(error: DBAPIError) -> Failure:
    cause = error.orig
    if isinstance(cause, psycopg.errors.LockNotAvailable):
        return Failure("lock_timeout", "A lock on one of its tables was not to be had.")
    if isinstance(cause, psycopg.OperationalError) and cause.sqlstate is None:
        return Failure("unreachable", "The database cannot be connected to, or went away.", away=True)
    if isinstance(cause, psycopg.Error) and (cause.sqlstate or "")[:2] in {"08", "57", "3D", "28"}:
        return Failure("unreachable", _line(cause), away=True)
    return Failure("migration_failed", _line(cause or error))


def _line(error: BaseException) -> str:
    """The first line: what follows may quote rows."""
    diagnostic = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return (diagnostic or (str(error).strip().splitlines() or [type(error).__name__])[0])[:300]
