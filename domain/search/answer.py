"""The answer to a search, made when it is read: from the question and from what the sources have written so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.search.fusion import FusedHit, Hit, fuse

INCOMPLETE = frozenset({"pending", "timeout", "error"})
"""What a source can be while its hits are missing from the answer."""


@dataclass(frozen=True, slots=True)
class Question:
    """A search as it was asked at `asked_at`. What comes after `deadline_at` is not merged."""

    search_id: UUID
    sources: Sequence[str]
    limit: int
    asked_at: datetime
    deadline_at: datetime


@dataclass(frozen=True, slots=True)
class SourceAnswer:
    """What one source wrote at `answered_at`. `status`: `ok timeout error skipped unauthorized`."""

    source: str
    status: str
    took_ms: int
    hits: Sequence[Mapping[str, Any]]
    error: str | None
    answered_at: datetime


def is_complete(question: Question, answers: Iterable[SourceAnswer], now: datetime) -> bool:
    """Whether the answer will not change any more: every source has answered, or the deadline has passed."""
    return now >= question.deadline_at or {answer.source for answer in answers} >= set(question.sources)


def answer(
    question: Question, answers: Sequence[SourceAnswer], now: datetime, weights: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """The answer as clients see it: `{search_id, took_ms, partial, hits, sources}`.

    A source that has not answered is `pending` until the deadline and `timeout` from then on. `partial` says that hits
    may be missing because of that or because a source failed. Times are in milliseconds.
    """
    by_name = {one.source: one for one in answers}
    seen = [_as_seen(question, name, by_name.get(name), now) for name in question.sources]
    results = {one.source: [Hit(**hit) for hit in one.hits] for one in seen if one.status == "ok"}
    ended = max((one.answered_at for one in seen), default=now)
    return {
        "search_id": question.search_id,
        "took_ms": max(0, milliseconds(question.asked_at, min(ended, question.deadline_at))),
        "partial": any(one.status in INCOMPLETE for one in seen),
        "hits": [_hit(fused) for fused in fuse(results, weights or {}, question.limit)],
        "sources": [
            {
                "name": one.source,
                "status": one.status,
                "took_ms": one.took_ms,
                "hits": len(one.hits),
                "error": one.error,
            }
            for one in seen
        ],
    }


def milliseconds(start: datetime, end: datetime) -> int:
    """Whole milliseconds from `start` to `end`."""
    return round((end - start).total_seconds() * 1000)


def hit_as_stored(hit: Hit) -> dict[str, Any]:
    """The hit as JSON, as `answer` reads it back."""
    return asdict(hit)


def _as_seen(question: Question, source: str, written: SourceAnswer | None, now: datetime) -> SourceAnswer:
    if written is not None and written.answered_at <= question.deadline_at:
        return written
    late = now >= question.deadline_at
    until = question.deadline_at if late else now
    took_ms = max(0, milliseconds(question.asked_at, until))
    return SourceAnswer(source, "timeout" if late else "pending", took_ms, (), None, until)


def _hit(fused: FusedHit) -> dict[str, Any]:
    hit = fused.hit
    return {
        "id": hit.id,
        "source": hit.source,
        "title": hit.title,
        "snippet": hit.snippet,
        "url": hit.url,
        "score": fused.score,
        "ranks": dict(fused.ranks),
    }
