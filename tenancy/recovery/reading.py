"""What lets the owner of the platform's tables read all rows for a backup: row-level security binds the owner too.

Every table whose policies bind its owner gets one policy more, for that account alone, that shows rows to a transaction which says
that it makes a backup. It is made when the platform is prepared, so tables of later migrations have it as well.
"""

from __future__ import annotations

from typing import Any, LiteralString

import psycopg
from psycopg import sql

from tenancy.database import Scope

BACKUP: Scope = {"nexus.backup": "on"}
"""The scope of a transaction that reads everything."""

_UNREADABLE: LiteralString = """
SELECT c.relname::text FROM pg_class c
 WHERE c.relnamespace = 'public'::regnamespace AND c.relforcerowsecurity AND NOT c.relispartition
   AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'backups'
                      AND current_user::regrole = ANY(p.polroles))
 ORDER BY 1
"""


def let_backups_read(connection: psycopg.Connection[Any]) -> None:
    """Make the policy where it is missing, as the owner. Reading is all that it allows."""
    for table in unreadable(connection):
        name = sql.Identifier(table)
        connection.execute(sql.SQL("DROP POLICY IF EXISTS backups ON {}").format(name))
        connection.execute(
            sql.SQL(
                "CREATE POLICY backups ON {} FOR SELECT TO CURRENT_USER"
                " USING ((SELECT current_setting('nexus.backup', true)) = 'on')"
            ).format(name)
        )


def unreadable(connection: psycopg.Connection[Any]) -> list[str]:
    """Tables of which a backup would not see every row."""
    return [row[0] for row in connection.execute(_UNREADABLE)]
