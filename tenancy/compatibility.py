"""Whether the platform's schema has what this version of the code needs, whichever revision it is at.

Revisions expand first and contract later, so a version serves its own schema and, for a rolling upgrade or a rollback, one that a newer
version has migrated. That is not taken on trust: what the code's tables name must be there, and what they do not name must not
be demanded of a new row.
"""

from __future__ import annotations

from typing import LiteralString

from config.settings import SettingsError
from models.base import PlatformBase
from tenancy.database import Database
from tenancy.migrations import head, revisions

_COLUMNS: LiteralString = """
SELECT c.relname::text AS table, a.attname::text AS column,
       a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND a.attgenerated = '' AS demanded
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
   AND a.attnum > 0 AND NOT a.attisdropped
"""
_REVISION: LiteralString = "SELECT version_num AS revision FROM alembic_version"


def misfits(database: Database) -> list[str]:
    """What keeps this version from serving the platform's schema, by name; nothing if it can."""
    there = {(row["table"], row["column"]): row["demanded"] for row in database.fetch(_COLUMNS, {})}
    needed = {(table.name, column.name) for table in PlatformBase.metadata.tables.values() for column in table.columns}
    tables = {table for table, _ in needed}
    missing = [f"{table}.{column} is not there" for table, column in sorted(needed - there.keys())]
    demanded = [
        f"{table}.{column} must be given"
        for (table, column), must in sorted(there.items())
        if must and table in tables and (table, column) not in needed
    ]
    return missing + demanded


def refuse_misfits(database: Database, variable: str) -> None:
    """Raise `SettingsError` if this version cannot serve the platform's schema. The line says what to do."""
    found = misfits(database)
    if not found:
        return
    tables = {row["table"] for row in database.fetch(_COLUMNS, {})}
    revision = database.fetch(_REVISION, {})[0]["revision"] if "alembic_version" in tables else None
    if revision is None:
        raise SettingsError(f"{variable}: the database is not prepared; run `nexus prepare`")
    if revision in revisions("platform"):
        raise SettingsError(
            f"{variable}: the platform's schema is at {revision}, this version needs {head('platform')}; run `nexus prepare`"
        )
    raise SettingsError(newer(revision, found[0], variable))


def newer(revision: str, why: str, variable: str = "DATABASE_URL") -> str:
    """The line for a schema that this version cannot serve because a newer one has made it."""
    return (
        f"{variable}: the platform's schema is at {revision}, of a newer version, and {why} for this one; install the newer"
        " version again, or restore a backup of before (docs/operations/upgrading.md)"
    )
