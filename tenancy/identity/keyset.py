"""Pages of rows whose ids sort by the time they were made."""

from __future__ import annotations

from typing import LiteralString


def keyset(query: LiteralString, column: LiteralString, *, newest_first: bool) -> LiteralString:
    """The query, which ends in its conditions, narrowed to what comes after the id `after` and cut to `limit` rows."""
    beyond: LiteralString = "<" if newest_first else ">"
    order: LiteralString = "DESC" if newest_first else "ASC"
    return f"{query} AND (%(after)s::uuid IS NULL OR {column} {beyond} %(after)s) ORDER BY {column} {order} LIMIT %(limit)s"
