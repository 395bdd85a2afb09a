"""`system.ping`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from domain.errors import Cancelled, DeadlineExceeded
from jobs.handlers import HANDLERS
from jobs.kinds import KINDS
from tasks.system import ping


def test_every_kind_has_its_handler() -> None:
    assert HANDLERS.keys() == KINDS.keys()


def test_ping_gives_its_message_back(make_context: Callable[..., Any], pooled_tenant: UUID) -> None:
    context, payload = make_context("system.ping", pooled_tenant, {"message": "hello"})

    assert ping(context, payload) == {"message": "hello"}
    assert context.sink.seen == [(0, 0, "done")]


def test_ping_takes_the_time_it_was_asked_and_says_how_far_it_is(
    make_context: Callable[..., Any], pooled_tenant: UUID
) -> None:
    context, payload = make_context("system.ping", pooled_tenant, {"seconds": 0.7})
    started = time.monotonic()

    ping(context, payload)

    assert time.monotonic() - started >= 0.7
    done = [step[0] for step in context.sink.seen]
    assert done == sorted(done)
    assert (done[0] < 100, done[-1], len(done)) == (True, 700, 3)


def test_a_cancelled_ping_stops(make_context: Callable[..., Any], pooled_tenant: UUID) -> None:
    context, payload = make_context("system.ping", pooled_tenant, {"seconds": 60})
    context.request_cancel()

    with pytest.raises(Cancelled):
        ping(context, payload)


def test_a_ping_past_its_deadline_stops(make_context: Callable[..., Any], pooled_tenant: UUID) -> None:
    context, payload = make_context("system.ping", pooled_tenant, {"seconds": 60}, seconds=0.1)

    with pytest.raises(DeadlineExceeded):
        ping(context, payload)
