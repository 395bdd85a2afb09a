"""Work that would hold up every other request of a gevent worker: hashing of passwords, for example."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

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


def is_patched() -> bool:
    """Whether requests are greenlets here: gunicorn has loaded gevent and patched the standard library."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("socket"))
