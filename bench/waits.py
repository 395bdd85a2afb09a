"""Jobs that wait for a provider: completions against a double that answers after two seconds, all at once on one worker.

The ideal is the provider's own two seconds; what comes on top is ours.
"""

from __future__ import annotations

import sys
import threading
from typing import Any, LiteralString
from uuid import UUID

import psutil
from rich.progress import Progress

from bench.engine import Engine, until
from bench.ground import Ground
from bench.service import allow_connections, wait_for
from cli.processes import free_port
from domain.identity.principals import system
from jobs.submit import INSERT, NewJob, insert_parameters

WAIT_SECONDS = 2.0
LIMIT_SECONDS = 120.0

_ENDED: LiteralString = """
SELECT count(*) AS jobs, extract(epoch FROM max(finished_at) - min(dispatched_at))::float8 AS seconds,
       extract(epoch FROM max(dispatched_at) - min(dispatched_at))::float8 AS all_dispatched,
       extract(epoch FROM min(started_at) - min(dispatched_at))::float8 AS first_started,
       extract(epoch FROM max(started_at) - min(dispatched_at))::float8 AS all_started
  FROM jobs WHERE kind = 'completion.create' AND state = 'succeeded'
"""


class Peak:
    """Samples the resident memory of a process and its children; `mib` is the most that was seen."""

    def __init__(self, pid: int):
        self.mib = 0.0
        self._process = psutil.Process(pid)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="peak", daemon=True)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(0.1):
            try:
                family = [self._process, *self._process.children(recursive=True)]
                self.mib = max(self.mib, sum(each.memory_info().rss for each in family) / 2**20)
            except psutil.NoSuchProcess:
                return


def measure(ground: Ground, jobs: int, progress: Progress) -> dict[str, Any]:
    """Seconds from the first dispatch to the last end, to the ideal, and the worker's peak memory in MiB."""
    task = progress.add_task("waits", total=jobs)
    allow_connections()
    tenant_id, platform = ground.tenant(), ground.tenancy.platform
    platform.fetch("DELETE FROM jobs", {})
    platform.fetch("DELETE FROM workers", {})
    _insert(ground, tenant_id, jobs)
    with Engine(ground.settings, ground.home / "log") as engine:
        port = free_port()
        engine.start("provider", (sys.executable, "-m", "bench.doubles", str(port), str(WAIT_SECONDS)), {})
        provider = wait_for(f"http://127.0.0.1:{port}", "/")
        worker = engine.worker("completions", pool="threads", concurrency=jobs, OPENAI_API_KEY="sk-bench",
                               OPENAI_BASE_URL=f"{provider}/v1")  # fmt: skip
        until(lambda: bool(platform.fetch("SELECT 1 FROM workers", {})), 60, ground.logged("the worker"))
        idle, before = psutil.Process(worker.pid).memory_info().rss / 2**20, _processor_seconds(worker.pid)

        def ended() -> bool:
            done = int(platform.fetch(_ENDED, {})[0]["jobs"])
            progress.update(task, completed=done)
            return done == jobs

        with Peak(worker.pid) as peak:
            engine.dispatcher()
            until(ended, LIMIT_SECONDS, ground.logged("the completions"), 0.1)
            spent = _processor_seconds(worker.pid) - before
    row = platform.fetch(_ENDED, {})[0]
    return {
        "jobs": jobs,
        "wait_seconds": WAIT_SECONDS,
        "seconds": row["seconds"],
        "all_dispatched_seconds": row["all_dispatched"],
        "first_started_seconds": row["first_started"],
        "all_started_seconds": row["all_started"],
        "ratio": float(row["seconds"]) / WAIT_SECONDS,
        "processor_seconds": spent,
        "idle_mib": idle,
        "peak_mib": peak.mib,
    }


def _processor_seconds(pid: int) -> float:
    """Of the worker, whose threads share one interpreter: what it computes for a job, the others wait for."""
    return float(sum(psutil.Process(pid).cpu_times()[:2]))


def _insert(ground: Ground, tenant_id: UUID, jobs: int) -> None:
    payload = {"messages": [{"role": "user", "content": "Wait."}]}
    new = NewJob("completion.create", payload, system("bench", tenant_id))
    ground.tenancy.platform.fetch_many([(INSERT, insert_parameters(ground.tenancy, new)) for _ in range(jobs)])
