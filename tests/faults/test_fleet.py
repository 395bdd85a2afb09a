"""A worker that is killed within a migration: the wave goes on elsewhere, and every database is migrated once and whole."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from bench.engine import Engine, until
from bench.newer_code import newer, worker_command, write
from config.settings import Settings
from domain.ids import new_id
from jobs import waves
from tenancy.access import Tenancy
from tenancy.provisioning import Provisioner
from tenancy.servers import with_database
from tests.conftest import Cluster
from tests.faults.conftest import held, make_tenant, prepared_platform, someone_waits_for, state

pytestmark = pytest.mark.faults

TWO_STATEMENTS = 'op.execute("ALTER TABLE documents ADD COLUMN colour text"); op.execute("ALTER TABLE messages ADD COLUMN colour text")'


@pytest.fixture(scope="module")
def platform(cluster: Cluster, worker_id: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """One that no other test shares: its shared database does not stay at the version of this code."""
    return prepared_platform(cluster, f"nexus_fleet_{worker_id}", tmp_path_factory.mktemp("fleet"))


@pytest.fixture
def tenants(settings: Settings, tenancy: Tenancy) -> list[UUID]:
    """Three dedicated tenants beside whoever is there, and the operator's tenant, active."""
    operator = tenancy.platform.fetch("SELECT id, state FROM tenants WHERE is_operator", {})[0]
    if operator["state"] != "active":
        saga = Provisioner(settings, tenancy, operator["id"])
        for _, step in saga.steps():
            step()
        saga.close()
    return [make_tenant(settings, tenancy, tier="dedicated") for _ in range(3)]


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """The folder of a revision that this process and `worker_of` know, and its name."""
    revision = f"t{new_id().hex[-10:]}"
    folder = write(tmp_path / "newer", revision, TWO_STATEMENTS)
    with newer(folder):
        yield folder, revision


def worker_of(engine: Engine, folder: Path, name: str) -> subprocess.Popen[bytes]:
    """A real worker of the newer version of the code."""
    return engine.start(name, worker_command(folder, name), {})


def columns(settings: Settings, tenant_id: UUID) -> int:
    """How many of the revision's two columns the tenant's database has."""
    with psycopg.connect(with_database(settings, f"nexus_t_{tenant_id.hex}")) as connection:
        query = "SELECT count(*) FROM information_schema.columns WHERE column_name = 'colour'"
        return int(connection.execute(query).fetchone()[0])  # type: ignore[index]


@pytest.mark.timeout(240)
def test_a_worker_killed_within_a_migration_leaves_it_to_the_next_and_nothing_half_done(
    engine: Engine,
    tenancy: Tenancy,
    settings: Settings,
    cluster: Cluster,
    tenants: list[UUID],
    deployed: tuple[Path, str],
) -> None:
    folder, revision = deployed
    engine.dispatcher()
    first = worker_of(engine, folder, "first")
    database = f"nexus_t_{tenants[1].hex}"
    # The second statement waits for this lock, with the first one done and not committed.
    with held(cluster.postgres.superuser_dsn, "LOCK TABLE messages IN ACCESS SHARE MODE", database) as pid:
        wave, submitted = waves.start(tenancy, new_id(), [tenants[0], tenants[1]], "user:x")
        until(lambda: someone_waits_for(cluster.postgres.superuser_dsn, pid), 60, "the second statement")
        assert columns(settings, tenants[0]) == 2
        engine.kill(first)
    assert columns(settings, tenants[1]) == 0, "its transaction is undone"
    worker_of(engine, folder, "second")
    until(lambda: state(tenancy, submitted.id) == "succeeded", 90, "the wave on the other worker")
    assert [columns(settings, each) for each in tenants] == [2, 2, 2]
    row = tenancy.platform.fetch("SELECT attempt FROM jobs WHERE id = %(id)s", {"id": submitted.id})[0]
    assert row["attempt"] == 2
    found = waves.latest(tenancy.platform)
    assert found is not None
    assert (found.id, found.state) == (wave.id, "finished")
    versions = tenancy.platform.fetch("SELECT DISTINCT schema_version FROM tenants WHERE database_name IS NOT NULL", {})
    assert versions == [{"schema_version": revision}]
    for each in tenants:
        with tenancy.session(each) as session:
            assert session.connection().exec_driver_sql("SELECT count(colour) FROM documents").scalar() == 0
