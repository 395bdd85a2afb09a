"""The mark of a platform that is being restored: a table, made with the platform's rows and dropped when everything is back.

While it stands, the databases do not fit each other yet, and no program of the platform starts on them.
"""

from __future__ import annotations

from typing import Any, LiteralString
from uuid import UUID

import psycopg
from psycopg import sql

from config.settings import SettingsError
from tenancy.database import Database

TABLE: LiteralString = "nexus_restore"

_READ: LiteralString = """
SELECT obj_description(to_regclass('public.nexus_restore'), 'pg_class') AS backup,
       to_regclass('public.nexus_restore') IS NOT NULL AS stands, to_regclass('public.alembic_version') IS NOT NULL AS in_use
"""


def begin(connection: psycopg.Connection[Any], backup_id: UUID) -> None:
    """Set the mark, in the transaction that brings the platform's rows."""
    connection.execute(sql.SQL("CREATE TABLE {} ()").format(sql.Identifier(TABLE)))
    connection.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(sql.Identifier(TABLE), sql.Literal(str(backup_id))))


def clear(connection: psycopg.Connection[Any]) -> None:
    """Everything is back."""
    connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(TABLE)))


def is_to_go_on(connection: psycopg.Connection[Any], backup_id: UUID) -> bool:
    """Whether this very restore was begun here before; False for an empty database.

    Raises `SettingsError` for a database that holds a platform, or a restore of another backup.
    """
    row = connection.execute(_READ).fetchone()
    backup, stands, in_use = row or (None, False, False)
    if stands and backup != str(backup_id):
        raise SettingsError(half(backup))
    if in_use and not stands:
        raise SettingsError("DATABASE_URL: the database holds a platform already; restore into an empty database")
    return bool(stands)


def refuse_half_restored(database: Database, variable: str = "DATABASE_URL") -> None:
    """Raise `SettingsError` if a restore into this platform has not come to its end."""
    row = database.fetch(_READ, {})[0]
    if row["stands"]:
        raise SettingsError(half(row["backup"], variable))


def half(backup: str | None, variable: str = "DATABASE_URL") -> str:
    """The line that says so."""
    return f"{variable}: the platform is half restored from a backup; run `nexus restore {backup}` again to bring back the rest"
