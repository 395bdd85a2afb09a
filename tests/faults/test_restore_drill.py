"""The drill: everything is lost but the backups and the master keys, and all of it comes back."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from bench.engine import Engine, until
from cli.embedded.postgres import EmbeddedPostgres
from cli.prepare import prepare_platform
from jobs.backup_standing import GOOD_AT
from tenancy.access import Tenancy
from tenancy.bootstrap import prepare
from tenancy.recovery.restore import Restoration
from tests.conftest import CLUSTER, Cluster, settings_for
from tests.faults.conftest import state
from tests.platforms import EMAIL, PASSWORD, Platform, Rows, populated, rows_of
from tests.s3 import s3_store
from web.app import create_app

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

PLATFORM = "nexus_platform"


class Site:
    """A machine: a PostgreSQL and a home of its own; the broker is the run's."""

    def __init__(self, cluster: Cluster, home: Path, kept: Mapping[str, Any]):
        self.home = home
        self.postgres = EmbeddedPostgres(home, CLUSTER)
        self.postgres.start()
        self.settings = settings_for(
            Cluster(self.postgres, cluster.valkey, cluster.home), PLATFORM, home,
            **{"NEXUS_DEFAULT_TIER": "pooled", "NEXUS_LEASE_SECONDS": 3, **kept},
        )  # fmt: skip

    def destroy(self) -> None:
        self.postgres.stop()
        shutil.rmtree(self.home)


@pytest.fixture(params=["files", "s3"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mapping[str, Any]]:
    """Where stands what survives, beside the master keys: a folder of backups, or an S3 with backups and objects."""
    if request.param == "files":
        yield {"NEXUS_BACKUP_FOLDER": tmp_path / "elsewhere"}
        return
    with s3_store() as s3:
        yield s3.variables


@pytest.fixture
def lost(cluster: Cluster, tmp_path: Path, kept: Mapping[str, Any]) -> Iterator[tuple[Platform, Site]]:
    """The platform that will be lost."""
    site = Site(cluster, tmp_path / "old", kept)
    made = prepare(site.settings)
    with populated(site.settings, site.postgres.superuser_dsn, made.operator_tenant_id) as platform:
        yield platform, site
    site.postgres.stop()


@pytest.fixture
def new_site(cluster: Cluster, tmp_path: Path, kept: Mapping[str, Any]) -> Iterator[Site]:
    """A machine that has nothing."""
    site = Site(cluster, tmp_path / "new", kept)
    yield site
    site.postgres.stop()


def comparable(rows: Rows, backup_id: UUID) -> dict[str, list[dict[str, Any]]]:
    """The rows but for what must differ: where the databases are, the job that made the backup and was still running, and what
    it notes of it at its end."""
    found = copy.deepcopy(dict(rows))
    for row in found.get("tenants", []):
        row.pop("dsn_sealed")
    found["readings"] = [row for row in found.get("readings", []) if row["name"] != GOOD_AT]
    found["jobs"] = [row for row in found.get("jobs", []) if row["id"] != str(backup_id)]
    return found


def test_platform_and_tenants_come_back_row_by_row_and_what_was_queued_runs_once(
    lost: tuple[Platform, Site], new_site: Site, tmp_path: Path
) -> None:
    platform, old = lost
    pings = [platform.ping(tenant_id) for tenant_id in platform.tenants for _ in range(5)]
    backup_id = platform.back_up()
    databases = (PLATFORM, f"{PLATFORM}_pool", f"nexus_t_{platform.dedicated.hex}")
    before = {name: platform.rows(name) for name in databases}
    assert len(before[PLATFORM]["jobs"]) == len(pings) + 1
    objects = platform.tenancy.bucket(platform.pooled).get("reports/2026.bin")

    platform.tenancy.dispose()
    old.destroy()
    told = Restoration(new_site.settings, backup_id, lambda *_: None).run()

    assert (told.tenants, told.without_data) == (3, ())
    after = {name: rows_of(new_site.postgres.superuser_dsn, name) for name in databases}
    for name in databases:
        assert comparable(after[name], backup_id) == comparable(before[name], backup_id), name
    prepare_platform(new_site.settings)
    tenancy = Tenancy(new_site.settings, "engine")
    for tenant_id in platform.tenants:
        assert tenancy.bucket(tenant_id).get("reports/2026.bin") == objects
        assert tenancy.bucket(tenant_id).get("empty") == b""
        with tenancy.session(tenant_id) as session:
            assert session.connection().exec_driver_sql("SELECT count(*) FROM documents").scalar() == 30
    app = create_app(new_site.settings)
    answer = app.test_client().post("/api/v1/auth/login", json={"email": EMAIL, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    app.extensions["nexus.tenancy"].dispose()

    with Engine(new_site.settings, tmp_path / "log") as engine:
        engine.dispatcher()
        engine.worker("default", "provisioning")
        until(lambda: {state(tenancy, each) for each in (*pings, backup_id)} == {"succeeded"}, 120, "the queued jobs")
    rows = tenancy.platform.fetch("SELECT attempt FROM jobs WHERE kind = 'system.ping'", {})
    assert [row["attempt"] for row in rows] == [1] * len(pings)
    tenancy.dispose()
