"""The embedded PostgreSQL: a true server that trusts nobody and survives every crash."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from cli.embedded.errors import EmbeddedServiceError
from cli.embedded.postgres import EmbeddedPostgres
from config.settings import with_credentials

FAST = {"fsync": "off"}
BUSY_SESSION = """
import sys, psycopg
connection = psycopg.connect(sys.argv[1])
print(flush=True)
connection.execute("SELECT sum(sqrt(n)) FROM generate_series(1, 1000000000) n")
"""


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("embedded") / "home", settings=FAST)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def tenant_role(postgres: EmbeddedPostgres) -> str:
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute("CREATE ROLE tenant_a LOGIN PASSWORD 'right'")
        connection.execute("CREATE ROLE no_password LOGIN")
        connection.execute("GRANT CONNECT ON DATABASE nexus_platform TO tenant_a, no_password")
    return "tenant_a"


def answer(dsn: str, statement: str) -> object:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(statement).fetchone()
    return row[0] if row else None


def alive(server: EmbeddedPostgres) -> list[int]:
    """Processes in the data directory, found independently of the code under test."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(server.home.postgres):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def test_a_tenant_role_enters_with_its_password(postgres: EmbeddedPostgres, tenant_role: str) -> None:
    assert answer(with_credentials(postgres.dsn, tenant_role, "right"), "SELECT current_user") == "tenant_a"


def test_a_tenant_role_with_a_wrong_password_is_refused(postgres: EmbeddedPostgres, tenant_role: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(with_credentials(postgres.dsn, tenant_role, "wrong"))


@pytest.mark.parametrize("role", ["tenant_a", "no_password", "nexus_owner", "postgres"])
def test_nobody_enters_without_a_password(postgres: EmbeddedPostgres, tenant_role: str, role: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(dbname="nexus_platform", user=role, host=str(postgres.socket_directory), password="")


def test_no_rule_trusts_anybody(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.superuser_dsn) as connection:
        rules = connection.execute("SELECT type, user_name, auth_method FROM pg_hba_file_rules").fetchall()

    assert rules == [("local", ["all"], "scram-sha-256")]


@pytest.mark.parametrize("database", ["nexus_platform", "postgres", "template1"])
def test_a_role_without_a_grant_cannot_connect(postgres: EmbeddedPostgres, tenant_role: str, database: str) -> None:
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS stranger")
        connection.execute("CREATE ROLE stranger LOGIN PASSWORD 'right'")

    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(with_credentials(postgres.dsn, "stranger", "right", database))


def test_it_does_not_listen_on_the_network(postgres: EmbeddedPostgres) -> None:
    assert postgres.pid is not None
    assert psutil.Process(postgres.pid).net_connections("inet") == []
    assert answer(postgres.superuser_dsn, "SHOW listen_addresses") == ""


def test_other_accounts_cannot_reach_the_socket(postgres: EmbeddedPostgres) -> None:
    assert postgres.socket_directory.stat().st_mode & 0o777 == 0o700


def test_the_owner_is_no_superuser_and_cannot_pass_policies(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.dsn) as connection:
        role = connection.execute(
            "SELECT rolsuper, rolbypassrls, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user"
        ).fetchone()

    assert role == (False, False, True, True)


def test_databases_that_the_owner_makes_have_vectors(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute("CREATE DATABASE with_vectors")
    password = postgres.dsn.split(":")[2].split("@")[0]
    dsn = with_credentials(postgres.dsn, "nexus_owner", password, "with_vectors")

    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    assert answer(dsn, "SELECT '[1,2]'::vector <-> '[1,4]'::vector") == 2


def test_committed_data_is_durable_unless_a_test_asks_otherwise(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    assert EmbeddedPostgres(tmp_path).settings["fsync"] == "on"
    assert answer(postgres.superuser_dsn, "SHOW fsync") == "off"
    assert answer(postgres.superuser_dsn, "SHOW synchronous_commit") == "on"
    assert answer(postgres.superuser_dsn, "SHOW max_connections") == "300"


def test_the_log_does_not_repeat_a_failing_statement(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.dsn) as connection, pytest.raises(psycopg.Error):
        connection.execute("ALTER ROLE nobody_there PASSWORD 'do-not-log-me'")

    log = (postgres.home.logs / "postgres.log").read_text()
    assert "nobody_there" in log
    assert "do-not-log-me" not in log


def test_passwords_are_not_on_any_command_line(postgres: EmbeddedPostgres) -> None:
    assert postgres.pid is not None
    line = " ".join(psutil.Process(postgres.pid).cmdline())

    for name in ("postgres", "nexus_owner"):
        assert (postgres.home.secrets / name).read_text() not in line


@pytest.fixture
def own(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path / "home", settings=FAST)
    yield server
    server.stop()


def test_a_killed_server_comes_back_with_what_was_committed(own: EmbeddedPostgres) -> None:
    own.start()
    with psycopg.connect(own.dsn) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS value")
    assert own.pid is not None
    os.kill(own.pid, signal.SIGKILL)

    own.start()

    assert answer(own.dsn, "SELECT value FROM kept") == 1


def test_a_start_takes_over_from_a_server_that_nobody_stopped(own: EmbeddedPostgres) -> None:
    own.start()
    first = own.pid

    again = EmbeddedPostgres(own.home.path, settings=FAST)
    again.start()

    assert again.pid not in (None, first)
    assert first is not None
    assert not psutil.pid_exists(first) or psutil.Process(first).status() == psutil.STATUS_ZOMBIE
    assert answer(again.dsn, "SELECT 1") == 1


def test_a_lock_file_naming_a_foreign_process_does_not_stop_the_start(own: EmbeddedPostgres) -> None:
    own.start()
    own.stop()
    lock = f"{os.getpid()}\n/proc/self/cwd\n1\n5432\n{own.socket_directory}\n\n  1 1\nready   \n"
    (own.home.postgres / "postmaster.pid").write_text(lock)
    own.socket_directory.mkdir()
    (own.socket_directory / ".s.PGSQL.5432.lock").write_text(lock)

    own.start()

    assert own.pid not in (None, os.getpid())
    assert answer(own.dsn, "SELECT 1") == 1


def test_a_cluster_whose_making_was_cut_short_is_made_anew(own: EmbeddedPostgres) -> None:
    unfinished = own.home.root / "postgres.unfinished"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18")

    own.start()

    assert answer(own.dsn, "SELECT 1") == 1
    assert not unfinished.exists()


def test_stop_ends_open_sessions_and_leaves_no_process(own: EmbeddedPostgres) -> None:
    own.start()
    with psycopg.connect(own.dsn) as connection:
        connection.execute("SELECT 1")
        assert alive(own)

        own.stop()

        assert own.pid is None
        assert alive(own) == []
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


def test_stop_also_ends_the_sessions_of_a_killed_server(own: EmbeddedPostgres) -> None:
    own.start()
    session = subprocess.Popen(
        [sys.executable, "-c", BUSY_SESSION, own.dsn], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert session.stdout is not None
    session.stdout.readline()
    time.sleep(0.2)
    assert own.pid is not None
    os.kill(own.pid, signal.SIGKILL)

    own.stop()

    assert alive(own) == []
    session.kill()
    session.communicate()


def test_a_bad_setting_is_one_clear_error(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "home", settings={**FAST, "shared_buffers": "many"})

    with pytest.raises(EmbeddedServiceError, match=r"PostgreSQL did not start: .*shared_buffers.*postgres\.log"):
        server.start()
