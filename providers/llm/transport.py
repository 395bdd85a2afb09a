"""Connections under the vendors' SDKs: kept open between calls, one exchange on each, bounded in time as a whole.

httpx's own pool looks through all of its connections at every request and at every answer, under one lock: with hundreds of calls
in flight that is most of what a call costs. Here a free connection is taken from a stack and put back, whatever their number.

Imported when a client is made, not with the room: its base classes are httpx2's.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import httpcore2
import httpx2

from providers.llm.base import Reach
from providers.llm.network import Line

KEPT = 256
"""Idle connections that a client keeps at most."""

IDLE_SECONDS = 60.0


class Connections(httpx2.BaseTransport):
    """The connections of one client, all to one origin. `reach` judges the addresses that they go to.

    Of the request's timeouts, `pool` bounds the whole exchange, for nobody waits for a pool here; the others bound a step of it.
    """

    def __init__(self, reach: Reach, certificates: ssl.SSLContext):
        self._reach = reach
        self._certificates = certificates
        self._idle: deque[_Connection] = deque()
        self._closed = False

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send on a free connection, or on a new one. Raises httpx2's errors, and what `reach` says of the address."""
        if not isinstance(request.stream, httpx2.SyncByteStream):
            raise TypeError("the body must be one that is read synchronously")
        asked = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        connection = self._take() or _Connection(asked.url.origin, self._reach, self._certificates)
        connection.line.ends = time.monotonic() + request.extensions["timeout"]["pool"]
        try:
            with _as_httpx2():
                answer = connection.http.handle_request(asked)
        except BaseException:
            connection.http.close()
            raise
        body = _Body(self, connection, answer.stream)
        return httpx2.Response(answer.status, headers=answer.headers, stream=body, extensions=answer.extensions)

    def put_back(self, connection: _Connection) -> None:
        """Keep a connection whose exchange is over, if it can carry another."""
        if self._closed or not connection.http.is_available():
            connection.http.close()
            return
        self._idle.append(connection)
        if len(self._idle) > KEPT or self._idle[0].http.has_expired():
            self._drop_oldest()

    def close(self) -> None:
        """Close what is idle; what is in use closes when its exchange is over."""
        self._closed = True
        while self._idle:
            self._drop_oldest()

    def _take(self) -> _Connection | None:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if not connection.http.has_expired():
                return connection
            connection.http.close()

    def _drop_oldest(self) -> None:
        try:
            self._idle.popleft().http.close()
        except IndexError:
            return


class _Connection:
    """A connection and the line that it runs over, whose time is set anew for each exchange."""

    __slots__ = ("http", "line")

    def __init__(self, origin: httpcore2.Origin, reach: Reach, certificates: ssl.SSLContext):
        self.line = Line(origin.scheme.decode(), reach)
        self.http = httpcore2.HTTPConnection(
            origin=origin, ssl_context=certificates, keepalive_expiry=IDLE_SECONDS, network_backend=self.line
        )


class _Body(httpx2.SyncByteStream):
    """An answer's body. Its end gives the connection back, once."""

    def __init__(self, owner: Connections, connection: _Connection, stream: Iterable[bytes] | object):
        self._owner = owner
        self._connection: _Connection | None = connection
        self._stream = stream
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx2():
            yield from self._stream  # type: ignore[misc]  # httpcore2 types it for its asynchronous side as well

    def close(self) -> None:
        """End the exchange."""
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            self._stream.close()  # type: ignore[union-attr]  # see above
            self._owner.put_back(connection)


@contextmanager
def _as_httpx2() -> Iterator[None]:
    """The SDKs tell a timeout from a broken connection by httpx2's classes."""
    try:
        yield
    except httpcore2.ConnectTimeout as error:
        raise httpx2.ConnectTimeout(str(error)) from error
    except httpcore2.TimeoutException as error:
        raise httpx2.ReadTimeout(str(error)) from error
    except httpcore2.NetworkError as error:
        raise httpx2.NetworkError(str(error)) from error
    except httpcore2.ProtocolError as error:
        raise httpx2.RemoteProtocolError(str(error)) from error
