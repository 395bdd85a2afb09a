"""`nexus up` as an operator meets it: the real programs under the real supervisord.conf."""

from __future__ import annotations

import http.client
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import psutil
import pytest

from bench.tenant_client import TenantClient
from cli.embedded.postgres import EmbeddedPostgres
from cli.embedded.valkey import EmbeddedValkey
from cli.processes import PlatformProcess

pytestmark = pytest.mark.acceptance


@pytest.fixture(scope="module")
def variables(platform_broker: Callable[[], dict[str, str]]) -> dict[str, str]:
    return platform_broker()


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, variables: dict[str, str]) -> Iterator[PlatformProcess]:
    with PlatformProcess(tmp_path_factory.mktemp("up") / "home", environment=variables) as platform:
        yield platform


def get(platform: PlatformProcess, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", platform.port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def processes_of(home: Path) -> dict[int, str]:
    """What belongs to this home, as the kernel tells it."""
    found = {}
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
            if process.status() != psutil.STATUS_ZOMBIE and (
                str(home) in line
                or process.environ().get("NEXUS_HOME") == str(home)
                or process.cwd().startswith(str(home))
            ):
                found[process.pid] = line
        except psutil.Error:
            continue
    return found


def test_it_is_ready_when_it_says_so(platform: PlatformProcess) -> None:
    assert platform.output[-1] == f"nexus ready http://127.0.0.1:{platform.port}"
    assert get(platform, "/health/ready") == 200


def test_the_first_start_shows_the_administrator_once(platform: PlatformProcess) -> None:
    assert platform.administrator is not None
    assert sum(line.startswith("administrator ") for line in platform.output) == 1


def test_every_program_of_the_configuration_runs(platform: PlatformProcess) -> None:
    lines = processes_of(platform.home).values()

    for part in ("gunicorn", "workers.dispatcher", "worker-io@", "worker-cpu@", " beat ", "workers.flower"):
        assert any(part in line for line in lines), part


def test_flower_asks_for_a_password(platform: PlatformProcess) -> None:
    deadline = time.monotonic() + 30  # Flower is no part of readiness
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", platform.flower_port, timeout=5)
        try:
            connection.request("GET", "/")
            status = connection.getresponse().status
            break
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        finally:
            connection.close()
    assert status == 401


def programs_of(home: Path) -> set[int]:
    """The programs' main processes: gunicorn's master, the dispatcher, the workers and so on."""
    (supervisord,) = (pid for pid, line in processes_of(home).items() if "supervisor.supervisord" in line)
    return {process.pid for process in psutil.Process(supervisord).children()}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("server", [EmbeddedPostgres, EmbeddedValkey])
def test_a_server_that_is_killed_comes_back_and_the_programs_go_on(
    platform: PlatformProcess, server: type[EmbeddedPostgres | EmbeddedValkey]
) -> None:
    with TenantClient.create(platform.base_url) as client:
        before, victim = programs_of(platform.home), server(platform.home).pid
        assert victim is not None

        os.kill(victim, signal.SIGKILL)

        job = client.post("/jobs", {"kind": "system.ping", "payload": {"seconds": 0}}, key=str(uuid4()))
        client.wait(UUID(job["id"]), 60)
    assert server(platform.home).pid not in (None, victim)
    assert programs_of(platform.home) == before
    deadline = time.monotonic() + 20
    while get(platform, "/health/ready") != 200:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_stopping_leaves_no_process_and_the_next_start_keeps_the_data(
    platform: PlatformProcess, variables: dict[str, str]
) -> None:
    assert platform.stop() == 0
    assert processes_of(platform.home) == {}

    with PlatformProcess(platform.home, environment=variables) as second:
        assert second.administrator is None
        assert get(second, "/health/ready") == 200

    assert processes_of(platform.home) == {}
