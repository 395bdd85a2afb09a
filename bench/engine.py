"""The engine's real processes without the API: dispatchers, workers and beats as children, started and ended one by one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import SecretStr

from config.settings import Settings

PROJECT = Path(__file__).resolve().parents[1]
_STOP_SECONDS = 20.0


class Engine:
    """Processes of the platform that `settings` describe; all of them have ended when the block has.

    Each is the leader of a process group of its own, so that a kill takes its pool with it. Logs go to `logs`.
    """

    def __init__(self, settings: Settings, logs: Path):
        self.environment = {**_without_settings(os.environ), **environment_of(settings), "PYTHONUNBUFFERED": "1"}
        self._logs = logs
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(*self._started)

    def dispatcher(self, **variables: str) -> subprocess.Popen[bytes]:
        """Start `python -m workers.dispatcher`."""
        return self.start("dispatcher", (sys.executable, "-m", "workers.dispatcher"), variables)

    def worker(
        self, *queues: str, pool: str = "prefork", concurrency: int = 2, name: str = "worker", **variables: str
    ) -> subprocess.Popen[bytes]:
        """Start a Celery worker with the options of `supervisord.conf`."""
        command = (*celery("workers.app"), "worker", f"--pool={pool}", f"--concurrency={concurrency}",
                   "-Q", ",".join(queues), "-n", f"{name}@%h", "-E", "--without-gossip", "--without-mingle")  # fmt: skip
        return self.start(name, command, variables)

    def beat(self, schedule: Path, **variables: str) -> subprocess.Popen[bytes]:
        """Start celery beat with its own schedule file."""
        command = (*celery("workers.beat"), "beat", "--schedule", str(schedule), "--pidfile=")
        return self.start("beat", command, variables)

    def start(self, name: str, command: tuple[str, ...], variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start any program in the platform's environment, with `variables` laid over it."""
        with (self._logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=PROJECT, env={**self.environment, **variables}, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self._started.append(process)
        return process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """SIGKILL the process and its pool at once."""
        self._signal(process, signal.SIGKILL)
        process.wait()

    def stop(self, *processes: subprocess.Popen[bytes]) -> None:
        """Ask them to end, and kill what has not ended after a while."""
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        for process in processes:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._signal(process, signal.SIGKILL)
                process.wait()
        self._started = [process for process in self._started if process.poll() is None]

    def log(self, name: str) -> str:
        """What the program wrote so far."""
        path = self._logs / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _signal(self, process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        if process.poll() is None:
            os.killpg(process.pid, number)


def celery(app: str) -> tuple[str, ...]:
    """The start of a Celery command line for that application module."""
    return (sys.executable, "-m", "celery", "-A", app)


def environment_of(settings: Settings) -> dict[str, str]:
    """The variables that make another process load these settings: those that were set, not the defaults."""
    found: dict[str, str] = {}
    for name in settings.model_fields_set:
        alias = Settings.model_fields[name].alias
        value = getattr(settings, name)
        if alias is not None and value is not None:
            found[alias] = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    return found


def until(condition: Callable[[], bool], seconds: float, what: str, pause: float = 0.02) -> float:
    """Wait for `condition`; returns the seconds it took. Raises `TimeoutError` that names `what`."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > seconds:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(pause)
    return time.monotonic() - started


def _without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment without what configures a platform, or keeps Python from writing the bytecode of its modules."""
    ours = {field.alias for field in Settings.model_fields.values()} | {"PYTHONDONTWRITEBYTECODE"}
    return {name: value for name, value in environment.items() if name not in ours}
