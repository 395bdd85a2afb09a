"""All that the readers of one process hear of running jobs, over one connection to Redis.

A reader costs an entry in a table and a queue: no connection, and no thread. When the connection breaks all readers are told, and
whoever comes after that has a new one.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from functools import cache
from typing import Any

import redis
from redis.exceptions import RedisError

SILENCE_SECONDS = 5.0
"""After so long without a word the server is asked whether it is there."""
PATIENCE_SECONDS = 5.0
"""How long a reader waits for its subscription."""
_MANY = 1000
"""Messages that wait for a reader. What is beyond that is dropped: the list has it."""

Heard = bytes | None
"""None: nothing more will come, for the connection is gone."""


class _Ear:
    """One reader's messages."""

    def __init__(self) -> None:
        self.queue: queue.Queue[Heard] = queue.Queue(_MANY)

    def tell(self, heard: Heard) -> None:
        """Never waits."""
        with contextlib.suppress(queue.Full):
            self.queue.put_nowait(heard)


class _Channel:
    def __init__(self) -> None:
        self.ears: set[_Ear] = set()
        self.settled = threading.Event()
        """The server has confirmed the subscription, or never will."""


class TextHub:
    """Its thread starts with the first reader, and again in a forked child."""

    def __init__(self, url: str):
        self._url = url
        self._lock = threading.Lock()
        self._forget()

    def join(self, name: str) -> _Ear:
        """Hear what is published under the name from now on. Raises `RedisError`."""
        ear, key = _Ear(), name.encode()
        with self._lock:
            self._connected()
            channel = self._channels.get(key)
            if channel is None:
                channel = self._channels[key] = _Channel()
                self._send("SUBSCRIBE", name)
            channel.ears.add(ear)
        if not channel.settled.wait(PATIENCE_SECONDS) or not self._hears(key, ear):
            self.leave(name, ear)
            raise RedisError("the subscription was not confirmed")
        return ear

    def leave(self, name: str, ear: _Ear) -> None:
        """Hear no more."""
        with self._lock:
            channel = self._channels.get(name.encode())
            if channel is None:
                return
            channel.ears.discard(ear)
            if not channel.ears:
                del self._channels[name.encode()]
                with contextlib.suppress(RedisError, OSError):
                    self._send("UNSUBSCRIBE", name)

    def __len__(self) -> int:
        return len(self._channels)

    def _forget(self) -> None:
        self._channels: dict[bytes, _Channel] = {}
        self._connection: Any = None  # redis-py's connections have no common type
        self._pid = os.getpid()

    def _hears(self, key: bytes, ear: _Ear) -> bool:
        with self._lock:
            channel = self._channels.get(key)
            return channel is not None and ear in channel.ears

    def _connected(self) -> None:
        """Connect, unless that was done. The lock is held, so that readers who come meanwhile find the connection."""
        if self._pid != os.getpid():
            self._forget()
        if self._connection is not None:
            return
        pool = redis.ConnectionPool.from_url(self._url, protocol=2, socket_connect_timeout=1, socket_timeout=5)
        try:
            connection: Any = pool.make_connection()
            connection.connect()
        except OSError as error:
            raise RedisError(str(error)) from error
        self._connection = connection
        threading.Thread(target=self._listen, args=(connection,), name="nexus-text-hub", daemon=True).start()

    def _send(self, *command: str) -> None:
        if self._connection is not None:
            self._connection.send_command(*command, check_health=False)

    def _listen(self, connection: Any) -> None:
        asked = False
        try:
            while True:
                if connection.can_read(timeout=SILENCE_SECONDS):
                    asked = False
                    self._take(connection.read_response())
                elif asked:
                    return  # it has not answered: a server that vanished without a word
                else:
                    asked = True
                    with self._lock:
                        connection.send_command("PING", check_health=False)
        except (RedisError, OSError, ValueError):
            return
        finally:
            self._lost(connection)

    def _take(self, said: Any) -> None:
        kind, name, *rest = said
        if kind == b"message":
            with self._lock:
                channel = self._channels.get(name)
                ears = () if channel is None else tuple(channel.ears)
            for ear in ears:
                ear.tell(rest[0])
        elif kind == b"subscribe":
            with self._lock:
                channel = self._channels.get(name)
            if channel is not None:
                channel.settled.set()

    def _lost(self, connection: Any) -> None:
        """Tell all who heard by it."""
        with self._lock:
            if self._connection is not connection:
                return
            channels = list(self._channels.values())
            self._forget()
        with contextlib.suppress(RedisError, OSError):
            connection.disconnect()
        for channel in channels:
            channel.settled.set()
            for ear in channel.ears:
                ear.tell(None)


@cache
def text_hub(url: str) -> TextHub:
    """This process's hub."""
    return TextHub(url)
