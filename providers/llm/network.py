"""The network under one connection to a language model: who may be reached, and until when.

Imported when a client is made, as httpcore2 is.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore2

from domain.destinations import is_refused
from domain.errors import Permanent
from providers.llm.base import Reach
from providers.outbound.names import resolve


class Line(httpcore2.NetworkBackend):
    """Connects, and bounds each step by the moment `ends` of the monotonic clock besides the step's own timeout."""

    def __init__(self, scheme: str, reach: Reach):
        self.ends = 0.0
        self._scheme = scheme
        self._reach = reach
        self._below = httpcore2.SyncBackend()

    def left(self, timeout: float | None) -> float:
        """Seconds that a step may take. Raises `ReadTimeout` when the exchange is out of time."""
        seconds = self.ends - time.monotonic()
        if seconds <= 0:
            raise httpcore2.ReadTimeout
        return seconds if timeout is None else min(seconds, timeout)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect. A judged name is looked up here, and connected to at one of exactly the addresses that passed.

        Raises `Permanent` (`address_refused`) for a name with a private address.
        """
        if not self._reach.judged:
            return _Stream(self._below.connect_tcp(host, port, self.left(timeout)), self)
        try:
            addresses = resolve(host, port, self.left(timeout))
        except TimeoutError:
            raise httpcore2.ConnectTimeout from None
        if any(is_refused(address, self._scheme, self._reach.allowed) for address in addresses):
            raise Permanent("The base URL leads to an address that may not be reached.", code="address_refused")
        for number, address in enumerate(addresses, 1):
            try:
                return _Stream(self._below.connect_tcp(str(address), port, self.left(timeout)), self)
            except httpcore2.ConnectError:
                if number == len(addresses):
                    raise
        raise httpcore2.ConnectError("the name has no address")


class _Stream(httpcore2.NetworkStream):
    """A stream whose every step has the time that its line has left."""

    def __init__(self, below: httpcore2.NetworkStream, line: Line):
        self._below = below
        self._line = line

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """At most `max_bytes`."""
        return self._below.read(max_bytes, self._line.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """All of `buffer`."""
        self._below.write(buffer, self._line.left(timeout))

    def close(self) -> None:
        """Close the connection."""
        self._below.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        """The same over TLS; the certificate must be of the name that the URL holds, not of the address."""
        return _Stream(self._below.start_tls(ssl_context, server_hostname, self._line.left(timeout)), self._line)

    def get_extra_info(self, info: str) -> Any:
        """As the stream below."""
        return self._below.get_extra_info(info)
