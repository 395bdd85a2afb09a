"""The seam between a search and its sources: what a source is asked, what it answers, and how it says that it cannot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from domain.search.fusion import Hit

Mode = Literal["keyword", "semantic", "hybrid"]
MODES: tuple[Mode, ...] = ("keyword", "semantic", "hybrid")

KEYWORD_ONLY = "keyword_only"
"""The note of a source that looked for words although more was asked for."""


@dataclass(frozen=True, slots=True)
class Query:
    """What each source is asked: `wanted` hits for `text`, best first. `filters` are as the client sent them, checked."""

    search_id: UUID
    text: str
    wanted: int
    mode: Mode = "keyword"
    filters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """A source's ranked list. `degraded` is the code of what kept it from answering in full: the answer is partial then.

    `notes` are codes that tell how it was found without taking anything from it.
    """

    hits: Sequence[Hit]
    degraded: str | None = None
    notes: tuple[str, ...] = ()


class Unanswered(Exception):
    """A source gives no list. `status` is one of the statuses of `SourceAnswer`, `code` says why."""

    def __init__(self, status: Literal["timeout", "error", "skipped", "unauthorized"], code: str | None = None):
        super().__init__(code or status)
        self.status, self.code = status, code
