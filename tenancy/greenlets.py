"""Databases where requests are greenlets, as under gunicorn: what is ready already is not waited for.

A wait hands the process to every other greenlet that can go on, for tens of milliseconds when many can. psycopg waits before each
command of a pipeline until the socket takes it, which it nearly always does: seven waits for a statement with its scope, of which
one is for the server.
"""

from __future__ import annotations

import select
import sys
from typing import TypeVar

from psycopg.abc import PQGen
from psycopg.waiting import Ready, Wait

RV = TypeVar("RV")

_EVENTS = {Wait.R: select.POLLIN, Wait.W: select.POLLOUT, Wait.RW: select.POLLIN | select.POLLOUT}
_READY = {0: Ready.NONE, select.POLLIN: Ready.R, select.POLLOUT: Ready.W, select.POLLIN | select.POLLOUT: Ready.RW}


def is_patched() -> bool:
    """Whether requests are greenlets here: gunicorn has loaded gevent and patched the standard library."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("socket"))


def system_poll() -> select.poll:
    """The system's own `poll`, for a look that waits for nothing; gevent's would wait for the other greenlets."""
    if not is_patched():
        return select.poll()
    from gevent.monkey import get_original  # noqa: PLC0415  # only where gunicorn has loaded it already

    poll: select.poll = get_original("select", "poll")()
    return poll


def looked(gen: PQGen[RV], fileno: int) -> PQGen[RV]:
    """psycopg's generator, which is told at once what is ready; only for what is not, this one asks to wait."""
    poll = system_poll()
    try:
        wish = next(gen)
        poll.register(fileno, _EVENTS[wish])
        while True:
            wish = gen.send(_ready(poll) or (yield wish))
            poll.modify(fileno, _EVENTS[wish])
    except StopIteration as done:
        value: RV = done.value
        return value


def _ready(poll: select.poll) -> Ready:
    """What of the socket is ready; nothing also for one that is broken, of which a wait tells."""
    seen = poll.poll(0)
    return _READY[seen[0][1] & (select.POLLIN | select.POLLOUT) if seen else 0]
