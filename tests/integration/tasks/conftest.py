"""Handlers are called as a worker calls them: with a claimed job's context, on real databases."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from aiosmtpd.controller import Controller

import tasks
from domain.ids import new_id
from jobs.context import JobContext
from tenancy.access import Tenancy
from tests.contracts.smtp_double import SmtpDouble

tasks.load()


@pytest.fixture
def under() -> Iterator[Callable[..., JobContext]]:
    """The same claimed job in a process with other settings."""
    opened: list[Tenancy] = []

    def make(context: JobContext, **fields: Any) -> JobContext:
        tenancy = Tenancy(context.settings.model_copy(update=fields), "engine")
        opened.append(tenancy)
        return replace(context, tenancy=tenancy)

    yield make
    for tenancy in opened:
        tenancy.dispose()


def next_attempt(context: JobContext) -> JobContext:
    """The job's next attempt, as after a crash or a failure of the one before: the job is its own from now on."""
    following = replace(context, attempt=context.attempt + 1, token=new_id())
    context.tenancy.platform.fetch(
        "UPDATE jobs SET token = %(new)s, attempt = %(attempt)s WHERE id = %(id)s AND state = 'running'",
        {"id": context.job_id, "new": following.token, "attempt": following.attempt},
    )
    return following


class _AnyPort(Controller):
    """Tries the port that it was given by the system, where aiosmtpd would try port 0."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


class HoldingSmtpDouble(SmtpDouble):
    """Knows one action more: `hold` waits for `released` and then succeeds. `held` tells when it or `hang` has begun."""

    def __init__(self) -> None:
        super().__init__()
        self.held = threading.Event()

    async def _act(self, server: Any, step: Any, normally: str) -> str:
        if self.script.get(step) in {"hold", "hang"}:
            self.held.set()
        if self.script.get(step) != "hold":
            return await super()._act(server, step, normally)
        await self.released.wait()
        return normally


@pytest.fixture
def smtp() -> Iterator[HoldingSmtpDouble]:
    """A mail server that follows the test's script."""
    double = HoldingSmtpDouble()
    controller = _AnyPort(double, hostname="127.0.0.1", port=0)
    controller.start()
    double.port = controller.port
    try:
        yield double
    finally:
        double.released.set()
        controller.stop()
