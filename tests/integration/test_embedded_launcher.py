"""The launcher of `nexus up`: whatever happens to it, no process is left, and the next start works.

The programs are stand-ins (a web server that is always ready, and sleepers); everything else is real: PostgreSQL,
Valkey, supervisord, the guardian, signals.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from cli.embedded.home import Home
from cli.embedded.platform import running_environment
from cli.embedded.postgres import EmbeddedPostgres
from cli.embedded.revival import REVIVALS
from cli.embedded.run import PROJECT
from cli.embedded.valkey import EmbeddedValkey
from cli.processes import PlatformFailed, PlatformProcess, free_port

LAUNCHER = """
import sys
from dataclasses import dataclass
from pathlib import Path
from cli.up import run, serve
from config.settings import load

@dataclass
class Administrator:
    email: str = "admin@example.com"
    password: str = "shown-once"

@dataclass
class Prepared:
    administrator: Administrator

def action():
    serve(load(), prepare=lambda settings: Prepared(Administrator()), configuration=Path(sys.argv[1]))

sys.exit(run(action))
"""

WEB = """
import http.server, os
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health/ready" else 404)
        self.end_headers()
http.server.HTTPServer((os.environ["NEXUS_HOST"], int(os.environ["NEXUS_PORT"])), Ready).serve_forever()
"""

CONFIGURATION = """
[supervisord]
nodaemon = true
logfile = %(ENV_NEXUS_HOME)s/log/supervisord.log
pidfile = %(ENV_NEXUS_HOME)s/run/supervisord.pid

[unix_http_server]
file = %(ENV_NEXUS_SOCKETS)s/supervisor.sock
chmod = 0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl = unix://%(ENV_NEXUS_SOCKETS)s/supervisor.sock

[program:web]
command = python %(here)s/web.py

