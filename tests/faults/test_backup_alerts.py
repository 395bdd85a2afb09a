"""The alert on old backups: quiet while good ones are made, and fired by a store that takes none, a lost one and a tenant that has none."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from bench.engine import Engine, until
from bench.service import start_web
from domain.ids import new_id
from jobs.backup_standing import GOOD_AT, LATE, look_at_the_platforms, look_at_the_tenants
from tenancy.access import Tenancy
from tenancy.recovery.store import Store
from tests.conftest import Cluster
from tests.contracts.s3_faults import Fault
from tests.platforms import Platform, drop_databases, small_platform
from tests.prometheus import History, Scrape, firing, require, scraped
from tests.s3 import S3, s3_store

pytestmark = [pytest.mark.faults, pytest.mark.timeout(500)]

INTERVAL = 40.0
"""Seconds between backups: long enough for one on a busy machine, short enough to wait for a late one."""

MINUTES = 20


@pytest.fixture
def s3() -> Iterator[S3]:
    with s3_store() as found:
        yield found


@pytest.fixture
def platform(cluster: Cluster, s3: S3, tmp_path: Path, worker_id: str, prepared: object) -> Iterator[Platform]:
    """One that makes backups often."""
    name = f"nexus_alert_{worker_id}_{new_id().hex[-8:]}"
    hours = INTERVAL / 3600
    with small_platform(
        cluster, name, tmp_path / "home", NEXUS_LEASE_SECONDS=3, NEXUS_PLATFORM_BACKUP_HOURS=hours,
        NEXUS_BACKUP_HOURS=hours, **s3.variables,
    ) as found:  # fmt: skip
        yield found
        found.tenancy.dispose()
        drop_databases(found)


def age(scrape: Scrape, whose: str) -> float:
    """Of the last good backup, in seconds."""
    return scrape.get(f'nexus_backup_age_seconds{{whose="{whose}",job="nexus",instance="web:8000"}}', 0.0)


def fired(promtool: str, scrape: Scrape, home: Path) -> set[str]:
    """Whose alert fires when that stands for a while."""
    history = History().went(scrape, scrape, MINUTES)
    found = firing(promtool, history, [MINUTES - 1], home)[MINUTES - 1]
    return {
        whose
        for whose in ("platform", "tenants")
        for name, labels in found
        if name == "NexusBackupOld" and f'whose="{whose}"' in labels
    }


def test_the_alert_fires_when_no_backup_is_stored_any_more_and_only_then(
    platform: Platform, s3: S3, tmp_path: Path
) -> None:
    promtool = require("promtool")
    with Engine(platform.settings, tmp_path / "log") as engine:
        _, url = start_web(engine)
        engine.dispatcher()
        engine.worker("provisioning", "default", concurrency=2)
        engine.beat(tmp_path / "schedule")

        def look() -> Scrape:
            return scraped(httpx2.get(f"{url}/metrics", timeout=10.0).raise_for_status().text)

        scrapes: list[Scrape] = []

        def becomes(condition: Callable[[float], bool]) -> bool:
            scrapes.append(look())
            return all(condition(age(scrapes[-1], whose)) for whose in ("platform", "tenants"))

        time.sleep(LATE * INTERVAL)  # so long that without a backup since all would be late
        until(lambda: becomes(lambda seconds: 0 < seconds < LATE * INTERVAL), 240, "good backups of all", 0.5)
        assert fired(promtool, scrapes[-1], tmp_path) == set()
        s3.faults.spoil(Fault("answer", "PUT", times=100_000))
        until(lambda: becomes(lambda seconds: seconds > LATE * INTERVAL), 240, "old backups of all", 0.5)
        assert fired(promtool, scrapes[-1], tmp_path) == {"platform", "tenants"}


def noted(tenancy: Tenancy, whose: str) -> float:
    """Seconds since 1970."""
    rows = tenancy.platform.fetch(
        "SELECT total FROM readings WHERE name = %(name)s AND labels = %(labels)s", {"name": GOOD_AT, "labels": [whose]}
    )
    return float(rows[0]["total"])


def test_a_backup_that_is_lost_or_not_good_counts_no_more(platform: Platform, s3: S3) -> None:
    tenancy, store = platform.tenancy, Store(platform.settings, platform.tenancy.ring)
    look_at_the_platforms(tenancy)
    never = noted(tenancy, "platform")
    backup_id = platform.back_up()
    once = noted(tenancy, "platform")
    assert never < once
    key = f"backups/{backup_id}/manifest.json"
    manifest = s3.client.get_object(Bucket=s3.backups, Key=key)["Body"].read()
    s3.client.put_object(Bucket=s3.backups, Key=key, Body=manifest.replace(b'"rows":', b'"rows":1'))
    look_at_the_platforms(tenancy)
    assert noted(tenancy, "platform") == never, "nobody vouches for it"
    s3.client.put_object(Bucket=s3.backups, Key=key, Body=manifest)
    look_at_the_platforms(tenancy)
    assert noted(tenancy, "platform") == once
    store.remove(backup_id)
    look_at_the_platforms(tenancy)
    assert noted(tenancy, "platform") == never, "as if there had been none"


def test_an_old_backup_under_a_new_name_is_not_good(platform: Platform, s3: S3) -> None:
    backup_id, copy = platform.back_up(), new_id()
    for key in s3.keys(s3.backups):
        body = s3.client.get_object(Bucket=s3.backups, Key=key)["Body"].read()
        s3.client.put_object(Bucket=s3.backups, Key=key.replace(str(backup_id), str(copy)), Body=body)
    store = Store(platform.settings, platform.tenancy.ring)
    assert [store.is_good(each) for each in store.newest_first()] == [False, True]


def test_the_tenant_that_is_the_furthest_behind_counts(platform: Platform) -> None:
    tenancy = platform.tenancy

    def set_back(tenant_id: object, hours: float) -> None:
        tenancy.platform.fetch(
            "INSERT INTO tenant_archives (tenant_id, id, kind, state, source_tenant_id, taken_at, created_by)"
            " VALUES (%(t)s, %(id)s, 'backup', 'ready', %(t)s, now() - make_interval(secs => %(s)s), 'test')",
            {"t": tenant_id, "id": new_id(), "s": hours * 3600},
        )

    for tenant_id in (platform.operator, *platform.tenants):
        set_back(tenant_id, 0)
    set_back(platform.pooled, 500)
    look_at_the_tenants(tenancy)
    fresh = noted(tenancy, "tenants")
    tenancy.platform.fetch("DELETE FROM tenant_archives WHERE tenant_id = %(id)s", {"id": platform.pooled})
    set_back(platform.pooled, 3)
    look_at_the_tenants(tenancy)
    assert round(fresh - noted(tenancy, "tenants"), -2) == 3 * 3600
    behind = "SELECT total FROM readings WHERE name = 'nexus_tenants_backup_behind'"
    assert tenancy.platform.fetch(behind, {})[0]["total"] == 1
    tenancy.platform.fetch(
        """UPDATE tenants SET preferences = '{"backups": false}' WHERE id = %(id)s""", {"id": platform.pooled}
    )
    look_at_the_tenants(tenancy)
    assert tenancy.platform.fetch(behind, {})[0]["total"] == 0, "who wants none is not behind"
