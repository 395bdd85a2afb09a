"""One POST to a tenant's address. No redirect is followed, and no proxy or credentials come from the environment."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from domain.destinations import Destination, Network
from domain.errors import Transient


class NotConnected(Transient):
    """No connection came about, so the receiver has nothing of what was to be sent."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the receiver answered; `body` is cut off at the caller's limit. Names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def post(
    destination: Destination,
    headers: Mapping[str, str],
    body: bytes,
    *,
    allowed: Sequence[Network] = (),
    timeout: float,
    limit: int,
    ssl_context: ssl.SSLContext | None = None,
) -> Answer:
    """Send `body`, wait at most `timeout` seconds for it all, and return the answer, whatever its status.

    The name is resolved now, every address that it has must pass `domain.destinations.is_refused`, and the connection goes to
    one of exactly those. Raises `Transient` with the code `address_refused`, `name_not_resolved`, `connection_failed`,
    `tls_failed`, `timeout` or `malformed_answer`; as `NotConnected` if the connection did not even come about.
    """
    import httpcore2

    from providers.outbound.pinned import PinnedBackend

    backend = PinnedBackend(destination.scheme, allowed, time.monotonic() + timeout)
    context = ssl_context or _trusted()
    try:
        with (
            httpcore2.ConnectionPool(ssl_context=context, network_backend=backend, max_connections=1) as pool,
            pool.stream("POST", destination.url, headers=list(headers.items()), content=body) as response,
        ):
            names = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
            return Answer(response.status, names, _beginning(response.iter_stream(), limit))
    except httpcore2.ConnectTimeout:
        raise NotConnected(f"No connection within {timeout:.0f} s.", code="timeout") from None
    except httpcore2.TimeoutException:
        raise Transient(f"No answer within {timeout:.0f} s.", code="timeout") from None
    except httpcore2.NetworkError as error:
        if any(isinstance(reason, ssl.SSLError) for reason in error.args):
            raise Transient("The receiver's certificate or TLS was refused.", code="tls_failed") from None
        kind = NotConnected if isinstance(error, httpcore2.ConnectError) else Transient
        raise kind("The connection failed.", code="connection_failed") from None
    except httpcore2.ProtocolError:
        raise Transient("The answer is not HTTP.", code="malformed_answer") from None


@cache
def _trusted() -> ssl.SSLContext:
    """The system's authorities, read once: that takes longer than a quick receiver's whole answer."""
    return ssl.create_default_context()


def _beginning(chunks: Iterable[bytes], limit: int) -> bytes:
    """The first `limit` bytes. A body that breaks off is as good as a short one: the status has been said."""
    import httpcore2

    kept = bytearray()
    try:
        for chunk in chunks:
            kept += chunk
            if len(kept) >= limit:
                break
    except (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError):
        pass
    return bytes(kept[:limit])
