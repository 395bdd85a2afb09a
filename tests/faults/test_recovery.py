"""Workers and restores that are killed in the middle: nothing half-made is taken for whole, and the next one ends the work."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from bench.engine import PROJECT, Engine, environment_of, until
from config.settings import Settings, SettingsError
from domain.identity.principals import system
from domain.ids import new_id
from jobs.submit import NewJob, submit
from tenancy.access import Tenancy
from tenancy.recovery.store import Store
from tests.conftest import Cluster, create_database
from tests.contracts.s3_faults import Fault
from tests.faults.conftest import held, someone_waits_for, state
from tests.platforms import Platform, database_of, drop_databases, small_platform
from tests.s3 import s3_store
from web.app import create_app

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

LOCK = "LOCK TABLE documents IN ACCESS EXCLUSIVE MODE"


@pytest.fixture
def platform(cluster: Cluster, tmp_path: Path, worker_id: str, prepared: object) -> Iterator[Platform]:
    """See `tests.platforms`."""
    name = f"nexus_kill_{worker_id}_{new_id().hex[-8:]}"
    with small_platform(cluster, name, tmp_path / "home", NEXUS_LEASE_SECONDS=3) as found:
        yield found
        found.tenancy.dispose()
        drop_databases(found)


def nexus(settings: Settings, *arguments: str) -> subprocess.Popen[str]:
    """The command as a process of its own, in a folder without `.env`."""
    variables = {"PYTHONPATH": str(PROJECT), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", **environment_of(settings)}
    return subprocess.Popen(
        [sys.executable, "-m", "cli", *arguments], cwd=settings.home, env=variables, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def lines_of(settings: Settings, *arguments: str) -> tuple[int, list[str]]:
    """Exit code and the lines on standard error."""
    process = nexus(settings, *arguments)
    _, errors = process.communicate(timeout=120)
    return process.returncode, errors.splitlines()


def test_a_worker_killed_within_a_backup_leaves_it_to_the_next_which_goes_on(
    platform: Platform, tmp_path: Path
) -> None:
    store = Store(platform.settings, platform.tenancy.ring)
    database = f"nexus_t_{platform.dedicated.hex}"
    with Engine(platform.settings, tmp_path / "log") as engine:
        engine.dispatcher()
        first = engine.worker("provisioning", name="first")
        with held(platform.superuser, LOCK, database) as pid:
            who = system("operator", platform.operator)
            backup_id = submit(platform.tenancy, NewJob("platform.backup", {"requested_by": "test"}, who)).id
            until(lambda: someone_waits_for(platform.superuser, pid), 90, "the copy of the dedicated tenant")
            stored = {info.key: info.modified_at for info in store.bucket.list()}
            engine.kill(first)
        assert store.ids() == [], "without its manifest it is no backup"
        (first_file,) = [key for key in stored if key.endswith("/platform.backup")]
        engine.worker("provisioning", name="second")
        until(lambda: state(platform.tenancy, backup_id) == "succeeded", 120, "the backup on the other worker")
    assert store.ids() == [backup_id]
    now = {info.key: info.modified_at for info in store.bucket.list()}
    assert [key for key in now if key.endswith("/platform.backup")] == [first_file], "it was not made twice"
    assert now[first_file] == stored[first_file]
    assert lines_of(platform.settings, "backup", "verify", str(backup_id))[0] == 0


def test_a_restore_that_was_killed_is_refused_at_every_start_and_goes_on_when_it_is_run_again(
    platform: Platform, cluster: Cluster
) -> None:
    backup_id = platform.back_up()
    settings, database = platform.settings, f"nexus_t_{platform.dedicated.hex}"
    platform.tenancy.dispose()
    create_database(cluster, database_of(platform))  # the platform's is lost, the tenants' are there
    with held(platform.superuser, LOCK, database) as pid:
        restore = nexus(settings, "restore", str(backup_id), "--existing", "replace")
        until(lambda: someone_waits_for(platform.superuser, pid), 120, "the rows of the dedicated tenant")
        restore.kill()
        restore.communicate()
    with psycopg.connect(platform.superuser, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'nexus restore'"
        )

    line = f"the platform is half restored from a backup; run `nexus restore {backup_id}` again to bring back the rest"
    assert lines_of(settings, "prepare") == (2, [f"nexus: DATABASE_URL: {line}"])
    with pytest.raises(SettingsError, match="half restored"):
        create_app(settings)
    engine_door = Tenancy(settings, "engine")
    with pytest.raises(SettingsError, match="half restored"):
        engine_door.check()
    engine_door.dispose()
    code, errors = lines_of(settings, "restore", str(new_id()))
    assert (code, len(errors)) == (2, 1)

    code, errors = lines_of(settings, "restore", "latest")
    assert code == 0, errors
    create_app(settings).extensions["nexus.tenancy"].dispose()
    for tenant_id in platform.tenants:
        assert documents(settings, tenant_id) == 30


def test_commands_on_backups_in_s3_write_json_and_nothing_else(
    cluster: Cluster, tmp_path: Path, worker_id: str, prepared: object
) -> None:
    name = f"nexus_kill_{worker_id}_{new_id().hex[-8:]}"
    with s3_store() as s3, small_platform(cluster, name, tmp_path / "home", **s3.variables) as found:
        backup_id = found.back_up()
        for command in (("list",), ("verify", "latest"), ("prune",)):
            told, _ = nexus(found.settings, "backup", *command, "--json").communicate(timeout=120)
            assert json.loads(told)
        s3.faults.spoil(Fault("answer", "GET", times=1000))
        told, errors = nexus(found.settings, "backup", "verify", str(backup_id)).communicate(timeout=120)
        assert (told, errors) == ("", "nexus: The object store failed (InternalError). [storage_unavailable]\n")
        found.tenancy.dispose()
        drop_databases(found)


def documents(settings: Settings, tenant_id: UUID) -> int:
    """How many the tenant has."""
    tenancy = Tenancy(settings, "engine")
    try:
        with tenancy.session(tenant_id) as session:
            return int(session.connection().exec_driver_sql("SELECT count(*) FROM documents").scalar() or 0)
    finally:
        tenancy.dispose()
