"""The text that a running job says, piece by piece, over Redis: from the worker that hears it to the clients that read along.

Never needed: the job's result holds the whole text, so what Redis loses comes late, not never. Each piece is sealed with the
tenant's keys, published, and kept for a while in a list, so that who comes later or again reads from the beginning.
"""

from __future__ import annotations

import json
import os
import queue
import threading
import time
from dataclasses import dataclass, field
from functools import cache
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import redis
from redis.exceptions import RedisError

from config.settings import Settings
from jobs.text_hub import text_hub
from tenancy.vault import SealBroken, Vault

TOGETHER_SECONDS = 0.01
"""The least time between two sendings; what comes meanwhile goes together. The first piece after a pause goes at once."""

KEPT_SECONDS = 900
_RECONNECT_SECONDS = 1.0
_MANY = 100_000
"""Characters of a job's text that wait to be sent. Beyond that its text is given up: nobody reads along any more."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Piece `number` (from 0) of what `attempt` says; `text` is None at its end."""

    attempt: int
    number: int
    text: str | None


@dataclass(slots=True)
class _Speech:
    vault: Vault
    attempt: int
    number: int = 0
    waiting: list[str] = field(default_factory=list)
    size: int = 0
    ended: bool = False


class Speaker:
    """One sender per process. Its thread starts with the first piece, and again in a forked child."""

    def __init__(self, url: str | None):
        self._url = url
        self._lock = threading.Lock()
        self._speeches: dict[UUID, _Speech] = {}
        self._wake = threading.Event()
        self._pid: int | None = None

    def say(self, job_id: UUID, attempt: int, vault: Vault, text: str) -> None:
        """Send a piece of the text; never waits."""
        if self._url is None:
            return
        with self._lock:
            speech = self._speeches.get(job_id)
            if speech is None or speech.attempt != attempt:
                speech = self._speeches[job_id] = _Speech(vault, attempt)
            if speech.size < _MANY:
                speech.waiting.append(text)
                speech.size += len(text)
            self._start(self._url)
        self._wake.set()

    def end(self, job_id: UUID) -> None:
        """The job says no more in this attempt."""
        with self._lock:
            speech = self._speeches.get(job_id)
            if speech is not None:
                speech.ended = True
        self._wake.set()

    def _start(self, url: str) -> None:
        if self._pid != os.getpid():
            self._pid = os.getpid()
            threading.Thread(target=self._run, args=(url,), name="nexus-texts", daemon=True).start()

    def _run(self, url: str) -> None:
        client = _client(url)
        while True:
            self._wake.wait()
            self._wake.clear()
            try:
                with client.pipeline(transaction=False) as pipeline:
                    self._collect(pipeline)
                    pipeline.execute()
            except RedisError:
                time.sleep(_RECONNECT_SECONDS)
            time.sleep(TOGETHER_SECONDS)

    def _collect(self, pipeline: redis.client.Pipeline) -> None:
        with self._lock:
            ready = [(job_id, speech, "".join(speech.waiting), speech.ended)
                     for job_id, speech in self._speeches.items() if speech.waiting or speech.ended]  # fmt: skip
            for job_id, speech, _, ended in ready:
                speech.waiting, speech.size = [], 0
                if ended:
                    del self._speeches[job_id]
        for job_id, speech, text, ended in ready:
            if text:
                _send(pipeline, job_id, speech, text)
            if ended:
                _send(pipeline, job_id, speech, None)


def _send(pipeline: redis.client.Pipeline, job_id: UUID, speech: _Speech, text: str | None) -> None:
    plain = json.dumps([speech.attempt, speech.number, text]).encode()
    sealed = speech.vault.seal(plain, "jobs", "text", job_id)
    name = _name(job_id)
    if speech.number == 0:
        pipeline.delete(name)
    pipeline.rpush(name, sealed)
    if speech.number == 0:
        pipeline.expire(name, KEPT_SECONDS)
    pipeline.publish(name, sealed)
    speech.number += 1


class Listening:
    """What a job says, for one who reads along. To be closed, as a context manager. Raises `RedisError` where Redis is away.

    All who read along in a process share one connection that hears, and a few that look things up.
    """

    def __init__(self, settings: Settings, job_id: UUID, vault: Vault):
        if settings.redis_url is None:
            raise RedisError("there is no Redis")
        url = settings.redis_url.get_secret_value()
        self._job_id, self._name, self._vault = job_id, _name(job_id), vault
        self._client, self._hub = _reader(url), text_hub(url)

    def __enter__(self) -> Self:
        self._ear = self._hub.join(self._name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hub.leave(self._name, self._ear)

    def so_far(self, number: int = 0) -> list[Piece]:
        """What was said until now, from that piece on."""
        kept: Any = self._client.lrange(self._name, number, -1)
        return [piece for sealed in kept if (piece := self._opened(sealed)) is not None]

    def next(self, seconds: float) -> Piece | None:
        """The next piece, or None if none comes for so long."""
        try:
            sealed = self._ear.queue.get(timeout=seconds)
        except queue.Empty:
            return None
        if sealed is None:
            raise RedisError("the connection broke")
        return self._opened(sealed)

    def _opened(self, sealed: bytes) -> Piece | None:
        try:
            return Piece(*json.loads(self._vault.open(sealed, "jobs", "text", self._job_id)))
        except SealBroken:  # not of ours: whoever can write to Redis can write this
            return None


@cache
def _of_process(url: str | None) -> Speaker:
    return Speaker(url)


def speaker(settings: Settings) -> Speaker:
    """This process's sender."""
    return _of_process(None if settings.redis_url is None else settings.redis_url.get_secret_value())


def _name(job_id: UUID) -> str:
    return f"nexus:text:{job_id}"


@cache
def _reader(url: str) -> redis.Redis:
    return _client(url)


def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_connect_timeout=1, socket_timeout=5, health_check_interval=0)