[program:sleeper]
command = sh -c "sleep 1000 & sleep 1000"
stopasgroup = true
"""


class Platform(PlatformProcess):
    """A platform of stand-ins in `directory`."""

    def __init__(self, directory: Path, environment: dict[str, str] | None = None):
        (directory / "launcher.py").write_text(LAUNCHER)
        (directory / "web.py").write_text(WEB)
        if not (directory / "supervisord.conf").exists():
            (directory / "supervisord.conf").write_text(CONFIGURATION)
        command = (sys.executable, str(directory / "launcher.py"), str(directory / "supervisord.conf"))
        super().__init__(
            directory / "home", command=command, environment={"PYTHONPATH": str(PROJECT), **(environment or {})}
        )

    def processes(self) -> dict[int, str]:
        """Everything that belongs to this home, found by what the kernel tells and not by the code under test."""
        found = {}
        for process in psutil.process_iter():
            try:
                if process.status() != psutil.STATUS_ZOMBIE and (
                    str(self.home) in (line := " ".join(process.cmdline()))
                    or process.environ().get("NEXUS_HOME") == str(self.home)
                    or process.cwd().startswith(str(self.home))
                ):
                    found[process.pid] = line
            except psutil.Error:
                continue
        return found


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for process in Platform(tmp_path).processes():
        os.kill(process, signal.SIGKILL)
    Home(tmp_path / "home").discard_sockets()


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """One platform for the tests that leave it running."""
    platform = Platform(tmp_path_factory.mktemp("shared"))
    platform.start(30)
    yield platform
    platform.stop()


def eventually(condition: Callable[[], bool], seconds: float = 15.0) -> bool:
    deadline = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return met


def test_it_says_when_it_is_ready_and_shows_the_first_password(platform: Platform) -> None:
    assert platform.base_url == f"http://127.0.0.1:{platform.port}"
    assert platform.output[-1] == f"nexus ready http://127.0.0.1:{platform.port}"
    assert platform.administrator == ("admin@example.com", "shown-once")


def test_other_commands_find_the_running_platform(platform: Platform) -> None:
    environment = running_environment(platform.home)

    assert environment is not None
    assert (platform.home / "run" / "environment.json").stat().st_mode & 0o777 == 0o600
    with psycopg.connect(environment["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("nexus_owner",)
    with redis.Redis.from_url(environment["BROKER_URL"]) as client:
        assert client.ping()


def test_supervisorctl_works_with_that_environment(platform: Platform) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "supervisor.supervisorctl", "-c", platform._command[-1], "status", "sleeper"],
        capture_output=True, text=True, check=False, env={**os.environ, **platform.environment},
    )  # fmt: skip

    assert "RUNNING" in result.stdout or "STARTING" in result.stdout


def test_a_second_launcher_on_the_same_home_says_who_runs(platform: Platform) -> None:
    second = Platform(platform.home.parent)

    with pytest.raises(PlatformFailed, match=rf"^nexus: already running \(pid {platform.pid}\) on .*$"):
        second.start(30)

    assert second.stop() == 2
    assert platform.environment


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_signal_ends_everything_with_exit_code_0(directory: Path, number: signal.Signals) -> None:
    platform = Platform(directory)
    platform.start(30)

    os.killpg(platform.pid, number)

    assert platform._process is not None
    assert platform._process.wait(30) == 0
    assert platform.processes() == {}
    assert running_environment(platform.home) is None
    platform.stop()


def test_a_killed_launcher_leaves_no_process(directory: Path) -> None:
    platform = Platform(directory)
    platform.start(30)
    assert len(platform.processes()) > 8

    platform.kill()

    assert eventually(lambda: platform.processes() == {}), platform.processes()


def test_a_launcher_killed_while_it_starts_leaves_no_process(directory: Path) -> None:
    platform = Platform(directory, {"NEXUS_HOME": str(directory / "home")})
    process = subprocess.Popen(
        platform._command, env={**os.environ, **platform._variables, "NEXUS_PORT": str(free_port())}, cwd=PROJECT
    )
    assert eventually((platform.home / "postgres" / "postmaster.pid").exists)

    process.kill()
    process.wait()

    assert eventually(lambda: platform.processes() == {}), platform.processes()


def test_the_next_start_recovers_after_everything_was_killed(directory: Path) -> None:
    platform = Platform(directory)
    platform.start(30)
    with psycopg.connect(platform.environment["DATABASE_URL"]) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS value")
    for pid in platform.processes():
        os.kill(pid, signal.SIGKILL)
    platform.stop()

    with Platform(directory) as again, psycopg.connect(again.environment["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT value FROM kept").fetchone() == (1,)


def test_the_next_start_ends_what_a_killed_launcher_and_guardian_left(directory: Path) -> None:
    platform = Platform(directory)
    platform.start(30)
    for pid, line in platform.processes().items():
        if "cli.embedded.guardian" in line or "launcher.py" in line:
            os.kill(pid, signal.SIGKILL)
    platform.stop()
    left = set(platform.processes())
    assert left

    with Platform(directory) as again:
        assert left.isdisjoint(again.processes())


def test_programs_without_supervisord_are_ended_too(directory: Path) -> None:
    platform = Platform(directory)
    platform.start(30)
    for pid, line in platform.processes().items():
        if "supervisor.supervisord" in line or "cli.embedded.guardian" in line or "launcher.py" in line:
            os.kill(pid, signal.SIGKILL)
    platform.stop()
    left = set(platform.processes())
    assert any("sleep" in line for line in platform.processes().values())

    with Platform(directory) as again:
        assert left.isdisjoint(again.processes())


def test_a_killed_guardian_is_replaced(platform: Platform) -> None:
    def guardians() -> list[int]:
        return [pid for pid, line in platform.processes().items() if "cli.embedded.guardian" in line]

    (first,) = guardians()
    os.kill(first, signal.SIGKILL)

    assert eventually(lambda: guardians() not in ([], [first]))


def test_a_supervisord_that_dies_is_a_clear_error_and_ends_everything(directory: Path) -> None:
    platform = Platform(directory)
    platform.start(30)
    (supervisord,) = (pid for pid, line in platform.processes().items() if "supervisor.supervisord" in line)

    os.kill(supervisord, signal.SIGKILL)

    assert platform._process is not None
    assert platform._process.wait(30) == 1
    assert platform.stop() == 1
    assert platform.output[-1].startswith("nexus: supervisord ended with -9")
    assert platform.processes() == {}


def test_a_configuration_that_supervisord_refuses_is_a_clear_error(directory: Path) -> None:
    (directory / "supervisord.conf").write_text(f"{CONFIGURATION}\n[program:broken]\ncommand = %(ENV_MISSING)s\n")
    platform = Platform(directory)

    with pytest.raises(PlatformFailed, match=r"nexus: supervisord ended with 2: .*ENV_MISSING"):
        platform.start(30)

    assert platform.processes() == {}


def test_a_port_in_use_is_one_line_and_exit_code_2(directory: Path) -> None:
    platform = Platform(directory)

    with socket.create_server(("127.0.0.1", platform.port)):
        with pytest.raises(PlatformFailed) as failure:
            platform.start(30)
        assert platform.stop() == 2

    assert str(failure.value) == (
        f"nexus: NEXUS_PORT: port {platform.port} on 127.0.0.1 is already in use; free it or choose another"
    )
    assert platform.processes() == {}


def test_two_platforms_run_side_by_side(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")

    with Platform(other) as second:
        assert second.environment["DATABASE_URL"] != platform.environment["DATABASE_URL"]
        assert second.environment["REDIS_URL"] != platform.environment["REDIS_URL"]
    assert platform.environment
    with psycopg.connect(platform.environment["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_start_that_follows_a_killed_launcher_at_once_waits_for_the_guardian(directory: Path) -> None:
    platform = Platform(directory)
    platform.start(30)
    platform.kill()

    with Platform(directory) as again:
        assert again.base_url


def test_a_killed_postgres_comes_back_at_its_address(platform: Platform) -> None:
    before = platform.environment["DATABASE_URL"]
    with psycopg.connect(before) as connection:
        connection.execute("CREATE TABLE survivor AS SELECT 1 AS value")
    postgres = EmbeddedPostgres(platform.home)
    assert postgres.pid is not None

    os.kill(postgres.pid, signal.SIGKILL)

    line = "nexus: PostgreSQL was ended by SIGKILL; it was started again"
    assert eventually(lambda: line in platform.output, 30)
    with psycopg.connect(before) as connection:
        assert connection.execute("SELECT value FROM survivor").fetchone() == (1,)


def test_a_killed_valkey_comes_back_at_its_address(platform: Platform) -> None:
    before = platform.environment["REDIS_URL"]
    valkey = EmbeddedValkey(platform.home)
    assert valkey.pid is not None

    os.kill(valkey.pid, signal.SIGKILL)

    assert eventually(lambda: "nexus: Valkey was ended by SIGKILL; it was started again" in platform.output)
    with redis.Redis.from_url(before, single_connection_client=True) as client:
        assert client.ping()


def test_a_server_that_keeps_ending_is_a_clear_error_and_ends_everything(directory: Path) -> None:
    platform = Platform(directory)
    platform.start(30)
    valkey = EmbeddedValkey(platform.home)
    assert platform._process is not None
    for times in range(REVIVALS + 1):
        assert eventually(lambda times=times: said(platform, "it was started again") == times)  # type: ignore[misc]
        os.kill(valkey.pid or 0, signal.SIGKILL)

    assert platform._process.wait(60) == 1
    assert platform.stop() == 1
    assert platform.output[-1].startswith("nexus: Valkey was ended by SIGKILL for the 4th time within 60 s (see /")
    assert platform.processes() == {}


def test_a_server_whose_port_was_taken_is_a_clear_error_and_ends_everything(directory: Path) -> None:
    platform = Platform(directory)
    platform.start(30)
    assert platform._process is not None
    valkey = EmbeddedValkey(platform.home)
    port, squatters = valkey.port, []

    def squat() -> bool:
        with contextlib.suppress(OSError):
            squatters.append(socket.create_server(("127.0.0.1", port)))
        return bool(squatters)

    os.kill(platform.pid, signal.SIGSTOP)
    try:
        os.kill(valkey.pid or 0, signal.SIGKILL)
        assert eventually(squat)
    finally:
        os.kill(platform.pid, signal.SIGCONT)
    with squatters[0]:
        assert platform._process.wait(60) == 1

    assert platform.stop() == 1
    assert platform.output[-1].startswith(f"nexus: Valkey did not start again on port {port} (see /")
    assert platform.processes() == {}


def said(platform: Platform, words: str) -> int:
    """How many lines have these words."""
    return sum(words in line for line in platform.output)
