"""Work that would hold up every other request of a gevent worker: hashing of passwords, for example."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from tenancy.greenlets import is_patched

P = ParamSpec("P")
R = TypeVar("R")


def offload(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call `function` in gevent's pool of real threads, while other requests go on; without gevent, call it here.

    `function` must release the interpreter's lock while it computes, as argon2 does, and must neither use sockets nor
    Flask's context. What it raises is raised here.
    """
    if not is_patched():
        return function(*args, **kwargs)
    import gevent  # noqa: PLC0415  # only where gunicorn has loaded it already

    result: R = gevent.get_hub().threadpool.apply(function, args, kwargs)
    return result
