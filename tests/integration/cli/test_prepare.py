"""`nexus prepare` on servers that have nothing yet, and on those that have everything."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from cli.main import main
from config.settings import Settings
from tests.conftest import Cluster, create_database, settings_for

DATABASE = f"nexus_prepare_{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"


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
