"""The answer to a search, made when it is read: from the question and from what the sources have written so far."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.search.fusion import DEFAULT_WEIGHT, FusedHit, Hit, fuse
from domain.search.sources import OWN, Terms

INCOMPLETE = frozenset({"pending", "timeout", "error"})
"""What a source can be while its hits are missing from the answer."""

_HIT = frozenset(each.name for each in fields(Hit))


@dataclass(frozen=True, slots=True)
class Question:
    """A search as it was asked at `asked_at`. What comes after `deadline_at` is not merged; a page holds `limit` hits."""

    search_id: UUID
    sources: Sequence[str]
    limit: int
    asked_at: datetime
    deadline_at: datetime
    terms: Mapping[str, Terms] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SourceAnswer:
    """What one source wrote at `answered_at`. `status`: `ok timeout error skipped unauthorized`.

    A source that is `ok` with an `error` has answered, but not in full; one that is `skipped` without an `error` has nothing
    that fits what was asked.
    """

    source: str
    status: str
    took_ms: int
    hits: Sequence[Mapping[str, Any]]
    error: str | None
    answered_at: datetime
    notes: Sequence[str] = ()


def is_complete(question: Question, answers: Iterable[SourceAnswer], now: datetime) -> bool:
    """Whether the answer will not change any more: every source has answered, or the deadline has passed."""
    return now >= question.deadline_at or {answer.source for answer in answers} >= set(question.sources)


def visible(question: Question, answers: Iterable[SourceAnswer], may: Callable[[str], bool]) -> list[SourceAnswer]:
    """The answers as a reader with the permissions that `may` tells of sees them: who may not see a source's rows is told
    so in the place of its hits, whoever it was that searched.
    """

    def seen(one: SourceAnswer) -> SourceAnswer:
        needed = question.terms[one.source].permission if one.source in question.terms else None
        hidden = one.status == "ok" and needed is not None and not may(needed)
        return replace(one, status="unauthorized", hits=(), error=None, notes=()) if hidden else one

    return [seen(one) for one in answers]


def answer(
    question: Question,
    answers: Sequence[SourceAnswer],
    now: datetime,
    *,
    begin: int = 0,
    limit: int | None = None,
    explain: bool = False,
) -> dict[str, Any]:
    """The answer as clients see it: `{search_id, took_ms, partial, total, hits, sources}`, with the hits from `begin` on.

    A source that has not answered is `pending` until the deadline and `timeout` from then on. `partial` says that hits
    may be missing because of that, or because a source failed, was left alone or could not answer in full. `total` is how
    many different hits there are on all pages. With `explain` each hit tells what each source contributed to its score.
    Times are in milliseconds.
    """
    by_name = {one.source: one for one in answers}
    seen = [_as_seen(question, name, by_name.get(name), now) for name in question.sources]
    results = {one.source: [_stored(hit) for hit in one.hits] for one in seen if one.status == "ok"}
    weights = {name: terms.weight for name, terms in question.terms.items()}
    fused = fuse(results, weights, None, preferred=OWN.keys())
    ended = max((one.answered_at for one in seen), default=now)
    end = begin + (question.limit if limit is None else limit)
    return {
        "search_id": question.search_id,
        "took_ms": max(0, milliseconds(question.asked_at, min(ended, question.deadline_at))),
        "partial": any(one.status in INCOMPLETE or one.error is not None for one in seen),
        "total": len(fused),
        "hits": [_hit(each) | (_explained(each, weights) if explain else {}) for each in fused[begin:end]],
        "sources": [_told(one) for one in seen],
    }


def milliseconds(start: datetime, end: datetime) -> int:
    """Whole milliseconds from `start` to `end`."""
    return round((end - start).total_seconds() * 1000)


def hit_as_stored(hit: Hit) -> dict[str, Any]:
    """The hit as JSON, as `answer` reads it back."""
    return asdict(hit)


def _stored(hit: Mapping[str, Any]) -> Hit:
    """What a later version wrote beside is left out."""
    return Hit(**{name: value for name, value in hit.items() if name in _HIT})


def _as_seen(question: Question, source: str, written: SourceAnswer | None, now: datetime) -> SourceAnswer:
    if written is not None and written.answered_at <= question.deadline_at:
        return written
    late = now >= question.deadline_at
    until = question.deadline_at if late else now
    took_ms = max(0, milliseconds(question.asked_at, until))
    return SourceAnswer(source, "timeout" if late else "pending", took_ms, (), None, until)


def _told(one: SourceAnswer) -> dict[str, Any]:
    return {
        "name": one.source,
        "status": one.status,
        "took_ms": one.took_ms,
        "hits": len(one.hits),
        "error": one.error,
        "notes": list(one.notes),
    }


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


def _explained(fused: FusedHit, weights: Mapping[str, float]) -> dict[str, Any]:
    parts = [
        {"source": source, "rank": rank, "weight": weights.get(source, DEFAULT_WEIGHT), "contribution": share}
        for (source, rank), share in zip(fused.ranks.items(), fused.contributions.values(), strict=True)
    ]
    return {"explanation": parts}
