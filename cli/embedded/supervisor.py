"""supervisord as our child, with production's configuration; whether the platform answers; why it does not."""

from __future__ import annotations

import http.client
import subprocess
import sys
from pathlib import Path

from cli.embedded.errors import EmbeddedServiceError
from cli.embedded.platform import EmbeddedPlatform
from cli.embedded.process import keep
from cli.embedded.run import PROJECT

CONFIGURATION = PROJECT / "supervisord.conf"


class Supervisor:
    """Runs the programs of `configuration` in the platform's environment. Ending it is the run's part (`Run.end`)."""

    def __init__(self, platform: EmbeddedPlatform, configuration: Path = CONFIGURATION):
        self.platform = platform
        self.configuration = configuration
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start supervisord. Raises `EmbeddedServiceError` if there is no configuration."""
        if not self.configuration.exists():
            raise EmbeddedServiceError(f"{self.configuration} is missing; run from a checkout of the project")
        with self.platform.home.log("supervisord-console").open("ab") as output:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "supervisor.supervisord",
                    "-c",
                    str(self.configuration),
                    "--nodaemon",
                    "--silent",
                ],
                cwd=self.configuration.parent,
                env=self.platform.program_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C reaches the launcher only, which ends things in order
            )
        keep(self._process)
        self.platform.run.record_supervisord(self._process.pid)

    def check(self) -> None:
        """Raise `EmbeddedServiceError` if supervisord has ended by itself."""
        if self._process is not None and (code := self._process.poll()) is not None:
            logs = self.platform.home.logs
            reason = last_line(logs / "supervisord-console.log")
            raise EmbeddedServiceError(f"supervisord ended with {code}: {reason} (see {logs / 'supervisord.log'})")


def local_host(host: str) -> str:
    """Where a server that binds `host` is reached from this machine."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104  # compared, not bound


def is_ready(host: str, port: int) -> bool:
    """Whether `GET /health/ready` answers 200: every part that requests need is there."""
    connection = http.client.HTTPConnection(local_host(host), port, timeout=5)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def last_line(log: Path) -> str:
    """The last line of text in a log but for supervisord's hint at its help, or a phrase that says there is none."""
    if not log.exists():
        return "it wrote nothing"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line and not line.startswith("For help")), "it wrote nothing")
