"""A platform as a child process: for `nexus demo`, acceptance tests and benchmarks."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from cli.embedded.platform import running_environment
from cli.embedded.run import PROJECT

READY = "nexus ready "
ADMINISTRATOR = "administrator "


class PlatformFailed(Exception):
    """`nexus up` ended, or was not ready in time. The message is what it printed."""


class PlatformProcess:
    """`nexus up` on `home` as a child, which also ends when this process does.

    `environment` is laid over our own, `project` is where its code is. Use it as a context manager, or call `start` and `stop`.
    """

    def __init__(
        self,
        home: Path,
        *,
        port: int | None = None,
        flower_port: int | None = None,
        environment: Mapping[str, str] | None = None,
        command: tuple[str, ...] = (sys.executable, "-m", "cli.up", "--until-input-ends"),
        project: Path = PROJECT,
    ):
        self.home = home
        self.port = port or free_port()
        self.flower_port = flower_port or free_port()
        self.base_url = ""
        self.administrator: tuple[str, str] | None = None
        self.output: list[str] = []
        self._variables = dict(environment or {})
        self._command = command
        self._project = project
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._ready = threading.Event()

    def start(self, seconds: float = 180.0) -> None:
        """Start it and return when it is ready; `base_url` and, on a first start, `administrator` (email, password)
        are known then. Raises `PlatformFailed`, after it has ended.
        """
        self._process = subprocess.Popen(
            self._command,
            cwd=self._project,
            env={
                **os.environ,
                **self._variables,
                "NEXUS_HOME": str(self.home),
                "NEXUS_PORT": str(self.port),
                "FLOWER_PORT": str(self.flower_port),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        if not self._ready.wait(seconds) or not self.base_url:
            self.stop()
            raise PlatformFailed("\n".join(self.output) or "nexus up said nothing")

    @property
    def pid(self) -> int:
        """Process id of the launcher."""
        return self._started().pid

    @property
    def flower_url(self) -> str:
        return f"http://127.0.0.1:{self.flower_port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which a program or `nexus` command joins this platform."""
        return running_environment(self.home) or {}

    def stop(self, seconds: float = 120.0) -> int:
        """Ask it to end, wait, and return its exit code; after `seconds` kill it, which its guardian notices."""
        process = self._started()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
        return self._finish(process)

    def kill(self) -> None:
        """SIGKILL the launcher; its guardian ends the rest a little later."""
        process = self._started()
        process.kill()
        self._finish(process)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise PlatformFailed("the platform was not started")
        return self._process

    def _finish(self, process: subprocess.Popen[str]) -> int:
        code = process.wait()
        if self._reader is not None:
            self._reader.join(5)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        return code

    def _read(self, process: subprocess.Popen[str]) -> None:
        if process.stdout is None:
            return
        for line in process.stdout:
            text = line.rstrip("\n")
            self.output.append(text)
            if text.startswith(ADMINISTRATOR):
                _, email, _, password, *_ = text.split()
                self.administrator = (email, password)
            elif text.startswith(READY):
                self.base_url = text.removeprefix(READY)
                self._ready.set()
        self._ready.set()


def free_port() -> int:
    """A port that nobody had a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
