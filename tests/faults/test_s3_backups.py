"""Workers that are killed or frozen while they store a backup in S3: nothing half stored is listed, read or left behind."""

from __future__ import annotations

import base64
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from bench.engine import Engine, until
from domain.identity.principals import system
from domain.ids import new_id
from jobs.submit import NewJob, submit
from providers.storage.s3_transfer import PART_BYTES
from tenancy.life import archives
from tenancy.recovery.store import Store
from tenancy.recovery.verify import Files
from tests.conftest import Cluster
from tests.contracts.s3_faults import Fault
from tests.faults.conftest import state
from tests.platforms import Platform, drop_databases, small_platform
from tests.s3 import S3, s3_store
from tests.tenants import objects_of, rows_of

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]


@pytest.fixture
def s3() -> Iterator[S3]:
    with s3_store() as found:
        yield found


@pytest.fixture
def platform(cluster: Cluster, s3: S3, tmp_path: Path, worker_id: str, prepared: object) -> Iterator[Platform]:
    """One whose dedicated tenant is larger than a part of an upload, however well it is compressed."""
    name = f"nexus_s3_{worker_id}_{new_id().hex[-8:]}"
    with small_platform(cluster, name, tmp_path / "home", NEXUS_LEASE_SECONDS=3, **s3.variables) as found:
        large = json.dumps({"noise": base64.b64encode(os.urandom(2 * PART_BYTES)).decode()})
        with found.tenancy.session(found.dedicated) as session:
            session.connection().exec_driver_sql(
                "UPDATE documents SET metadata = %s::jsonb WHERE external_id = 'd1'", (large,)
            )
        yield found
        found.tenancy.dispose()
        drop_databases(found)


def asked_for(platform: Platform) -> UUID:
    """A backup of the platform."""
    who = system("operator", platform.operator)
    return submit(platform.tenancy, NewJob("platform.backup", {"requested_by": "test"}, who)).id


def verified(platform: Platform, backup_id: UUID) -> int:
    """How many tenants are in it, all of it read."""
    files = Files(Store(platform.settings, platform.tenancy.ring), platform.tenancy.ring, backup_id)
    return files.check(lambda *_: None).tenants


@pytest.mark.parametrize("within", ["partNumber=2", "manifest.json"])
def test_a_worker_killed_while_it_stores_a_backup_leaves_no_backup_and_the_next_leaves_no_parts(
    platform: Platform, s3: S3, tmp_path: Path, within: str
) -> None:
    store, held = Store(platform.settings, platform.tenancy.ring), s3.faults.spoil(Fault("hold", within=within))
    with Engine(platform.settings, tmp_path / "log") as engine:
        engine.dispatcher()
        first = engine.worker("provisioning", name="first")
        backup_id = asked_for(platform)
        until(held.reached.is_set, 120, "the worker at S3")
        engine.kill(first)
        assert store.ids() == [], "without its manifest it is no backup"
        assert len(s3.unfinished(s3.backups)) == (within != "manifest.json")
        (stored,) = [key for key in s3.keys(s3.backups) if key.endswith("/platform.backup")]
        engine.worker("provisioning", name="second")
        until(lambda: state(platform.tenancy, backup_id) == "succeeded", 180, "the backup on the other worker")
    assert store.ids() == [backup_id]
    assert s3.unfinished(s3.backups) == []
    assert verified(platform, backup_id) == 3
    platforms = [key for key in s3.keys(s3.backups) if key.endswith("/platform.backup")]
    assert platforms == [stored], "what was stored is not made again"


def test_a_worker_that_was_frozen_while_it_stored_a_backup_spoils_nothing_when_it_wakes(
    platform: Platform, s3: S3, tmp_path: Path
) -> None:
    held = s3.faults.spoil(Fault("hold", within=f"tenants/{platform.pooled}.backup"))
    with Engine(platform.settings, tmp_path / "log") as engine:
        engine.dispatcher()
        first = engine.worker("provisioning", name="first")
        backup_id = asked_for(platform)
        until(held.reached.is_set, 120, "the worker at S3")
        os.killpg(first.pid, signal.SIGSTOP)
        engine.worker("provisioning", name="second")
        until(lambda: state(platform.tenancy, backup_id) == "succeeded", 180, "the backup on the other worker")
        held.released.set()
        os.killpg(first.pid, signal.SIGCONT)
        until(held.passed_on.is_set, 60, "the woken worker's file")
    assert Store(platform.settings, platform.tenancy.ring).ids() == [backup_id]
    assert verified(platform, backup_id) == 3


def test_a_tenants_backup_in_s3_survives_the_death_of_its_worker_and_is_restored_equal_or_refused_whole(
    platform: Platform, s3: S3, tmp_path: Path
) -> None:
    tenancy, tenant_id = platform.tenancy, platform.dedicated
    who = system("test", tenant_id)
    before, objects = rows_of(tenancy, tenant_id), objects_of(tenancy, tenant_id)
    held = s3.faults.spoil(Fault("hold", within="partNumber=2"))
    with Engine(platform.settings, tmp_path / "log") as engine:
        engine.dispatcher()
        first = engine.worker("provisioning", name="first")
        archive = submit(tenancy, NewJob("tenant.export", {"kind": "backup"}, who)).id
        until(held.reached.is_set, 120, "the worker at S3")
        engine.kill(first)
        row = archives.get(tenancy.platform, tenant_id, archive)
        assert row["state"] == "writing"
        assert s3.unfinished(s3.objects) != []
        engine.worker("provisioning", name="second")
        until(lambda: state(tenancy, archive) == "succeeded", 180, "the archive")
        assert s3.unfinished(s3.objects) == []

        with tenancy.session(tenant_id) as session:
            session.connection().exec_driver_sql("DELETE FROM documents WHERE external_id <> 'd2'")
        tenancy.bucket(tenant_id).delete("reports/2026.bin")
        (key,) = [key for key in s3.keys(s3.objects) if key.endswith(f"{archive}.zip")]
        whole = s3.client.get_object(Bucket=s3.objects, Key=key)["Body"].read()
        for damaged in (whole[:-1], whole[: PART_BYTES - 5] + b"damaged" + whole[PART_BYTES + 2 :]):
            s3.client.put_object(Bucket=s3.objects, Key=key, Body=damaged)
            refused = submit(tenancy, NewJob("tenant.restore", {"archive_id": str(archive)}, who)).id
            until(lambda job=refused: state(tenancy, job) == "failed", 120, "the refusal")  # type: ignore[misc]
            told = tenancy.platform.fetch("SELECT error_code FROM jobs WHERE id = %(id)s", {"id": refused})
            assert told[0]["error_code"] == "archive_damaged"
            assert len(rows_of(tenancy, tenant_id)["documents"]) == 1, "nothing was touched"
            assert tenancy.platform.fetch("SELECT state FROM tenants WHERE id = %(id)s", {"id": tenant_id}) == [
                {"state": "active"}
            ]
        s3.client.put_object(Bucket=s3.objects, Key=key, Body=whole)
        s3.faults.spoil(Fault("cut answer", "GET", f"{archive}.zip", times=3))
        s3.faults.spoil(Fault("answer", "PUT", times=50, nth=2, error=(503, "SlowDown")))
        restored = submit(tenancy, NewJob("tenant.restore", {"archive_id": str(archive)}, who)).id
        until(lambda: state(tenancy, restored) == "succeeded", 180, "the restore")
    assert rows_of(tenancy, tenant_id) == before
    assert objects_of(tenancy, tenant_id) == objects
