"""Memory of the whole platform as `make up` runs it: resident, and proportional where the system tells.

RSS counts a page once for each process that shares it; PSS divides it by their number, so its sum is what the platform
really takes.
"""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import psutil

from cli.processes import PlatformProcess

SETTLE_SECONDS = 5.0
NAMES = {
    "worker-io@%h": "worker-io",
    "worker-cpu@%h": "worker-cpu",
    "beat": "beat",
    "workers.dispatcher": "dispatcher",
    "workers.flower": "flower",
    "web.app:create_app()": "web",
    "supervisor.supervisord": "supervisord",
    "cli.embedded.guardian": "guardian",
    "cli.up": "launcher",
}
"""What a word of the command line says about the program."""


def measure(home: Path) -> dict[str, Any]:
    """MiB by program and in total, some seconds after the platform is ready."""
    with PlatformProcess(home, environment={"NEXUS_LOG_LEVEL": "warning"}) as platform:
        time.sleep(SETTLE_SECONDS)
        launcher = psutil.Process(platform.pid)
        programs: dict[str, dict[str, float]] = defaultdict(lambda: {"processes": 0, "rss": 0.0, "pss": 0.0})
        for process in [launcher, *launcher.children(recursive=True)]:
            _add(programs, process)
    rows = dict(sorted(programs.items(), key=lambda item: -item[1]["pss"]))
    total = {key: sum(row[key] for row in rows.values()) for key in ("processes", "rss", "pss")}
    return {"programs": rows, "total": total}


def _add(programs: dict[str, dict[str, float]], process: psutil.Process) -> None:
    try:
        memory, name = process.memory_full_info(), _name(process)
    except psutil.Error:  # ended meanwhile
        return
    row = programs[name]
    row["processes"] += 1
    row["rss"] += memory.rss / 2**20
    row["pss"] += getattr(memory, "pss", memory.rss) / 2**20


def _name(process: psutil.Process) -> str:
    words = {word for part in process.cmdline() for word in part.split()}
    for word, name in NAMES.items():
        if word in words:
            return name
    executable = process.name()
    return {"postgres": "PostgreSQL", "valkey-server": "Valkey"}.get(executable, executable)
