"""The HTTP client under the vendors' SDKs."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

    import httpx2

    from providers.llm.base import Reach

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 120.0
"""A provider that says nothing for this long, not even a part of a stream, is taken for dead."""


def http_client(reach: Reach) -> httpx2.Client:
    """A client that follows no redirect and reads no proxy or credentials from the environment.

    A tenant may choose the address, so a redirect could lead inside. It is made to be kept: its connections stay open between
    calls. Each call brings its own `timeouts`.
    """
    import httpx2

    from providers.llm.transport import Connections

    return httpx2.Client(transport=Connections(reach, certificates()), follow_redirects=False, trust_env=False)


def timeouts(seconds: float) -> httpx2.Timeout:
    """For a call that may take `seconds` in all, from connecting to the answer's last byte."""
    import httpx2

    step = min(SILENCE_SECONDS, seconds)
    return httpx2.Timeout(connect=min(CONNECT_SECONDS, seconds), read=step, write=step, pool=seconds)


@cache
def certificates() -> ssl.SSLContext:
    """What a client of its own would load each time: 20 ms of processor time."""
    import httpx2

    return httpx2.create_ssl_context(trust_env=False)
