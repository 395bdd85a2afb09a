"""What is done at the server, on a real one that is busy in its own ways."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tenancy.servers import drop_database
from tests.conftest import Cluster

ENDLESS = (
    "CREATE TABLE big AS SELECT n, repeat('x', 500) AS filler FROM generate_series(1, 20000) n",
    (
        "ALTER TABLE big SET (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1,"
        " autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0, autovacuum_analyze_threshold = 1000000000)"
    ),
    "DELETE FROM big WHERE n % 2 = 0",
)
"""Something that autovacuum begins with at once and needs hours for."""


@pytest.fixture
def superuser(cluster: Cluster) -> Iterator[psycopg.Connection[Any]]:
    """The server's master, who has it look for work every second."""
    with closing(psycopg.connect(cluster.postgres.superuser_dsn, autocommit=True)) as connection:
        connection.execute("ALTER SYSTEM SET autovacuum_naptime = '1s'")
        connection.execute("SELECT pg_reload_conf()")
        yield connection
        connection.execute("ALTER SYSTEM RESET autovacuum_naptime")
        connection.execute("SELECT pg_reload_conf()")


@pytest.fixture
def vacuumed(cluster: Cluster, superuser: psycopg.Connection[Any], worker_id: str) -> str:
    """A database of the owner's that autovacuum is at work in."""
    name = f"nexus_vacuumed_{worker_id}"
    with psycopg.connect(cluster.postgres.dsn, autocommit=True) as owner:
        owner.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]  # made up here
    with psycopg.connect(make_conninfo(cluster.postgres.dsn, dbname=name), autocommit=True) as owner:
        for statement in ENDLESS:
            owner.execute(statement)  # type: ignore[arg-type]
    ends = time.monotonic() + 60
    while not at_work(superuser, name):
        assert time.monotonic() < ends, "autovacuum did not come"
        time.sleep(0.1)
    return name


def at_work(superuser: psycopg.Connection[Any], name: str) -> bool:
    """Whether autovacuum is in the database."""
    query = "SELECT 1 FROM pg_stat_activity WHERE datname = %s AND backend_type = 'autovacuum worker'"
    return superuser.execute(query, (name,)).fetchone() is not None


def test_a_database_that_autovacuum_is_in_can_be_dropped(
    cluster: Cluster, superuser: psycopg.Connection[Any], vacuumed: str
) -> None:
    with psycopg.connect(cluster.postgres.dsn, autocommit=True) as owner:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):  # else nothing is shown here
            owner.execute(f"DROP DATABASE {vacuumed} WITH (FORCE)")  # type: ignore[arg-type]
        drop_database(owner, vacuumed)
        drop_database(owner, vacuumed)
    assert superuser.execute("SELECT 1 FROM pg_database WHERE datname = %s", (vacuumed,)).fetchone() is None


def test_so_can_one_that_the_owner_is_connected_to_besides(
    cluster: Cluster, superuser: psycopg.Connection[Any], vacuumed: str
) -> None:
    with (
        closing(psycopg.connect(make_conninfo(cluster.postgres.dsn, dbname=vacuumed))),
        psycopg.connect(cluster.postgres.dsn, autocommit=True) as owner,
    ):
        drop_database(owner, vacuumed)
    assert superuser.execute("SELECT 1 FROM pg_database WHERE datname = %s", (vacuumed,)).fetchone() is None
