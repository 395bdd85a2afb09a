"""The network under one call: it resolves the name itself, judges the addresses, and stops at a moment, not at a pause.

A timeout that begins anew with each byte lets a receiver hold a worker for hours; here the time left shrinks.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Sequence
from typing import Any

import httpcore2

from domain.destinations import Network, is_refused
from domain.errors import Transient
from providers.outbound.names import resolve


class PinnedBackend(httpcore2.NetworkBackend):
    """Connects to judged addresses only. `ends` is a moment of the monotonic clock."""

    def __init__(self, scheme: str, allowed: Sequence[Network], ends: float):
        self._scheme = scheme
        self._allowed = allowed
        self._ends = ends
        self._below = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect to the first address that answers; the name is not looked up again. Raises `Transient`."""
        try:
            addresses = resolve(host, port, left(self._ends))
        except TimeoutError:
            raise httpcore2.ConnectTimeout from None
        if any(is_refused(address, self._scheme, self._allowed) for address in addresses):
            raise Transient("The name leads to an address that tenants may not reach.", code="address_refused")
        for number, address in enumerate(addresses, 1):
            try:
                stream = self._below.connect_tcp(str(address), port, left(self._ends))
                return BoundedStream(stream, self._ends)
            except httpcore2.ConnectError:
                if number == len(addresses):
                    raise
        raise Transient(f"{host} has no address.", code="name_not_resolved")


class BoundedStream(httpcore2.NetworkStream):
    """A stream whose every step has the time that is left."""

    def __init__(self, stream: httpcore2.NetworkStream, ends: float):
        self._stream = stream
        self._ends = ends

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """At most `max_bytes`, within the time that is left."""
        return self._stream.read(max_bytes, left(self._ends))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """All of `buffer`, each piece within the time that is left."""
        self._stream.write(buffer, left(self._ends))

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        """The same over TLS; the certificate must be of the name that the URL holds, not of the address."""
        return BoundedStream(self._stream.start_tls(ssl_context, server_hostname, left(self._ends)), self._ends)

    def get_extra_info(self, info: str) -> Any:
        """As the stream below."""
        return self._stream.get_extra_info(info)


def left(ends: float) -> float:
    """Seconds until `ends`. Raises `ReadTimeout` when there are none."""
    seconds = ends - time.monotonic()
    if seconds <= 0:
        raise httpcore2.ReadTimeout
    return seconds
