"""How long after the SIGKILL of a worker its jobs run again, with another worker there to take them."""

from __future__ import annotations

import time
from typing import Any, LiteralString

from rich.progress import Progress

from bench.engine import Engine, until
from bench.ground import Ground
from bench.peers.base import PROCESSES
from domain.identity.principals import system
from jobs.submit import NewJob, submit

LIMIT_SECONDS = 60.0

_RUNNING: LiteralString = "SELECT count(*) AS jobs FROM jobs WHERE state = 'running' AND attempt = %(attempt)s"


def measure(ground: Ground, rounds: int, progress: Progress) -> dict[str, Any]:
    """Seconds from the kill until all of its jobs run for the second time, for each round."""
    task = progress.add_task("recovery", total=rounds)
    tenant_id, platform = ground.tenant(), ground.tenancy.platform
    seconds = []
    for number in range(rounds):
        progress.update(task, description=f"recovery: round {number + 1}")
        platform.fetch("DELETE FROM jobs", {})
        with Engine(ground.settings, ground.home / "log") as engine:
            victim = engine.worker("default", concurrency=PROCESSES, name="victim")
            engine.dispatcher()
            for _ in range(PROCESSES):
                submit(ground.tenancy, NewJob("system.ping", {"seconds": 60}, system("bench", tenant_id)))
            until(lambda: _running(ground, 1) == PROCESSES, LIMIT_SECONDS, ground.logged("the jobs run"))
            heir = engine.worker("default", concurrency=PROCESSES, name="heir")
            time.sleep(3.0 + 2.0 * number)  # another point of the lease in each round
            engine.kill(victim)
            seconds.append(
                until(lambda: _running(ground, 2) == PROCESSES, LIMIT_SECONDS, ground.logged("the jobs run again"))
            )
            engine.kill(heir)  # in order, it would finish them first
        progress.advance(task)
    return {"rounds": rounds, "jobs": PROCESSES, "lease_seconds": ground.settings.lease_seconds, "seconds": seconds}


def _running(ground: Ground, attempt: int) -> int:
    return int(ground.tenancy.platform.fetch(_RUNNING, {"attempt": attempt})[0]["jobs"])
