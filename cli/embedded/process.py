"""Telling our processes from others, and ending them.

A process id alone says nothing after a crash, since ids are reused. A process is ours if its start time and
whole command line are those recorded, or if it carries the run's id in its environment.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import psutil

RUN_ID_VARIABLE = "NEXUS_RUN_ID"
MINIMAL_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"}
"""What an embedded server needs to know; the launcher's own environment may hold an operator's secrets."""
POLITE: tuple[tuple[signal.Signals, float], ...] = ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))
"""Ask, wait five seconds, kill."""

_children: dict[int, subprocess.Popen[bytes]] = {}  # as the kernel's list of children, one per process

_SECONDS_OF_CLOCK_SLACK = 2.0  # start times derive from the boot time, which shifts when the clock is set


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """What identifies one process of ours for good: id, start time (Unix seconds) and command line."""

    name: str
    pid: int
    started: float
    command: tuple[str, ...]

    @classmethod
    def of(cls, name: str, pid: int) -> ProcessRecord | None:
        """Describe the running process `pid`; None if it has gone already."""
        try:
            process = psutil.Process(pid)
            while not (command := process.cmdline()):  # empty for an instant after exec, and for ever in a zombie
                if process.status() == psutil.STATUS_ZOMBIE:
                    return None
                time.sleep(0.001)
            return cls(name, pid, process.create_time(), tuple(command))
        except psutil.NoSuchProcess:
            return None

    @classmethod
    def parse(cls, text: str) -> ProcessRecord | None:
        """What `text` wrote; None if it is not (yet) whole."""
        try:
            item = json.loads(text)
            return cls(**{**item, "command": tuple(item["command"])})
        except (ValueError, TypeError, KeyError):
            return None

    def text(self) -> str:
        """As JSON, for `parse`."""
        return json.dumps(asdict(self))

    def find(self) -> psutil.Process | None:
        """The process, if it still is the one recorded."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) <= _SECONDS_OF_CLOCK_SLACK
            return process if same and tuple(process.cmdline()) == self.command else None
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return None


def carrying(run_id: str) -> list[psutil.Process]:
    """Processes started with this run's id in their environment, without the caller itself."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(RUN_ID_VARIABLE) == run_id:
                found.append(process)
        except (psutil.Error, OSError):  # of another account, or gone by now: not ours to end
            continue
    return found


def keep(child: subprocess.Popen[bytes]) -> None:
    """Remember a child that outlives the object which started it, so that `end` can reap it."""
    for pid in [pid for pid, kept in _children.items() if kept.poll() is not None]:
        del _children[pid]
    _children[child.pid] = child


def descendants(process: psutil.Process) -> list[psutil.Process]:
    """Children and theirs, at this moment."""
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def end(processes: Sequence[psutil.Process], steps: Sequence[tuple[signal.Signals, float]] = POLITE) -> None:
    """Send each step's signal to those still alive and wait at most its seconds, until all have gone.

    Safe against reuse of ids: psutil compares start times before it signals.
    """
    alive = list(processes)
    for number, seconds in steps:
        for process in alive:
            try:
                process.send_signal(number)
            except psutil.NoSuchProcess:
                continue
        deadline = time.monotonic() + seconds
        while alive := _still_alive(alive):
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
        else:
            return


def _still_alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run. Our own children are reaped; a zombie that somebody else has to reap counts as gone."""
    alive = []
    for process in processes:
        child = _children.get(process.pid)
        if child is not None:
            if child.poll() is None:
                alive.append(process)
            else:
                del _children[process.pid]
            continue
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                alive.append(process)
        except psutil.NoSuchProcess:
            continue
    return alive
