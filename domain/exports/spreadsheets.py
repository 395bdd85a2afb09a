"""CSV that a spreadsheet takes for text, whatever a tenant's customers have written into it.

A cell that begins with `=`, `+`, `-` or `@`, or with a tab or line break before them, is run as a formula when the file is
opened. Source: OWASP, «CSV Injection»; the form of the file is RFC 4180.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Their full-width forms too, which spreadsheets of East Asian locales read the same."""

Cell = str | int | float | None


def cell(value: Cell) -> str:
    """The text of a cell. Text that would be a formula gets an apostrophe before it; numbers stay numbers."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return str(value)
    text = value.replace("\0", "")
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def lines(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[str]:
    """The file line by line, each ended as RFC 4180 asks, so that a long export needs little memory."""
    yield _line(columns)
    for values in rows:
        yield _line(values)


def _line(values: Sequence[Cell]) -> str:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow([cell(value) for value in values])
    return text.getvalue()
