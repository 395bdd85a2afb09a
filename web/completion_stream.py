"""A completion as it comes: its text piece by piece over Redis, its end from the job's row. Without Redis, all at the end.

Events: `job` first, with the job; `text` with a piece; `restart` when what came before is void, because the job's attempt broke off
and the next one begins anew; at the end `completion` with the whole result, or `error`. The id of a `text` event says how far the
client is: with `Last-Event-ID` only what is newer comes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import structlog
from flask import Response, request
from redis.exceptions import RedisError

from domain.errors import NotFound
from domain.jobs.states import JobState
from jobs.queries import get
from jobs.rows import JobRow, error_of, is_finished, result_of
from jobs.texts import Listening, Piece
from jobs.watch import Watcher
from tenancy.access import Tenancy
from tenancy.vault import Vault
from web.errors import DATABASE_AWAY
from web.jobs_response import address, job_body
from web.sse import HEARTBEAT_SECONDS, RETRY_MILLISECONDS, STREAM_SECONDS

LOOK_SECONDS = 1.0
"""How long a stream that hears nothing goes without asking whether the job's row has changed, which one query tells all streams."""

_POSITION = re.compile(r"([0-9]{1,6})\.([0-9]{1,9})")

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Reader:
    """What the client has: pieces of `attempt` up to `number`, which make `text`.

    `sure` is false once a piece is missing, or if it is not known what the client has.
    """

    attempt: int = 0
    number: int = 0
    text: str = ""
    sure: bool = True
    seen: tuple[int, int] | None = None
    """As the client told on its return."""

    ended: bool = False
    out: list[str] = field(default_factory=list)

    def take(self, piece: Piece) -> None:
        """Pass a piece on, if it is the next one."""
        if piece.attempt > self.attempt:
            begun = self.attempt > 0 or (self.seen is not None and self.seen[0] < piece.attempt)
            if begun:
                self.out.append(_event("restart", {"attempt": piece.attempt}))
            self.attempt, self.number, self.text, self.ended, self.sure = piece.attempt, 0, "", False, True
        if piece.attempt < self.attempt or piece.number < self.number or not self.sure:
            return
        if piece.number > self.number:
            self.sure = False
            return
        self.number += 1
        if piece.text is None:
            self.ended = True
            return
        self.text += piece.text
        if self.seen is None or (piece.attempt, piece.number) > self.seen:
            self.out.append(_event("text", {"text": piece.text}, f"{piece.attempt}.{piece.number}"))

    def rest(self, whole: str) -> None:
        """What the client lacks of the whole text; all of it, where that cannot be known."""
        if self.sure and whole.startswith(self.text) and (self.seen is None or self.text):
            missing = whole[len(self.text) :]
        else:
            self.out.append(_event("restart", {"attempt": self.attempt}))
            missing = whole
        if missing:
            self.out.append(_event("text", {"text": missing}))

    def said(self) -> Iterator[str]:
        """What there is to send, once."""
        out, self.out = self.out, []
        yield from out


def completion_stream(tenancy: Tenancy, watcher: Watcher, row: JobRow) -> Response:
    """The stream of this job, to its end. 10 minutes at most; the client comes again with `Last-Event-ID`."""
    vault = tenancy.vault(row["tenant_id"])
    position = _POSITION.fullmatch(request.headers.get("Last-Event-ID", ""))
    reader = _Reader(seen=None if position is None else (int(position[1]), int(position[2])))
    body = _events(tenancy, watcher, row, vault, reader)
    response = Response(body, mimetype="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    response.headers["Location"] = address(row)
    return response


def _events(tenancy: Tenancy, watcher: Watcher, row: JobRow, vault: Vault, reader: _Reader) -> Iterator[str]:
    yield f"retry: {RETRY_MILLISECONDS}\n\n" + _event("job", job_body(row, vault))
    ends = monotonic() + STREAM_SECONDS
    try:
        if not is_finished(row):
            try:
                yield from _heard(tenancy, watcher, row, vault, reader, ends)
            except RedisError:
                log.info("completion_stream.no_texts", job_id=str(row["id"]))
        row = get(tenancy, row["tenant_id"], row["id"])
        while not is_finished(row):
            left = ends - monotonic()
            if left <= 0:
                return
            row = watcher.wait_finished(row["tenant_id"], row["id"], min(HEARTBEAT_SECONDS, left))
            if not is_finished(row):
                yield ": heartbeat\n\n"
        yield from _end(row, vault, reader)
    except NotFound:
        return  # its retention ended
    except DATABASE_AWAY as error:
        # The answer has begun, so it can only end; the client returns and is told then.
        log.warning("stream.database_unreachable", job_id=str(row["id"]), error=type(error).__name__)


def _heard(
    tenancy: Tenancy, watcher: Watcher, row: JobRow, vault: Vault, reader: _Reader, ends: float
) -> Iterator[str]:
    """Pieces as they come, until the job has finished. Raises `RedisError`."""
    with Listening(tenancy.settings, row["id"], vault) as listening, watcher.watching(row) as waiter:
        # After subscribing, so that nothing falls between what is kept and what comes. A job that had not begun had said nothing; if
        # it has begun since, the number of the next piece tells what is missing, or the first silence has us look.
        looked = row["state"] == JobState.RUNNING
        for piece in listening.so_far() if looked else ():
            reader.take(piece)
        spoke = monotonic()
        while (now := monotonic()) < ends:
            yield from reader.said()
            if reader.ended or waiter.woken.is_set():
                waiter.woken.clear()
                # After its last piece the job's end is a moment away, unless it is to be tried again.
                row = watcher.wait_finished(row["tenant_id"], row["id"], LOOK_SECONDS if reader.ended else 0.0)
                if is_finished(row):
                    return
                waiter.version, reader.ended = row["version"], False
            found = listening.next(LOOK_SECONDS)
            if found is not None:
                spoke = monotonic()
                _take_with_missed(listening, reader, found)
            elif not looked:
                looked = True
                for piece in listening.so_far():
                    reader.take(piece)
            elif now - spoke > HEARTBEAT_SECONDS:
                spoke = now
                yield ": heartbeat\n\n"


def _take_with_missed(listening: Listening, reader: _Reader, piece: Piece) -> None:
    """Redis drops messages to a reader that is slow or was cut off; its list still has them."""
    if piece.number > (reader.number if piece.attempt == reader.attempt else 0):
        for kept in listening.so_far():
            reader.take(kept)
    reader.take(piece)


def _end(row: JobRow, vault: Vault, reader: _Reader) -> Iterator[str]:
    result: Any = result_of(row, vault)
    if row["state"] == "succeeded" and result is not None:
        reader.rest(result["text"])
        yield from reader.said()
        yield _event("completion", result)
        return
    error: Any = error_of(row, vault) or {"code": row["state"], "title": "The completion ended", "detail": ""}
    told = {name: error.get(name) for name in ("code", "title", "detail")}
    yield _event("error", {**told, "state": row["state"]})


def _event(name: str, data: Any, event_id: str | None = None) -> str:
    head = "" if event_id is None else f"id: {event_id}\n"
    return f"{head}event: {name}\ndata: {json.dumps(data, separators=(',', ':'), default=str)}\n\n"
