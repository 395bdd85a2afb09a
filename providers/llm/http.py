"""The HTTP client under the vendors' SDKs."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

    import httpx2


def http_client(timeout: float) -> httpx2.Client:
    """A client that follows no redirect and reads no proxy or credentials from the environment.

    A tenant may choose the address, so a redirect could lead inside. `timeout` in seconds holds for the connection and
    each read. One client per call: none is shared over a fork, and none is left open.
    """
    import httpx2

    return httpx2.Client(timeout=timeout, follow_redirects=False, trust_env=False, verify=_certificates())


@cache
def _certificates() -> ssl.SSLContext:
    """What a client of its own would load each time: 20 ms of processor time, which hundreds of calls at once queue for."""
    import httpx2

    return httpx2.create_ssl_context(trust_env=False)
