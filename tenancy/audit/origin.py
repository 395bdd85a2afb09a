"""Who acts: set at the edge, by the API for each request and by a worker for each job, and read where something is noted.

It travels beside the call, as the ids in the logs do, so that no function between has to hand it on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from domain.audit.entries import Origin

_origin: ContextVar[Origin | None] = ContextVar("nexus_audit_origin", default=None)
_PLATFORM_ITSELF = Origin("system:nexus")


def current_origin() -> Origin:
    """Who acts; the platform itself where nobody said otherwise."""
    return _origin.get() or _PLATFORM_ITSELF


def set_origin(origin: Origin) -> None:
    """From here on in this request, this one acts. Each request begins by setting it."""
    _origin.set(origin)


@contextmanager
def acting(origin: Origin) -> Iterator[None]:
    """Within the block, this one acts."""
    token = _origin.set(origin)
    try:
        yield
    finally:
        _origin.reset(token)
