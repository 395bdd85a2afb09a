"""`nexus demo` as a newcomer meets it, and the other commands on the platform that it leaves behind."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cli.demo.command import PARTS
from cli.embedded.platform import running_environment
from cli.embedded.run import PROJECT
from cli.embedded.supervisor import is_ready
from cli.processes import PlatformProcess, free_port

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(420), pytest.mark.xdist_group("demo")]

DEMO_SECONDS = 200


@dataclass(frozen=True, slots=True)
class Done:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def states(self) -> dict[str, str]:
        """State by part, from the demo's plain lines."""
        names = ["platform", *(part.name for part in PARTS)]
        lines = [line for line in self.out.splitlines() if line.split(maxsplit=1)[0] in {"done", "failed", "skipped"}]
        return {name: line.split()[0] for name in names for line in lines if f"  {name} " in line}

    def result(self, part: str) -> str:
        """What the demo said of a part."""
        return next(line for line in self.out.splitlines() if f"  {part} " in line)


def nexus(home: Path, *arguments: str, seconds: float = 60, **variables: str) -> Done:
    """The command in a process of its own, without a terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        cwd=PROJECT,
        env={**os.environ, "NEXUS_HOME": str(home), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def demo(home: Path, variables: dict[str, str]) -> Done:
    """The demo with ports that nobody has."""
    ports = {"NEXUS_PORT": str(free_port()), "FLOWER_PORT": str(free_port())}
    return nexus(home, "demo", seconds=DEMO_SECONDS, **ports, **variables)


@pytest.fixture(scope="module")
def variables(platform_broker: Callable[[], dict[str, str]]) -> dict[str, str]:
    return platform_broker()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "home"


@pytest.fixture(scope="module")
def first(home: Path, variables: dict[str, str]) -> Done:
    """The first run, on a home that does not exist yet: it brings its own platform."""
    return demo(home, variables)


@pytest.fixture(scope="module")
def platform(home: Path, first: Done, variables: dict[str, str]) -> Iterator[PlatformProcess]:
    """The same home, brought up again as `nexus up` does."""
    with PlatformProcess(home, environment={"NEXUS_BILLING_TICK_SECONDS": "1", **variables}) as process:
        yield process


@pytest.fixture(scope="module")
def second(home: Path, platform: PlatformProcess, variables: dict[str, str]) -> Done:
    """A second run, beside the running platform."""
    return demo(home, variables)


@pytest.fixture(scope="module")
def acme(home: Path, platform: PlatformProcess, second: Done) -> dict[str, Any]:
    """A tenant that the demo's administrator made with the commands, logged in to."""
    memory = json.loads((home / "demo.json").read_text())
    password = {"NEXUS_PASSWORD": memory["admin_password"]}
    email = memory["admin_email"]
    assert nexus(home, "login", "--email", email, "--tenant", "Operator", **password).code == 0
    made = nexus(home, "tenants", "create", "Acme", "--json")
    assert made.code == 0, made.err
    tenant: dict[str, Any] = json.loads(made.out)
    assert nexus(home, "login", "--email", email, "--tenant", tenant["id"], **password).code == 0
    return tenant


def test_the_first_run_shows_every_part(first: Done) -> None:
    assert first.code == 0, first.out + first.err
    assert first.states == dict.fromkeys(["platform", *(part.name for part in PARTS)], "done")
    assert first.err == ""


def test_the_results_are_the_works_own(home: Path, first: Done) -> None:
    assert "provisioned tenant Demo (dedicated)" in first.result("tenant")
    assert "sandbox" in first.result("completion")
    assert "invoices #1, #2 over 29.00 and " in first.result("billing")
    assert "one job" in first.result("webhook")
    message = Path(first.result("notification").rpartition(": ")[2])
    assert message.parent == home / "outbox"
    assert b"harbour" in message.read_bytes()


def test_addresses_are_told_at_the_end(first: Done) -> None:
    assert "/api/v1" in first.out
    assert "/docs" in first.out
    assert "Flower" in first.out


def test_its_platform_ends_with_it(home: Path, first: Done) -> None:
    assert first.code == 0
    assert not (home / "run" / "supervisord.pid").exists()
    assert running_environment(home) is None


def test_what_it_remembers_is_private(home: Path, first: Done) -> None:
    assert stat.S_IMODE((home / "demo.json").stat().st_mode) == 0o600


def test_a_second_run_continues_on_the_running_platform(platform: PlatformProcess, first: Done, second: Done) -> None:
    assert second.code == 0, second.out + second.err
    assert f"found running at http://127.0.0.1:{platform.port}" in second.result("platform")
    assert "logged in as demo@example.com" in second.result("account")
    assert second.result("tenant").split()[-1] == first.result("tenant").split()[-1]
    assert "invoices #3, #4" in second.result("billing")


def test_a_running_platform_goes_on_after_it(platform: PlatformProcess, second: Done) -> None:
    assert second.code == 0
    assert is_ready("127.0.0.1", platform.port)


def test_the_commands_reach_the_running_platform(home: Path, acme: dict[str, Any]) -> None:
    assert acme["state"] == "active"
    done = nexus(home, "jobs", "submit", "system.ping", "--payload", '{"message": "hi"}', "--wait", "--json")

    assert done.code == 0, done.err
    assert json.loads(done.out.splitlines()[-1])["result"] == {"message": "hi"}


def test_a_running_job_is_watched_and_cancelled(home: Path, acme: dict[str, Any]) -> None:
    job_id = json.loads(nexus(home, "jobs", "submit", "system.ping", "--payload", '{"seconds": 30}', "--json").out)[
        "id"
    ]
    assert nexus(home, "jobs", "cancel", job_id).code == 0

    watched = nexus(home, "jobs", "watch", job_id, "--json")

    assert watched.code == 1
    assert json.loads(watched.out.splitlines()[-1])["state"] == "cancelled"
