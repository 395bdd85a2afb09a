"""The workers of a chaos run: the platform's own, in which `system.ping` does what its message asks for.

So there is poison that really kills its worker, jobs that fail before they succeed, handlers that submit children, and a
fan-in that reads results, while the API, the dispatcher and the engine are the product as it is.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from typing import Any

from bench.chaos.workload import DIE, FAMILY, STUMBLE, SUM
from domain.errors import Transient
from jobs.context import JobContext
from jobs.handlers import HANDLERS
from tasks.system import ping
from workers.app import app

__all__ = ["app"]

_BEFORE_DEATH = 0.3
"""Seconds in which the API can be seen to say `running`."""


def behave(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Do what the message asks for; other messages come back as from the platform's own handler."""
    wish, _, number = payload["message"].partition(" ")
    if wish == DIE:
        context.wait(_BEFORE_DEATH)
        os.kill(os.getpid(), signal.SIGKILL)
    if wish == STUMBLE and context.attempt <= int(number):
        raise Transient(f"Attempt {context.attempt} was asked to fail.", code="asked_to_fail")
    if wish == FAMILY:
        for child in range(int(number)):
            context.submit("system.ping", {"message": str(child)}, key=str(child))
    if wish == SUM:
        taken = [each.result["message"] for each in context.dependencies() if each.state == "succeeded"]
        return {"message": str(sum(map(int, taken)))}
    return ping(context, payload)


HANDLERS["system.ping"] = behave
