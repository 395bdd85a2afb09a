"""A disk that is full: what cannot be written says so and is tried again, and nothing that was accepted is lost.

Files are bounded by a limit of the kernel (`RLIMIT_FSIZE`), which needs no privileges; a real full file system is tried where one can be mounted.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from bench.engine import PROJECT, Engine, environment_of, until
from domain.identity.principals import system
from domain.ids import new_id
from jobs.submit import NewJob, submit
from tenancy.recovery.store import Store
from tests.conftest import Cluster
from tests.faults.conftest import state
from tests.platforms import EMAIL, PASSWORD, Platform, database_of, drop_databases, small_platform
from web.app import create_app

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

LARGEST_FILE = 400_000
"""Bytes; the tenant's object alone is larger."""

_BOUNDED = (
    "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2);"
    " os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"
)


def bounded(*command: str) -> tuple[str, ...]:
    """A Python program that can write no larger file."""
    return (sys.executable, "-c", _BOUNDED, str(LARGEST_FILE), *command)


@pytest.fixture
def platform(cluster: Cluster, tmp_path: Path, worker_id: str, prepared: object) -> Iterator[Platform]:
    """One with an object that does not compress."""
    name = f"nexus_full_{worker_id}_{new_id().hex[-8:]}"
    with small_platform(cluster, name, tmp_path / "home", NEXUS_LEASE_SECONDS=3) as found:
        found.tenancy.bucket(found.pooled).put("noise", os.urandom(2 * LARGEST_FILE))
        yield found
        found.tenancy.dispose()
        drop_databases(found)


def code_of(platform: Platform, job_id: object) -> str | None:
    rows = platform.tenancy.platform.fetch("SELECT error_code FROM jobs WHERE id = %(id)s", {"id": job_id})
    code: str | None = rows[0]["error_code"]
    return code


@pytest.mark.parametrize("kind", ["platform.backup", "tenant.export"])
def test_what_does_not_fit_is_tried_again_and_done_when_there_is_room(
    platform: Platform, tmp_path: Path, kind: str
) -> None:
    is_backup = kind == "platform.backup"
    who = system("test", platform.operator if is_backup else platform.pooled)
    payload = {"requested_by": "test"} if is_backup else {"kind": "export"}
    with Engine(platform.settings, tmp_path / "log") as engine:
        engine.dispatcher()
        worker = ("-m", "celery", "-A", "workers.app", "worker", "--pool=threads", "--concurrency=1", "-Q", "provisioning",
                  "-n", "full@%h", "-E", "--without-gossip", "--without-mingle")  # fmt: skip
        full = engine.start("full", bounded(*worker), {})
        job_id = submit(platform.tenancy, NewJob(kind, payload, who)).id
        until(lambda: state(platform.tenancy, job_id) == "retrying", 120, "the attempt without room")
        assert code_of(platform, job_id) == "disk_full"
        assert Store(platform.settings, platform.tenancy.ring).ids() == []
        engine.kill(full)
        engine.worker("provisioning", name="roomy")
        until(lambda: state(platform.tenancy, job_id) == "succeeded", 120, "the attempt with room")


def test_a_command_without_room_says_so_in_one_line(platform: Platform) -> None:
    backup_id = platform.back_up()
    variables = {**os.environ, **environment_of(platform.settings), "PYTHONPATH": str(PROJECT)}
    command = bounded("-m", "cli", "backup", "verify", str(backup_id))
    done = subprocess.run(
        command, cwd=platform.settings.home, env=variables, capture_output=True, text=True, timeout=120, check=False
    )
    problems = [line for line in done.stderr.splitlines() if line.startswith("nexus: ")]
    assert done.returncode == 2, done.stderr
    assert len(problems) == 1
    assert "There is no room under" in problems[0]
    assert problems[0].endswith("[disk_full]")


@contextmanager
def full_server(platform: Platform) -> Iterator[None]:
    """The platform's server refuses to write jobs, as it does without room on its disk (SQLSTATE 53100)."""
    with psycopg.connect(platform.superuser, dbname=database_of(platform), autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION"
            " 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$"
        )
        connection.execute(
            "CREATE TRIGGER full_disk BEFORE INSERT ON jobs_live FOR EACH ROW EXECUTE FUNCTION full_disk()"
        )
        yield
        connection.execute("DROP FUNCTION full_disk CASCADE")


def test_a_server_without_room_refuses_jobs_and_takes_the_same_request_later(platform: Platform) -> None:
    app = create_app(platform.settings)
    client = app.test_client()
    login = client.post("/api/v1/auth/login", json={"email": EMAIL, "password": PASSWORD}).get_json()
    headers = {
        "Authorization": f"Bearer {login['access_token']}", "X-Project-ID": str(platform.pooled), "Idempotency-Key": "k",
    }  # fmt: skip
    body = {"kind": "system.ping", "payload": {}}
    with full_server(platform):
        refused = client.post("/api/v1/jobs", json=body, headers=headers)
        assert (refused.status_code, refused.get_json()["code"]) == (503, "service_unavailable")
        assert refused.headers["Retry-After"]
    taken = client.post("/api/v1/jobs", json=body, headers=headers)
    again = client.post("/api/v1/jobs", json=body, headers=headers)
    assert (taken.status_code, again.get_json()["id"]) == (202, taken.get_json()["id"])
    app.extensions["nexus.tenancy"].dispose()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m,mode=0755", "nexus-test", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here: a really full disk was NOT tried")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_platform_whose_disk_is_full_at_its_first_start_is_one_line_and_starts_when_there_is_room(
    small_disk: Path, tmp_path: Path
) -> None:
    home = small_disk / "home"
    program = (
        "import sys\nfrom pathlib import Path\nfrom cli.embedded.postgres import EmbeddedPostgres\n"
        "from cli.embedded.errors import EmbeddedServiceError\npostgres = EmbeddedPostgres(Path(sys.argv[1]))\n"
        "try:\n    postgres.start()\n    print('started')\nexcept (EmbeddedServiceError, OSError) as error:\n    print(error)\n"
        "finally:\n    postgres.stop()\n"
    )

    def start() -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", program, str(home)], cwd=PROJECT, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip
        assert done.stderr == ""
        return done.stdout.splitlines()

    (line,) = start()
    assert "No space left on device" in line
    subprocess.run(["mount", "-o", "remount,size=400m", str(small_disk)], check=True)
    assert start() == ["started"]
