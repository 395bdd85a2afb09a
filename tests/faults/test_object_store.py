"""Tenants whose objects are in S3, made by real workers; and an S3 that is away when a tenant is made."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from uuid import UUID

import boto3
import pytest
from pydantic import SecretStr
from types_boto3_s3 import S3Client

from bench.engine import Engine, until
from config.settings import Settings
from domain.errors import Permanent
from jobs.provisioning import ensure_provisioning
from tenancy.access import Tenancy
from tests.faults.conftest import make_tenant_row, state

pytestmark = pytest.mark.faults

BUCKET = "platform"


@pytest.fixture
def port() -> int:
    """Where S3 will be."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


@pytest.fixture
def settings(settings: Settings, port: int) -> Settings:
    """The platform with its objects in one bucket there."""
    return settings.model_copy(
        update={
            "s3_bucket": BUCKET,
            "s3_endpoint": f"http://127.0.0.1:{port}",
            "s3_access_key": SecretStr("key"),
            "s3_secret_key": SecretStr("secret"),
        }
    )


@pytest.fixture
def s3(port: int) -> Iterator[S3Client]:
    """Looks into the bucket beside the platform."""
    client = boto3.session.Session().client(
        "s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1", aws_access_key_id="key",
        aws_secret_access_key="secret",
    )  # fmt: skip
    yield client
    client.close()


@pytest.fixture
def start_s3(engine: Engine, port: int) -> Callable[[], None]:
    """Starts S3 and waits until it answers."""

    def start() -> None:
        engine.start("s3", (sys.executable, "-m", "tests.faults.object_store", str(port), BUCKET), {})
        until(lambda: answers(port), 30, "S3")

    return start


def answers(port: int) -> bool:
    """Whether someone listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def keys(s3: S3Client) -> set[str]:
    """Every key in the platform's bucket."""
    return {item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])}


def submit(settings: Settings, tenancy: Tenancy, tier: str) -> tuple[UUID, UUID]:
    """A new tenant and the job that provisions it."""
    tenant_id, owner_id = make_tenant_row(settings, tier)
    return tenant_id, ensure_provisioning(tenancy, tenant_id, owner_id).id


def test_two_tenants_share_a_bucket_and_see_nothing_of_each_other(
    engine: Engine, tenancy: Tenancy, settings: Settings, s3: S3Client, start_s3: Callable[[], None]
) -> None:
    start_s3()
    engine.dispatcher()
    engine.worker("provisioning")
    (one, first), (two, second) = (submit(settings, tenancy, tier) for tier in ("dedicated", "pooled"))
    until(lambda: {state(tenancy, first), state(tenancy, second)} == {"succeeded"}, 40, "both tenants")
    assert keys(s3) == {f"t/{one.hex}/.nexus", f"t/{two.hex}/.nexus"}

    mine, theirs = tenancy.bucket(one), tenancy.bucket(two)
    mine.put("reports/a.txt", b"mine")
    theirs.put("reports/a.txt", b"theirs")
    mine.put("secret.txt", b"mine alone")

    assert (mine.get("reports/a.txt"), theirs.get("reports/a.txt")) == (b"mine", b"theirs")
    assert [info.key for info in theirs.list()] == [".nexus", "reports/a.txt"]
    assert not theirs.exists("secret.txt")
    for key in (f"../{one.hex}/secret.txt", f"/t/{one.hex}/secret.txt"):
        with pytest.raises(Permanent) as raised:
            theirs.get(key)
        assert raised.value.job_code == "invalid_object_key"
    assert s3.get_object(Bucket=BUCKET, Key=f"t/{one.hex}/secret.txt")["Body"].read() == b"mine alone"
    theirs.erase()
    assert keys(s3) == {f"t/{one.hex}/{key}" for key in (".nexus", "reports/a.txt", "secret.txt")}


def test_a_tenant_that_is_made_while_s3_is_away_becomes_active_when_it_is_back(
    engine: Engine, tenancy: Tenancy, settings: Settings, s3: S3Client, start_s3: Callable[[], None]
) -> None:
    engine.dispatcher()
    engine.worker("provisioning")
    tenant_id, job_id = submit(settings, tenancy, "dedicated")
    until(lambda: error_code(tenancy, job_id) == "storage_unavailable", 40, "an attempt without S3")
    assert tenancy.record(tenant_id).state == "provisioning"
    start_s3()
    until(lambda: state(tenancy, job_id) == "succeeded", 60, "an attempt with S3")
    assert tenancy.record(tenant_id).state == "active"
    assert keys(s3) == {f"t/{tenant_id.hex}/.nexus"}
    assert tenancy.platform.fetch("SELECT 1 FROM jobs WHERE kind = 'tenant.compensate'", {}) == []


def error_code(tenancy: Tenancy, job_id: UUID) -> str | None:
    """Why the last attempt failed."""
    (row,) = tenancy.platform.fetch("SELECT error_code FROM jobs WHERE id = %(id)s", {"id": job_id})
    code: str | None = row["error_code"]
    return code
