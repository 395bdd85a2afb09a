"""A tenant's rows as lines of JSON, read and written as streams, with a digest that two databases agree on.

A line is PostgreSQL's own text of the row's `jsonb`, without `tenant_id` and sealed columns: PostgreSQL writes it and reads it,
so numbers keep their scale, times their microseconds and types that we know nothing of their text. Lines come in the order of
the primary key as text in the C collation, whatever the database's own.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from psycopg import sql

BATCH = 500
"""Rows in memory at a time."""

Connection = psycopg.Connection[Any]
Extra = Mapping[str, Any]
"""Columns of a row that do not stand in its line: JSON, with bytes as PostgreSQL's hexadecimal text."""

_COLUMNS = """
SELECT a.attname FROM pg_attribute a
 WHERE a.attrelid = %(table)s::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
 ORDER BY a.attnum
"""
_KEY = """
SELECT a.attname FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (number, place)
  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
 WHERE i.indrelid = %(table)s::regclass AND i.indisprimary ORDER BY k.place
"""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with `tenant_id`: its columns that are stored, the primary key, and a condition on the rows that count."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    where: LiteralString = "true"

    @property
    def sealed(self) -> tuple[str, ...]:
        """The columns that hold sealed values; each is sealed for the row's `id`."""
        return tuple(column for column in self.columns if column.endswith("_sealed"))

    def with_columns(self, columns: Iterable[str]) -> Table:
        """Only with those of the columns that it has too."""
        wanted = set(columns)
        return replace(self, columns=tuple(column for column in self.columns if column in wanted))


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `sealed` are the sealed values by column, None for null."""

    line: str
    sealed: Mapping[str, bytes | None]


class Digest:
    """Counts rows and hashes their lines."""

    def __init__(self) -> None:
        self.rows = 0
        self._hash = hashlib.sha256()

    def add(self, line: str) -> None:
        """Take in one line."""
        self.rows += 1
        self._hash.update(line.encode() + b"\n")

    @property
    def sha256(self) -> str:
        """Hexadecimal, of all lines so far."""
        return self._hash.hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Digest) and (self.rows, self.sha256) == (other.rows, other.sha256)

    __hash__ = None  # type: ignore[assignment]  # it changes


def describe(connection: Connection, name: str, where: LiteralString = "true") -> Table:
    """The table as the database's catalog has it."""
    columns = tuple(str(row[0]) for row in connection.execute(_COLUMNS, {"table": name}))
    key = tuple(str(row[0]) for row in connection.execute(_KEY, {"table": name})) or ("id",)
    return Table(name, columns, key, where)


def read(connection: Connection, table: Table, tenant_id: UUID) -> Iterator[Row]:
    """The tenant's rows, a few in memory at a time. Needs a transaction."""
    sealed = table.sealed
    query = sql.SQL(
        "SELECT (to_jsonb(r) - {left}::text[])::text{sealed} FROM (SELECT {columns} FROM {table}"
        " WHERE tenant_id = {tenant} AND {where}) AS r ORDER BY {order}"
    ).format(
        left=sql.Literal(["tenant_id", *sealed]),
        sealed=sql.SQL("").join(sql.SQL(", r.{}").format(sql.Identifier(column)) for column in sealed),
        columns=_names(table.columns),
        table=sql.Identifier(table.name),
        tenant=sql.Literal(tenant_id),
        where=sql.SQL(table.where),
        order=sql.SQL(", ").join(sql.SQL('r.{}::text COLLATE "C"').format(sql.Identifier(name)) for name in table.key),
    )
    with connection.cursor(name=f"rows_{table.name}") as cursor:
        cursor.itersize = BATCH
        cursor.execute(query)
        for line, *values in cursor:
            yield Row(line, dict(zip(sealed, values, strict=True)))


def digest(connection: Connection, table: Table, tenant_id: UUID) -> Digest:
    """What `read` would give, counted and hashed."""
    found = Digest()
    for row in read(connection, table, tenant_id):
        found.add(row.line)
    return found


def load(connection: Connection, table: Table, rows: Iterable[tuple[str, Extra]], *, merge: bool = False) -> int:
    """Insert the rows, each with its extra columns laid over its line; returns how many. With `merge`, rows that are there
    stay as they are.
    """
    statement = sql.SQL(
        "INSERT INTO {table} ({columns}) SELECT {values} FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY"
        " AS x (line, extra, place) CROSS JOIN LATERAL jsonb_populate_record(NULL::{table}, x.line::jsonb || x.extra::jsonb) p"
        " ORDER BY x.place{conflict}"
    ).format(
        table=sql.Identifier(table.name),
        columns=_names(table.columns),
        values=sql.SQL(", ").join(sql.SQL("p.{}").format(sql.Identifier(name)) for name in table.columns),
        conflict=sql.SQL(" ON CONFLICT DO NOTHING" if merge else ""),
    )
    loaded = 0
    pending = iter(rows)
    while batch := list(itertools.islice(pending, BATCH)):
        lines, extras = [line for line, _ in batch], [json.dumps(extra) for _, extra in batch]
        loaded += connection.execute(statement, (lines, extras)).rowcount
    return loaded


def remove(connection: Connection, table: Table, tenant_id: UUID) -> int:
    """Delete the tenant's rows that count; returns how many."""
    statement = sql.SQL("DELETE FROM {} WHERE tenant_id = %s AND {}").format(
        sql.Identifier(table.name),
        sql.SQL(table.where),
    )
    return connection.execute(statement, (tenant_id,)).rowcount


def as_extra(value: bytes | None) -> str | None:
    """Bytes for `Extra`."""
    return None if value is None else f"\\x{value.hex()}"


def _names(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))
