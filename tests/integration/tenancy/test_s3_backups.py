"""Backups of the platform in S3: listed, kept by the rule, refused when they were altered, and restored from an S3 that fails."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from domain.errors import NotFound, Permanent, Transient
from domain.ids import new_id
from tenancy.access import Tenancy
from tenancy.life.archives import HALF_STORED
from tenancy.recovery.restore import Restoration
from tenancy.recovery.store import Store
from tenancy.recovery.verify import Files
from tests.conftest import Cluster, create_database
from tests.contracts.s3_faults import INTERNAL_ERROR, SLOW_DOWN, Fault
from tests.platforms import Platform, database_of, drop_databases, rows_of, small_platform
from tests.s3 import S3, s3_store

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def s3() -> Iterator[S3]:
    with s3_store() as found:
        yield found


@pytest.fixture
def platform(cluster: Cluster, s3: S3, tmp_path: Path, worker_id: str, prepared: object) -> Iterator[Platform]:
    """One whose objects and backups are in S3."""
    name = f"nexus_s3_{worker_id}_{new_id().hex[-8:]}"
    with small_platform(cluster, name, tmp_path / "home", **s3.variables) as found:
        yield found
        found.tenancy.dispose()
        drop_databases(found)


def store_of(platform: Platform) -> Store:
    return Store(platform.settings, platform.tenancy.ring)


def nobody(_done: int, _total: int | None, _message: str) -> None:
    """Is told of progress."""


def emptied(platform: Platform, cluster: Cluster) -> None:
    """Destroy the platform on its server; an empty database of the same name is left."""
    platform.tenancy.dispose()
    drop_databases(platform)
    create_database(cluster, database_of(platform))


def comparable(platform: Platform, backup_id: UUID) -> dict[str, object]:
    """All rows but the job that makes the backup, what it notes at its end, and the places of databases."""
    found = dict(platform.rows(database_of(platform)))
    found["tenants"] = [{**row, "dsn_sealed": None} for row in found["tenants"]]
    found["readings"] = []
    found["jobs"] = [row for row in found["jobs"] if row["id"] != str(backup_id)]
    own = rows_of(platform.superuser, f"nexus_t_{platform.dedicated.hex}")
    return {"platform": found, "dedicated": own, "pool": rows_of(platform.superuser, f"{database_of(platform)}_pool")}


def test_a_backup_goes_to_the_buckets_own_place_and_is_restored_equal_from_an_s3_that_fails(
    platform: Platform, cluster: Cluster, s3: S3
) -> None:
    for method in ("GET", "PUT", "POST"):
        s3.faults.spoil(Fault("answer", method, times=1000, nth=4, error=SLOW_DOWN))
        s3.faults.spoil(Fault("answer", method, times=1000, nth=9, error=INTERNAL_ERROR))
    backup_id = platform.back_up()
    assert [shown["id"] for shown in map(store_of(platform).shown, store_of(platform).ids())] == [backup_id]
    assert all(key.startswith(f"backups/{backup_id}/") for key in s3.keys(s3.backups))
    before = comparable(platform, backup_id)
    emptied(platform, cluster)
    s3.faults.spoil(Fault("cut answer", "GET", f"/backups/{backup_id}/", times=6, nth=2))
    restored = Restoration(platform.settings, backup_id, nobody).run()
    assert (restored.tenants, restored.without_data) == (3, ())
    assert comparable(platform, backup_id) == before
    tenancy = Tenancy(platform.settings, "engine")
    for tenant_id in platform.tenants:
        assert tenancy.bucket(tenant_id).get("reports/2026.bin") == bytes(range(256)) * 5000
    tenancy.dispose()


def expected(key: str, damaged: bytes | None) -> str:
    """The code for one that is altered, or lost."""
    if key.endswith("manifest.json"):
        return "not_found" if damaged is None else "backup_not_genuine"
    return "object_not_found" if damaged is None else "backup_damaged"


def test_objects_of_a_backup_that_were_altered_cut_off_or_lost_are_refused_before_anything_is_touched(
    platform: Platform, cluster: Cluster, s3: S3
) -> None:
    backup_id = platform.back_up()
    emptied(platform, cluster)
    for key in s3.keys(s3.backups):
        whole = s3.client.get_object(Bucket=s3.backups, Key=key)["Body"].read()
        for damaged in (whole[:-1], whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:], b"", None):
            if damaged is None:
                s3.client.delete_object(Bucket=s3.backups, Key=key)
            else:
                s3.client.put_object(Bucket=s3.backups, Key=key, Body=damaged)
            with pytest.raises((Permanent, NotFound)) as raised:
                Restoration(platform.settings, backup_id, nobody).run()
            code = raised.value.job_code if isinstance(raised.value, Permanent) else "not_found"
            assert code == expected(key, damaged), key
        s3.client.put_object(Bucket=s3.backups, Key=key, Body=whole)
    assert rows_of(platform.superuser, database_of(platform)) == {}
    assert Restoration(platform.settings, backup_id, nobody).run().tenants == 3


def test_an_s3_that_stays_away_is_said_and_nothing_of_the_backup_is_listed(platform: Platform, s3: S3) -> None:
    away = s3.faults.spoil(Fault("answer", "PUT", "/tenants/", times=1000))
    with pytest.raises(Transient) as raised:
        platform.back_up()
    assert raised.value.job_code == "storage_unavailable"
    assert store_of(platform).ids() == []
    away.times = 0
    backup_id = platform.back_up()
    assert store_of(platform).ids() == [backup_id]


def test_backups_are_kept_by_the_rule_and_what_died_half_stored_goes(platform: Platform, s3: S3) -> None:
    store, now = store_of(platform), datetime.now(UTC)

    def made(moment: datetime, *names: str) -> UUID:
        backup_id = UUID(int=(int(moment.timestamp() * 1000) << 80) | (7 << 76) | (2 << 62) | (new_id().int & 0xFFFF))
        for name in names:
            store.bucket.put(f"{backup_id}/{name}", b"{}")
        return backup_id

    whole = ("a1/platform.backup", "manifest.json")
    daily = [made(now - timedelta(days=day), *whole) for day in range(1, 40)]
    abandoned = made(now - HALF_STORED - timedelta(hours=1), "a1/platform.backup")
    begun = made(now - timedelta(hours=5), "a1/platform.backup")
    died = made(now - timedelta(days=9))
    s3.client.create_multipart_upload(Bucket=s3.backups, Key=f"backups/{died}/a1/platform.backup")
    s3.client.create_multipart_upload(Bucket=s3.backups, Key="elsewhere/large")
    s3.faults.asked.clear()
    backup_id = platform.back_up()
    assert set(store.ids()) <= {backup_id, *daily}
    assert {backup_id, *daily[:29]} <= set(store.ids())
    assert len(store.ids()) < 40
    folders = set(store.bucket.folders())
    assert str(abandoned) not in folders
    assert str(begun) in folders
    assert s3.unfinished(s3.backups) == ["elsewhere/large"]
    assert Files(store, platform.tenancy.ring, backup_id).check(nobody).tenants == 3


def test_the_newest_backup_is_found_without_a_look_at_every_object(platform: Platform, s3: S3) -> None:
    store = store_of(platform)
    for day in range(30):
        for name in ("a1/platform.backup", "a1/tenants/x.backup", "manifest.json"):
            store.bucket.put(f"0198f0aa-0000-7000-8000-{day:012}/{name}", b"{}")
    s3.faults.asked.clear()
    assert next(store.newest_first()) == UUID(f"0198f0aa-0000-7000-8000-{29:012}")
    assert len(s3.faults.asked) == 2
