"""Hints over Redis: «something is due», «these jobs changed». They make waiting short and are never needed.

Whoever listens asks PostgreSQL, and would have asked a little later anyway. So a hint is sent after the commit, from a
thread of its own, in one go with others; it is dropped when Redis is away; and it names ids only.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from functools import cache
from uuid import UUID

import redis
from redis.exceptions import RedisError

from config.settings import Settings

DUE = "nexus:due"
CHANGED = "nexus:changed"
_RECONNECT_SECONDS = 1.0
_SILENCE_SECONDS = 5.0
_MANY = 10_000
"""Ids that wait to be sent. Beyond that they are forgotten: nobody can be that far behind for long."""


class Hints:
    """One sender per process. Its thread starts with the first hint, and again in a forked child."""

    def __init__(self, url: str | None):
        self._url = url
        self._lock = threading.Lock()
        self._due = False
        self._changed: set[UUID] = set()
        self._wake = threading.Event()
        self._pid: int | None = None

    def due(self) -> None:
        """A job may be due: the leader looks at once."""
        self._due = True
        self._soon()
        time.sleep(0)  # lets the sender go first: what the caller does next, such as answering, takes longer

    def changed(self, job_ids: Iterable[UUID]) -> None:
        """Jobs have a new version: who waits for one of them looks at once."""
        with self._lock:
            if len(self._changed) < _MANY:
                self._changed.update(job_ids)
        self._soon()

    def _soon(self) -> None:
        if self._url is None:
            return
        if self._pid != os.getpid():
            with self._lock:
                if self._pid != os.getpid():
                    self._pid = os.getpid()
                    threading.Thread(target=self._run, args=(self._url,), name="nexus-hints", daemon=True).start()
        self._wake.set()

    def _run(self, url: str) -> None:
        client = _client(url)
        while True:
            self._wake.wait()
            self._wake.clear()
            with self._lock:
                due, self._due = self._due, False
                changed, self._changed = self._changed, set()
            try:
                with client.pipeline(transaction=False) as pipeline:
                    if due:
                        pipeline.publish(DUE, "")
                    if changed:
                        pipeline.publish(CHANGED, ",".join(map(str, changed)))
                    pipeline.execute()
            except RedisError:
                time.sleep(_RECONNECT_SECONDS)


@cache
def _of_process(url: str | None) -> Hints:
    return Hints(url)


def hints(settings: Settings) -> Hints:
    """This process's sender."""
    return _of_process(None if settings.redis_url is None else settings.redis_url.get_secret_value())


class Listener:
    """Calls `heard` with each message of a channel, in a thread of its own, for as long as the process lives.

    After each connection it is called once with an empty text, for what was missed.
    """

    def __init__(self, settings: Settings, channel: str, heard: Callable[[str], None]):
        self._url = None if settings.redis_url is None else settings.redis_url.get_secret_value()
        self._channel = channel
        self._heard = heard
        if self._url is not None:
            threading.Thread(target=self._run, args=(self._url,), name=f"listen-{channel}", daemon=True).start()

    def _run(self, url: str) -> None:
        client = _client(url)
        while True:
            try:
                with client.pubsub(ignore_subscribe_messages=True) as subscription:  # type: ignore[no-untyped-call]
                    subscription.subscribe(self._channel)
                    self._heard("")
                    while True:
                        message = subscription.get_message(timeout=_SILENCE_SECONDS)
                        if message is None:
                            subscription.ping()  # notices a server that has gone without a word
                        elif message["type"] == "message":
                            self._heard(message["data"].decode())
            except RedisError:
                time.sleep(_RECONNECT_SECONDS)


def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_connect_timeout=1, socket_timeout=None, health_check_interval=0)
