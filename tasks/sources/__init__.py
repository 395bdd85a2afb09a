"""Where a search looks: one module per source, each found here by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from domain.search.fusion import Hit
from tasks.sources import documents, messages

Find = Callable[[Session, str, int], list[Hit]]
"""Takes a session of the tenant's, the question and how many hits are wanted; gives them best first."""


@dataclass(frozen=True, slots=True)
class Source:
    """`permission` is what a caller needs beside that to search, because the source shows another resource's rows."""

    find: Find
    permission: str | None = None


SOURCES: Mapping[str, Source] = {
    "documents": Source(documents.find),
    "messages": Source(messages.find, "notification:read"),
}
