"""A platform's schema that is behind this version, ahead of it, or ahead and unfit: what is said, and who starts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from cli.main import main
from config.settings import Settings, SettingsError
from domain.ids import new_id
from tenancy.access import Tenancy
from tenancy.bootstrap import alone, make_accounts, prepare
from tenancy.database import Database
from tenancy.migrations import head, upgrade
from tests.conftest import Cluster, create_database, settings_for
from web.app import create_app

AHEAD = "9999"


@pytest.fixture
def empty(cluster: Cluster, tmp_path: Path, worker_id: str, prepared: object) -> Iterator[Settings]:
    """Settings of a platform whose database is empty."""
    name = f"nexus_fit_{worker_id}_{new_id().hex[-8:]}"
    create_database(cluster, name)
    yield settings_for(cluster, name, tmp_path / "home")
    with psycopg.connect(cluster.postgres.superuser_dsn, autocommit=True) as connection:
        for each in (name, f"{name}_pool"):
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(each)))


def newer_code_ran(settings: Settings, statement: str) -> None:
    """A version with one more revision has prepared the platform."""
    prepare(settings)
    with psycopg.connect(settings.owner_dsn) as connection:
        connection.execute(statement)  # type: ignore[arg-type]  # of this test
        connection.execute("UPDATE alembic_version SET version_num = %s", (AHEAD,))


def refusal(settings: Settings) -> str:
    """What a program says that does not start."""
    door = Tenancy(settings, "engine")
    try:
        with pytest.raises(SettingsError) as raised:
            door.check()
    finally:
        door.dispose()
    (line,) = raised.value.problems
    return line


def test_a_schema_that_only_grew_is_served_and_left_as_it_is(empty: Settings) -> None:
    newer_code_ran(empty, "ALTER TABLE users ADD COLUMN nickname text, ADD COLUMN likes int NOT NULL DEFAULT 0")
    (notice,) = prepare(empty).notices
    assert AHEAD in notice
    create_app(empty).extensions["nexus.tenancy"].dispose()
    with psycopg.connect(empty.owner_dsn) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (AHEAD,)


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("ALTER TABLE webhook_endpoints DROP COLUMN description", "webhook_endpoints.description is not there"),
        ("ALTER TABLE schedules ADD COLUMN birthday date NOT NULL", "schedules.birthday must be given"),
    ],
)
def test_a_schema_that_lost_or_demands_something_is_refused_in_one_line(
    empty: Settings, statement: str, named: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    newer_code_ran(empty, statement)
    assert named in refusal(empty)
    assert "install the newer version again" in refusal(empty)
    assert empty.database_url is not None
    assert empty.master_keys is not None
    monkeypatch.setenv("DATABASE_URL", empty.database_url.get_secret_value())
    monkeypatch.setenv("NEXUS_MASTER_KEYS", empty.master_keys.get_secret_value())
    monkeypatch.setenv("NEXUS_HOME", str(empty.home))
    assert main(["prepare"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("nexus: DATABASE_URL: ")
    assert named in line


def test_a_program_that_is_started_before_its_schema_is_there_says_what_to_run(empty: Settings) -> None:
    owner = Database(empty.owner_dsn, pool_size=1, application_name="test")
    with alone(owner) as connection:
        make_accounts(connection, empty)
    assert "the database is not prepared; run `nexus prepare`" in refusal(empty)
    upgrade("platform", owner, to="0008")
    owner.dispose()
    assert f"is at 0008, this version needs {head('platform')}; run `nexus prepare`" in refusal(empty)
    prepare(empty)
    create_app(empty).extensions["nexus.tenancy"].dispose()
