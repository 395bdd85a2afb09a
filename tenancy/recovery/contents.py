"""One database in a backup: a text that `psql` could read, with what is needed to check it.

Each table is a line of JSON that names it, `COPY … FROM stdin;`, its rows, `\\.`, and a line of JSON with their number and
digest. The last line says how many tables there are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from domain.errors import Permanent
from tenancy.recovery.tables import Connection, Counted, Table, as_they_were, clear, dump, fix_formats, load, tables

_END = b"\\.\n"
_TOLD = b"-- "

Telling = Callable[[str], None]
"""Told the name of each table before it is read or written."""


@dataclass(frozen=True, slots=True)
class Total:
    """Tables and rows of a database."""

    tables: int
    rows: int


def write(connection: Connection, out: Callable[[bytes], object], telling: Telling) -> Total:
    """Write every table of the transaction's database, with the rows that the transaction sees."""
    fix_formats(connection)
    found, rows = tables(connection), 0
    for table in found:
        telling(table.name)
        out(_line({"table": table.name, "columns": table.columns}))
        out(f"COPY {_quoted(table.name)} ({', '.join(map(_quoted, table.columns))}) FROM stdin;\n".encode())
        counted = dump(connection, table, out)
        out(_END + _line({"rows": counted.rows, "sha256": counted.sha256}))
        rows += counted.rows
    out(_line({"tables": len(found)}))
    return Total(len(found), rows)


def check(lines: Iterator[bytes]) -> Total:
    """Read a whole text and hold every table against its digest. Raises `Permanent` (`backup_damaged`)."""
    rows = 0
    reader = Reader(lines)
    for _ in reader:
        hashed = hashlib.sha256()
        for row in reader.rows():
            hashed.update(row)
        counted = reader.counted()
        if counted.sha256 != hashed.hexdigest():
            raise _damaged()
        rows += counted.rows
    return Total(reader.tables, rows)


def restore(connection: Connection, lines: Iterator[bytes], telling: Telling) -> Total:
    """Replace what the transaction sees by what was written, and read it again to see that it is the same.

    Raises `Permanent` (`restore_differs`), or `backup_damaged`.
    """
    fix_formats(connection)
    found = {table.name: table for table in tables(connection)}
    clear(connection, found.values())
    reader, expected = Reader(lines), dict[str, tuple[Table, Counted]]()
    with as_they_were(connection, found.values()):
        for name, columns in reader:
            telling(name)
            if name not in found:
                raise Permanent(f"There is no table {name} in this version's schema.", code="restore_differs")
            load(connection, name, columns, reader.rows())
            expected[name] = found[name], reader.counted()
    for name, (table, counted) in expected.items():
        if dump(connection, table, lambda _: None) != counted:
            raise Permanent(f"{name} is not what the backup holds.", code="restore_differs")
    return Total(reader.tables, sum(counted.rows for _, counted in expected.values()))


class Reader:
    """Goes through a text table by table: iterate, then read all `rows`, then `counted`."""

    def __init__(self, lines: Iterator[bytes]):
        self._lines = lines
        self.tables = 0

    def __iter__(self) -> Iterator[tuple[str, list[str]]]:
        while "table" in (told := self._told()):
            self.tables += 1
            self._next()  # the statement, for people
            yield told["table"], told["columns"]
        if told.get("tables") != self.tables or next(self._lines, None) is not None:
            raise _damaged()

    def rows(self) -> Iterator[bytes]:
        """The rows of the table that iteration is at."""
        while (line := self._next()) != _END:
            yield line

    def counted(self) -> Counted:
        """What the rows of this table must come to."""
        told = self._told()
        return Counted(told["rows"], told["sha256"])

    def _told(self) -> dict[str, Any]:
        line = self._next()
        try:
            told: dict[str, Any] = json.loads(line.removeprefix(_TOLD))
        except ValueError:
            raise _damaged() from None
        return told

    def _next(self) -> bytes:
        line = next(self._lines, None)
        if line is None:
            raise _damaged()
        return line


def _line(told: dict[str, Any]) -> bytes:
    return _TOLD + json.dumps(told).encode() + b"\n"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _damaged() -> Permanent:
    return Permanent("The backup is damaged: a database in it is not whole.", code="backup_damaged")
