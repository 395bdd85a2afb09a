"""A RabbitMQ of one's own: on loopback, with a node name, ports, cookie and data directory that no other server has.

It runs the programs that the distribution installs (`apt-get install rabbitmq-server`) without their system service, under
whoever runs it, with no plugin and nothing outside `home`. epmd, Erlang's port mapper, is its own as well. Every process of
it carries a mark in its environment, by which it is found again and ended whatever became of the process that started it.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from cli.embedded.process import MINIMAL_ENVIRONMENT, RUN_ID_VARIABLE, carrying, end, keep
from cli.processes import free_port

_START_SECONDS = 90.0
_HEADER = b"AMQP\x00\x00\x09\x01"
"""What a client of AMQP 0-9-1 says first; the server answers with a method frame."""

_KILL: tuple[tuple[signal.Signals, float], ...] = ((signal.SIGKILL, 10.0),)


class RabbitMissing(Exception):
    """RabbitMQ or Erlang is not installed."""


class PrivateRabbitMQ:
    """The server of `home`. It keeps its ports from start to start. Its queues and their messages live under `home`.

    `start` and `stop` may be called from different processes. There is no orderly stop: messages are not written to disk
    anyway, and a broker that is killed is the harder case.
    """

    def __init__(self, home: Path):
        self.home = home

    @property
    def url(self) -> str:
        """Its address. The account `guest` is let in from loopback only."""
        return f"amqp://guest:guest@127.0.0.1:{self._ports[0]}//"

    @property
    def processes(self) -> list[psutil.Process]:
        """The server's processes as they run now: Erlang's machine, its helpers and epmd."""
        return carrying(self._mark)

    def start(self) -> None:
        """Start the server and return when it answers. Raises `RabbitMissing` and `TimeoutError`."""
        programs = _programs()
        self.stop()
        for part in ("data", "log", "erlang"):
            (self.home / part).mkdir(parents=True, exist_ok=True)
        (self.home / "enabled_plugins").write_text("[].")
        environment = self._environment()
        self._spawn((str(programs["epmd"]), "-port", str(self._ports[2]), "-address", "127.0.0.1"), environment)
        self._spawn((str(programs["rabbitmq-server"]),), environment)
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if time.monotonic() > deadline:
                self.stop()
                raise TimeoutError(f"RabbitMQ did not start within {_START_SECONDS:.0f} s (see {self.home / 'log'})")
            time.sleep(0.05)

    def stop(self) -> None:
        """Kill every process of the server."""
        while left := self.processes:
            end(left, _KILL)

    def virtual_host(self) -> str:
        """The address of a new virtual host: a broker for one platform, beside others on the same server."""
        name = f"v{len(self.control('list_vhosts').split())}"
        self.control("add_vhost", name)
        self.control("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
        return f"{self.url.removesuffix('//')}/{name}"

    def freeze(self) -> None:
        """Stop the server where it stands: connections stay open and nothing answers."""
        for process in self.processes:
            process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        for process in self.processes:
            process.send_signal(signal.SIGCONT)

    def control(self, *arguments: str) -> str:
        """What `rabbitmqctl` answers. It starts a second Erlang machine, which takes a second or two."""
        programs = _programs()
        command = (str(programs["rabbitmqctl"]), "--node", self._node, "--quiet", *arguments)
        done = subprocess.run(command, env=self._environment(), capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise RuntimeError(f"rabbitmqctl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    @property
    def _mark(self) -> str:
        return f"rabbitmq {self.home}"

    @property
    def _node(self) -> str:
        return f"nexus{self._ports[0]}@localhost"

    @property
    def _ports(self) -> tuple[int, int, int]:
        """Of AMQP, of Erlang's distribution, and of epmd; drawn at the first call."""
        path = self.home / "ports"
        if not path.exists():
            self.home.mkdir(parents=True, exist_ok=True)
            path.write_text(" ".join(str(port) for port in (free_port(), free_port(), free_port())))
        amqp, distribution, epmd = (int(port) for port in path.read_text().split())
        return amqp, distribution, epmd

    def _environment(self) -> Mapping[str, str]:
        amqp, distribution, epmd = self._ports
        return {
            **MINIMAL_ENVIRONMENT,
            RUN_ID_VARIABLE: self._mark,
            "HOME": str(self.home / "erlang"),  # of the cookie, by which Erlang's nodes trust each other
            "ERL_EPMD_PORT": str(epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self._node,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(amqp),
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_MNESIA_BASE": str(self.home / "data"),
            "RABBITMQ_LOG_BASE": str(self.home / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.home / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(self.home / "none"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.home / "none"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
        }

    def _spawn(self, command: tuple[str, ...], environment: Mapping[str, str]) -> None:
        with (self.home / "log" / "output.log").open("ab") as log:
            process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        keep(process)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._ports[0]), timeout=1) as connection:
                connection.sendall(_HEADER)
                return connection.recv(1) == b"\x01"
        except OSError:
            return False


def is_installed() -> bool:
    """Whether `PrivateRabbitMQ` can start here."""
    try:
        _programs()
    except RabbitMissing:
        return False
    return True


def _programs() -> dict[str, Path]:
    """The server's scripts as packaged. Those on the PATH of Debian change to the account of the system service."""
    found = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin"))
    epmd = shutil.which("epmd")
    if not found or epmd is None:
        raise RabbitMissing("RabbitMQ is not installed: apt-get install rabbitmq-server")
    return {
        "rabbitmq-server": found[-1] / "rabbitmq-server",
        "rabbitmqctl": found[-1] / "rabbitmqctl",
        "epmd": Path(epmd),
    }
