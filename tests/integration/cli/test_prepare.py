"""`nexus prepare` on servers that have nothing yet, and on those that have everything."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import boto3
import psycopg
import pytest
from moto.server import ThreadedMotoServer
from psycopg import sql

from cli.main import main
from config.settings import Settings
from tests.conftest import Cluster, create_database, settings_for

DATABASE = f"nexus_prepare_{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
OBJECTS, BACKUPS = f"prepare-{uuid4().hex}", f"prepare-backups-{uuid4().hex}"
"""What moto serves is kept by the process, whichever test started it: other tests' buckets may be there, and ours are ours alone."""


@pytest.fixture
def empty(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """A database without anything, named by the environment."""
    create_database(cluster, DATABASE)
    settings = settings_for(cluster, DATABASE, tmp_path)
    monkeypatch.setenv("NEXUS_HOME", str(tmp_path))
    for name, value in (("DATABASE_URL", settings.database_url), ("NEXUS_MASTER_KEYS", settings.master_keys)):
        assert value is not None
        monkeypatch.setenv(name, value.get_secret_value())
    yield settings
    with psycopg.connect(cluster.postgres.superuser_dsn, autocommit=True) as connection:
        for name in (DATABASE, f"{DATABASE}_pool"):
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def new_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An object store that has none of the buckets yet, named by the environment; its address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in (("S3_BUCKET", OBJECTS), ("NEXUS_BACKUP_BUCKET", BACKUPS), ("S3_ENDPOINT", f"http://{host}:{port}"),
                        ("S3_ACCESS_KEY", "key"), ("S3_SECRET_KEY", "secret")):  # fmt: skip
        monkeypatch.setenv(name, value)
    yield f"http://{host}:{port}"
    server.stop()


def buckets(endpoint: str) -> set[str]:
    """Those of the platform that are there."""
    client = boto3.session.Session().client("s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="key",
                                            aws_secret_access_key="secret")  # fmt: skip
    try:
        return {OBJECTS, BACKUPS} & {each["Name"] for each in client.list_buckets()["Buckets"]}
    finally:
        client.close()


def state_of_the_operators_tenant(cluster: Cluster) -> str:
    with psycopg.connect(cluster.postgres.superuser_dsn, dbname=DATABASE) as connection:
        row = connection.execute("SELECT state FROM tenants").fetchone()
    assert row is not None
    return str(row[0])


def test_the_first_run_shows_the_administrator_and_the_second_does_not(
    empty: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prepare"]) == 0
    first = capsys.readouterr().out.splitlines()
    assert main(["prepare"]) == 0
    second = capsys.readouterr().out.splitlines()

    assert first[0].startswith("administrator admin@example.com password ")
    assert first[1:] == second == ["prepared"]


def test_the_operators_tenant_is_provisioned_by_one_job(empty: Settings, cluster: Cluster) -> None:
    for _ in range(2):
        assert main(["prepare"]) == 0

    # As the superuser: row-level security shows the owner no job.
    with psycopg.connect(cluster.postgres.superuser_dsn, dbname=DATABASE) as connection:
        kinds = connection.execute("SELECT kind FROM jobs").fetchall()
    assert kinds == [("tenant.provision",)]


def test_a_server_that_is_not_there_is_one_line(
    empty: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody:secret@127.0.0.1:9/nothing")

    assert main(["prepare"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert errors[0].startswith("nexus: DATABASE_URL: ")
    assert "secret" not in errors[0]


def test_a_new_object_store_gets_the_platforms_buckets_before_the_first_tenant_needs_one(
    empty: Settings, new_store: str, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert buckets(new_store) == set()
    for _ in range(2):
        assert main(["prepare"]) == 0

    assert buckets(new_store) == {OBJECTS, BACKUPS}
    assert state_of_the_operators_tenant(cluster) == "active"
    assert capsys.readouterr().err == ""


def test_an_object_store_that_is_away_is_told_and_holds_up_nothing(
    empty: Settings,
    new_store: str,
    monkeypatch: pytest.MonkeyPatch,
    cluster: Cluster,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("S3_ENDPOINT", "http://127.0.0.1:9")

    assert main(["prepare"]) == 0
    assert "nexus: S3_BUCKET: The object store cannot be reached." in capsys.readouterr().err.splitlines()
    assert state_of_the_operators_tenant(cluster) == "provisioning"


def test_the_keys_of_another_platform_are_one_line_and_change_nothing(
    empty: Settings, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def accounts() -> list[tuple[str]]:
        with psycopg.connect(cluster.postgres.superuser_dsn, dbname=DATABASE) as connection:
            return connection.execute("SELECT rolname FROM pg_roles WHERE rolcanlogin ORDER BY 1").fetchall()

    assert main(["prepare"]) == 0
    before = accounts()
    capsys.readouterr()
    monkeypatch.setenv("NEXUS_MASTER_KEYS", f"k1:{base64.b64encode(bytes(range(32))).decode()}")

    assert main(["prepare"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("nexus: NEXUS_MASTER_KEYS: they do not open what this platform has sealed")
    assert accounts() == before
