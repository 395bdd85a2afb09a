"""The processes of one running platform that a fault may hit. Found below its launcher, so never another platform's."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from cli.processes import PlatformProcess

IO_QUEUES = ("completions", "notifications", "search", "webhooks")
CPU_QUEUES = ("billing", "provisioning", "default")


@dataclass(frozen=True, slots=True)
class Victim:
    """What to kill: a name for the tally, words of the command line, and whether one pool process is enough."""

    name: str
    words: tuple[str, ...]
    queues: tuple[str, ...] = ()
    pool_process: bool = False


WORKER_IO = Victim("worker-io", ("worker", "worker-io@%h"), IO_QUEUES)
WORKER_CPU = Victim("worker-cpu", ("worker", "worker-cpu@%h"), CPU_QUEUES)
POOL_PROCESS = Victim("pool process", ("worker", "worker-cpu@%h"), CPU_QUEUES, pool_process=True)
DISPATCHER = Victim("dispatcher", ("workers.dispatcher",))
WEB = Victim("web", ("web.app:create_app()",))


def find(platform: PlatformProcess, victim: Victim) -> list[psutil.Process]:
    """The victim's processes as they run now, none if it is just being started again."""
    try:
        ours = psutil.Process(platform.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    found = [process for process in ours if _says(process, victim.words)]
    if not victim.pool_process:
        return found
    return [process for process in found if process not in _heads(found)][:1]


def heads(platform: PlatformProcess, victim: Victim) -> list[psutil.Process]:
    """Those of the victim's processes that supervisord started, and that a signal to the program would reach."""
    return _heads(find(platform, victim))


def freeze(processes: Sequence[psutil.Process]) -> None:
    """Stop them where they stand, so that what they hold can be read before they die."""
    _signal(processes, signal.SIGSTOP)
    time.sleep(0.05)  # for what they had sent to the database already


def kill(processes: Sequence[psutil.Process]) -> None:
    """SIGKILL all of them."""
    _signal(processes, signal.SIGKILL)


def _signal(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def _heads(family: Sequence[psutil.Process]) -> list[psutil.Process]:
    found = []
    for process in family:
        try:
            if process.ppid() not in {other.pid for other in family}:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def _says(process: psutil.Process, words: tuple[str, ...]) -> bool:
    try:
        command = process.cmdline()
    except psutil.Error:
        return False
    return all(any(word == part or word in part.split() for part in command) for word in words)
