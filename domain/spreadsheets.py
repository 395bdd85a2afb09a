"""Lines of CSV (RFC 4180) that a spreadsheet shows and never computes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

_STARTS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # fmt: skip


def csv_line(cells: Iterable[object]) -> str:
    """One line with its end. Text that a spreadsheet would take for a formula gets an apostrophe in front; None is empty.

    Source: OWASP, CSV Injection.
    """
    line = io.StringIO()
    csv.writer(line).writerow(_safe(cell) for cell in cells)
    return line.getvalue()


def _safe(cell: object) -> object:
    if isinstance(cell, str) and cell.startswith(_STARTS_A_FORMULA):
        return f"'{cell}"
    return cell
