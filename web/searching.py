"""Reading a search's answer for a request: waiting for it, and its pages.

A cursor holds which sources the first page was made of and how many hits the pages so far had. So later pages are of the same
sources and the same terms, whatever has arrived or changed meanwhile: no hit is lost or repeated.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from flask import url_for

from domain.errors import FieldError, NotFound, SearchFailed
from domain.jobs.states import JobState
from domain.search.answer import Question, SourceAnswer, answer, visible
from jobs import searches
from jobs.queries import get
from jobs.submissions import submission
from tenancy.access import Tenancy
from web.context import principal, tenancy, tenant_id, watcher
from web.pagination import read_cursor, seal_of, write_cursor

LOOK_SECONDS = 0.25
"""Seconds between two looks that no hint brought about: what an answer may be late by when Redis is away."""
JOB_SECONDS = 0.5
"""Seconds between two looks at the job of a search that no source has answered yet."""

_OFFSET_BITS = 32


def question_of(search_id: UUID) -> tuple[Question, list[SourceAnswer]]:
    """The search as it was written down, which outlives the job, or as it was submitted. Raises `NotFound`."""
    door = tenancy()
    question, answers = searches.read(door, tenant_id(), search_id)
    if question is None:
        submitted = submission(door, tenant_id(), searches.QUERY, search_id)
        known = searches.registered(door, tenant_id())
        question = searches.asked(submitted.row, submitted.payload, known).question
    return question, answers


def wait_for(question: Question, *, looked: bool = False) -> searches.Whole | None:
    """Return the answers when every source has answered, or None when the deadline has passed or nobody will answer any more.

    It waits for hints and looks now and then in case one was lost. With `looked`, there can be nothing to see yet.
    """
    door, look_at_job = tenancy(), time.monotonic() + JOB_SECONDS
    with watcher().listening(question.search_id) as woken:
        while True:
            if not looked:
                begun, whole = searches.whole(door, tenant_id(), question.search_id)
                if whole is not None:
                    return whole
                if time.monotonic() >= look_at_job:
                    if not begun and _has_failed(door, question.search_id):
                        return None
                    look_at_job = time.monotonic() + JOB_SECONDS
            looked = False
            left = (question.deadline_at - datetime.now(UTC)).total_seconds()
            if left <= 0:
                return None
            woken.wait(min(left, LOOK_SECONDS))
            woken.clear()


def page(
    question: Question, answers: Sequence[SourceAnswer], *, limit: int | None, cursor: str | None, explain: bool
) -> tuple[dict[str, Any], dict[str, str]]:
    """A page of the answer as it is now, and its headers. Raises `InvalidCursor`, and `SearchFailed` if every source failed or
    none was ever asked.
    """
    address = url_for("search.get_search", search_id=question.search_id)
    seal = seal_of(address, {})
    merged, begin = [each for each in answers if each.answered_at <= question.deadline_at], 0
    if cursor is not None:
        place = read_cursor(cursor, seal).int
        merged, begin = _of(question, merged, place >> _OFFSET_BITS), place % (1 << _OFFSET_BITS)
    if not answers and _has_failed(tenancy(), question.search_id):
        raise SearchFailed(f"The search {question.search_id} ended before any source was asked.")
    seen = visible(question, merged, principal().may)
    made = answer(question, seen, datetime.now(UTC), begin=begin, limit=limit, explain=explain)
    _refuse_failure(made)
    end = begin + len(made["hits"])
    made["next_cursor"], headers = None, {}
    if end < made["total"]:
        place = _mask(question, merged) << _OFFSET_BITS | end
        made["next_cursor"] = write_cursor(UUID(int=place), seal)
        size = f"&limit={limit}" if limit is not None else ""
        address = f"{tenancy().settings.base_url}{address}?cursor={made['next_cursor']}{size}"
        headers = {"Link": f'<{address}>; rel="next"'}
    return made, headers


def _mask(question: Question, answers: Sequence[SourceAnswer]) -> int:
    """Which sources have answered, as bits in the order of the question's sources."""
    answered = {each.source for each in answers}
    return sum(1 << place for place, name in enumerate(question.sources) if name in answered)


def _of(question: Question, answers: Sequence[SourceAnswer], mask: int) -> list[SourceAnswer]:
    merged = {name for place, name in enumerate(question.sources) if mask >> place & 1}
    return [each for each in answers if each.source in merged]


def _refuse_failure(made: Mapping[str, Any]) -> None:
    failed = [source for source in made["sources"] if source["status"] == "error"]
    if failed and len(failed) == len(made["sources"]):
        raise SearchFailed(
            f"Every source of the search {made['search_id']} failed.",
            errors=tuple(FieldError("", source["error"] or "error", f"{source['name']} failed.") for source in failed),
        )


def _has_failed(door: Tenancy, search_id: UUID) -> bool:
    """Whether the job that asks the sources ended without having asked them. One that was kept too long has not."""
    try:
        job = get(door, tenant_id(), search_id)
    except NotFound:
        return False
    return job["state"] in {JobState.FAILED, JobState.CANCELLED}
