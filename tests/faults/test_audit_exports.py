"""Workers that are killed while they export a chain of changes: the next one writes it whole, and once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.engine import Engine, until
from cli.main import main
from domain.audit.entries import PLATFORM
from domain.identity.principals import system
from domain.ids import new_id
from jobs.submit import NewJob, submit
from tenancy.audit import noted
from tenancy.audit.exporting import key_of, waiting
from tenancy.scopes import operator_scope, tenant_scope
from tests.conftest import Cluster
from tests.contracts.s3_faults import Fault
from tests.faults.conftest import state
from tests.platforms import Platform, drop_databases, small_platform
from tests.s3 import S3, s3_store

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

ENTRIES = 50

PLACES = {"before it is stored": ("PUT", "/.audit/"), "after it is stored": ("GET", "uploads")}


@pytest.fixture
def s3() -> Iterator[S3]:
    with s3_store() as found:
        yield found


@pytest.fixture
def platform(cluster: Cluster, s3: S3, tmp_path: Path, worker_id: str, prepared: object) -> Iterator[Platform]:
    """See `tests.platforms`."""
    name = f"nexus_export_{worker_id}_{new_id().hex[-8:]}"
    with small_platform(cluster, name, tmp_path / "home", NEXUS_LEASE_SECONDS=3, **s3.variables) as found:
        yield found
        found.tenancy.dispose()
        drop_databases(found)


def exports(s3: S3) -> list[str]:
    """What is in the bucket of them."""
    return [key for key in s3.keys(s3.objects) if "/.audit/" in key]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["audit.export", "platform.audit_export"])
def test_an_export_whose_worker_is_killed_is_written_once_and_whole_by_the_next(
    platform: Platform, s3: S3, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, place: str
) -> None:
    whole = kind.startswith("platform")
    tenant_id, chain = (platform.operator, PLATFORM) if whole else (platform.pooled, platform.pooled)
    scope = operator_scope() if whole else tenant_scope(tenant_id)
    for number in range(ENTRIES):
        platform.tenancy.platform.fetch(*noted(scope, "thing.updated", f"thing:{number}"), scope)
    payload = {"requested_by": "test"} if whole else {}
    held = s3.faults.spoil(Fault("hold", *PLACES[place]))
    with Engine(platform.settings, tmp_path / "log") as engine:
        engine.dispatcher()
        until(lambda: not waiting(platform.tenancy.platform, chain), 60, "the chain to be sealed")
        first = engine.worker("default", name="first")
        job_id = submit(platform.tenancy, NewJob(kind, payload, system("test", tenant_id))).id
        until(held.reached.is_set, 120, "the worker at S3")
        engine.kill(first)
        assert len(exports(s3)) == (place == "after it is stored")
        engine.worker("default", name="second")
        until(lambda: state(platform.tenancy, job_id) == "succeeded", 120, "the export on the other worker")
    (key,) = exports(s3)
    assert key.endswith(key_of(job_id))
    file = tmp_path / "export.ndjson"
    file.write_bytes(s3.client.get_object(Bucket=s3.objects, Key=key)["Body"].read())
    capsys.readouterr()
    assert main(("audit", "verify", str(file), "--json")) == 0
    assert json.loads(capsys.readouterr().out)["checked"] >= ENTRIES
