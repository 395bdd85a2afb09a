"""Lists come in pages; programs want items."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def items(page: Callable[[str | None], Any]) -> Iterator[Any]:
    """Every item of every page, asked for when it is needed. `page` gets the cursor of one, None for the first."""
    cursor: str | None = None
    while True:
        found = page(cursor)
        yield from found["items"]
        cursor = found["next_cursor"]
        if cursor is None:
            return
