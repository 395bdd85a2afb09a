"""Preparing a server that another platform uses as well."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from cli.embedded.postgres import EmbeddedPostgres
from tenancy.servers import template_name
from tests.conftest import Cluster, create_database, settings_for


@pytest.fixture
def fresh(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A server on which no tenant template was ever built."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("fresh"))
    server.start()
    yield replace(cluster, postgres=server)
    server.stop()


def test_two_platforms_that_prepare_one_server_at_once_share_one_template(fresh: Cluster, tmp_path: Path) -> None:
    running = []
    for name in ("first", "second"):
        create_database(fresh, name)
        settings = settings_for(fresh, name, tmp_path / name)
        given = {"NEXUS_HOME": str(tmp_path / name)}
        for variable, value in (("DATABASE_URL", settings.database_url), ("NEXUS_MASTER_KEYS", settings.master_keys)):
            assert value is not None
            given[variable] = value.get_secret_value()
        command = [sys.executable, "-m", "cli", "prepare"]
        running.append(
            subprocess.Popen(command, env={**os.environ, **given}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        )
    outputs = [each.communicate(timeout=120)[0].decode() for each in running]
    assert [each.returncode for each in running] == [0, 0], outputs
    with psycopg.connect(fresh.postgres.superuser_dsn, autocommit=True) as connection:
        found = connection.execute(
            sql.SQL("SELECT datname FROM pg_database WHERE datname LIKE 'nexus_tenant_v%'")
        ).fetchall()
    assert found == [(template_name(),)]
