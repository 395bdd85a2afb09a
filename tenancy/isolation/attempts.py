"""What one account tries on rows and databases that are not its own. Nothing that is tried is kept: all is rolled back.

Each returns the gaps: what was possible and must not be. Raises what the driver raises if nothing could be tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from domain.ids import new_id

_REFUSALS = ("permission denied for database", "not currently accepting connections", "no pg_hba.conf entry")

_READABLE = """
SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v', 'm') AND has_table_privilege(c.oid, 'SELECT')
   AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped)
 ORDER BY 1
"""


@contextmanager
def trying(dsn: str, tenant_id: UUID | None) -> Iterator[psycopg.Connection[Any]]:
    """A transaction of the account of `dsn`, in the tenant's scope if there is one, that is rolled back at the end."""
    with psycopg.connect(
        dsn, connect_timeout=5, application_name="nexus isolation", prepare_threshold=None
    ) as connection:
        connection.execute("SET LOCAL statement_timeout = '20s'; SET LOCAL lock_timeout = '2s'")
        if tenant_id is not None:
            connection.execute("SELECT set_config('nexus.tenant_id', %s, true)", (str(tenant_id),))
        try:
            yield connection
        finally:
            connection.rollback()


def connect_to(dsn: str, databases: Mapping[str, str]) -> list[str]:
    """Gaps: databases, by what a report calls them, that let the account of `dsn` in."""
    return [f"{shown}: the account was let in" for shown, name in databases.items() if _lets_in(dsn, name)]


def _lets_in(dsn: str, database: str) -> bool:
    try:
        psycopg.connect(psycopg.conninfo.make_conninfo(dsn, dbname=database), connect_timeout=5).close()
    except psycopg.OperationalError as error:
        if any(refusal in str(error) for refusal in _REFUSALS):
            return False
        raise
    return True


def readable(dsn: str) -> list[str]:
    """Tables and views of tenants that the account of `dsn` may read at all."""
    with trying(dsn, None) as connection:
        return [row[0] for row in connection.execute(_READABLE)]


def see(dsn: str, tables: Iterable[str], *, scope: UUID | None) -> list[str]:
    """Gaps: tables that show, in the scope of a tenant, rows of others; without a scope, any row at all."""
    with trying(dsn, scope) as connection:
        return _seen(connection, tables, scope)


def see_afterwards(dsn: str, tables: Iterable[str], scope: UUID) -> list[str]:
    """Gaps: tables that show a row on a connection that a transaction in the tenant's scope has just used."""
    with psycopg.connect(
        dsn, connect_timeout=5, application_name="nexus isolation", prepare_threshold=None
    ) as connection:
        connection.execute("SELECT set_config('nexus.tenant_id', %s, true)", (str(scope),))
        connection.commit()
        return _seen(connection, tables, None)


def _seen(connection: psycopg.Connection[Any], tables: Iterable[str], own: UUID | None) -> list[str]:
    looks = [
        sql.SQL("SELECT {} WHERE EXISTS (SELECT FROM {}{})").format(
            sql.Literal(table),
            sql.Identifier(table),
            sql.SQL("") if own is None else sql.SQL(" WHERE tenant_id <> {}").format(sql.Literal(own)),
        )
        for table in tables
    ]
    if not looks:
        return []
    found = connection.execute(sql.SQL(" UNION ALL ").join(looks)).fetchall()
    return [f"table {row[0]}: shows rows that are not the tenant's" for row in found]


def write(dsn: str, table: str, values: Mapping[str, Any], *, scope: UUID) -> list[str]:
    """Gaps: whether a row of a tenant that is nobody can be written in the tenant's scope."""
    row = {"tenant_id": new_id(), **values}
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join(map(sql.Literal, row.values())),
    )
    with trying(dsn, scope) as connection:
        try:
            connection.execute(statement)
        except psycopg.errors.InsufficientPrivilege:
            return []
    return [f"table {table}: took a row of another tenant"]
