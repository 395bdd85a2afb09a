"""The tables of a database as its catalog has them, read and written whole by `COPY`, which is PostgreSQL's own text of each row.

Rows are read in the order of the primary key and under fixed formats, so two databases with the same rows give the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from tenancy.recovery.mark import TABLE as MARK

Connection = psycopg.Connection[Any]

_TABLES: LiteralString = """
SELECT c.relname::text,
       ARRAY(SELECT a.attname::text FROM pg_attribute a
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum),
       ARRAY(SELECT quote_ident(a.attname) || CASE WHEN a.attcollation <> 0 THEN ' COLLATE "C"' ELSE '' END
               FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (number, place)
               JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
              WHERE i.indrelid = c.oid AND i.indisprimary ORDER BY k.place),
       ARRAY(SELECT DISTINCT r.relname::text FROM pg_constraint f JOIN pg_class r ON r.oid = f.confrelid
              WHERE f.conrelid = c.oid AND f.contype = 'f' AND f.confrelid <> c.oid),
       c.relforcerowsecurity
  FROM pg_class c
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
   AND c.relname <> ALL(%(left_out)s)
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
 ORDER BY c.relname
"""
_LEFT_OUT = ["alembic_version", MARK]

_FORMATS: LiteralString = """
SELECT set_config(name, value, true) FROM (VALUES ('datestyle', 'ISO, YMD'), ('timezone', 'UTC'), ('intervalstyle', 'postgres'),
       ('extra_float_digits', '1'), ('bytea_output', 'hex'), ('client_encoding', 'UTF8')) AS f (name, value)
"""
_TRIGGERS: LiteralString = """
SELECT DISTINCT c.relname::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
 WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND c.relnamespace = 'public'::regnamespace ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its stored columns, what to order its rows by (SQL), and whether policies bind its owner too."""

    name: str
    columns: tuple[str, ...]
    order: tuple[str, ...]
    refers: frozenset[str]
    forced: bool


@dataclass(frozen=True, slots=True)
class Counted:
    """How many rows a table gave, and the SHA-256 of their text."""

    rows: int
    sha256: str


def tables(connection: Connection) -> list[Table]:
    """All tables that hold rows of ours, referred-to ones first."""
    found = {
        row[0]: Table(row[0], tuple(row[1]), tuple(row[2]), frozenset(row[3]), row[4])
        for row in connection.execute(_TABLES, {"left_out": _LEFT_OUT})
    }
    order = TopologicalSorter({table.name: sorted(table.refers & found.keys()) for table in found.values()})
    return [found[name] for name in order.static_order()]


def fix_formats(connection: Connection) -> None:
    """Make `COPY` write the same text whatever the server's settings; for this transaction."""
    connection.execute(_FORMATS)


def dump(connection: Connection, table: Table, write: Callable[[bytes], object]) -> Counted:
    """Give every row that the transaction sees to `write`, some at a time."""
    columns = _names(table.columns)
    query = sql.SQL("COPY (SELECT {} FROM {} ORDER BY {}) TO STDOUT").format(
        columns,
        sql.Identifier(table.name),
        sql.SQL(", ").join(map(_raw, table.order)) if table.order else columns,
    )
    rows, hashed = 0, hashlib.sha256()
    with connection.cursor().copy(query) as copy:
        for data in copy:
            piece = bytes(data)
            rows += piece.count(b"\n")  # a line break within a value is written as \n
            hashed.update(piece)
            write(piece)
    return Counted(rows, hashed.hexdigest())


def load(connection: Connection, table: str, columns: Iterable[str], rows: Iterable[bytes]) -> None:
    """Insert rows as `dump` gave them. Row-level security must not bind the transaction."""
    query = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), _names(columns))
    with connection.cursor().copy(query) as copy:
        for row in rows:
            copy.write(row)


def has_rows(connection: Connection, found: Iterable[Table]) -> bool:
    """Whether any of the tables has a row that the transaction sees."""
    for table in found:
        query = sql.SQL("SELECT 1 FROM {} LIMIT 1").format(sql.Identifier(table.name))
        if connection.execute(query).fetchone() is not None:
            return True
    return False


def clear(connection: Connection, found: Iterable[Table]) -> None:
    """Delete every row that the transaction sees; referring tables come first."""
    for table in reversed(list(found)):
        connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table.name)))


@contextmanager
def as_they_were(connection: Connection, found: Iterable[Table]) -> Iterator[None]:
    """Within the block rows are written as they once were: policies do not bind the owner, and no trigger adds anything.

    All of it is part of the transaction, so nobody else ever sees the tables without their policies.
    """
    forced = [table.name for table in found if table.forced]
    triggers = [row[0] for row in connection.execute(_TRIGGERS)]
    _alter(connection, forced, "NO FORCE ROW LEVEL SECURITY")
    _alter(connection, triggers, "DISABLE TRIGGER USER")
    yield
    connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    _alter(connection, triggers, "ENABLE TRIGGER USER")
    _alter(connection, forced, "FORCE ROW LEVEL SECURITY")


def _alter(connection: Connection, names: Iterable[str], what: LiteralString) -> None:
    for name in names:
        connection.execute(sql.SQL("ALTER TABLE {} ").format(sql.Identifier(name)) + sql.SQL(what))


def _names(columns: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _raw(expression: str) -> sql.SQL:
    """SQL that the catalog query has quoted."""
    return sql.SQL(expression)
