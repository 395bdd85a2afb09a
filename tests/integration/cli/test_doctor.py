"""`nexus doctor`: finds what is wrong with a set-up, says what to do, and changes nothing."""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from cli.main import main
from config.settings import Settings
from tests.conftest import Cluster, create_database, settings_for
from tests.integration.cli.conftest import Nexus

DATABASE = f"nexus_doctor_{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"


@pytest.fixture
def healthy(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Servers that `nexus prepare` has prepared, named by the environment."""
    create_database(cluster, DATABASE)
    settings = settings_for(cluster, DATABASE, tmp_path)
    monkeypatch.setenv("NEXUS_HOME", str(tmp_path))
    for name, value in (("DATABASE_URL", settings.database_url), ("NEXUS_MASTER_KEYS", settings.master_keys),
                        ("REDIS_URL", settings.redis_url)):  # fmt: skip
        assert value is not None
        monkeypatch.setenv(name, value.get_secret_value())
    assert main(["prepare"]) == 0
    yield settings
    with psycopg.connect(cluster.postgres.superuser_dsn, autocommit=True) as connection:
        for name in (DATABASE, f"{DATABASE}_pool"):
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs it; returns the exit code and the findings by subject."""
    import json

    def run() -> tuple[int, dict[str, dict[str, str]]]:
        capsys.readouterr()
        code = main(["doctor", "--json"])
        return code, {each["subject"]: each for each in json.loads(capsys.readouterr().out)}

    return run


def test_a_prepared_set_up_is_well_but_for_the_platform_that_does_not_run(healthy: Settings, doctor: Any) -> None:
    code, found = doctor()
    assert {name: each["level"] for name, each in found.items() if each["level"] != "good"} == {"platform": "odd"}
    assert (code, found["schema"]["detail"], found["DATABASE_WEB_URL"]["level"]) == (
        0,
        found["schema"]["detail"],
        "good",
    )


def test_a_database_that_is_a_version_ahead_or_behind_is_told(healthy: Settings, doctor: Any, cluster: Cluster) -> None:
    def at(revision: str) -> None:
        with psycopg.connect(cluster.postgres.superuser_dsn, dbname=DATABASE, autocommit=True) as connection:
            connection.execute("UPDATE alembic_version SET version_num = %s", (revision,))

    at("9999_tomorrow")
    code, found = doctor()
    assert (code, found["schema"]["level"]) == (0, "odd")
    assert "serves it as it is" in found["schema"]["detail"]
    with psycopg.connect(cluster.postgres.superuser_dsn, dbname=DATABASE, autocommit=True) as connection:
        connection.execute("ALTER TABLE users RENAME COLUMN name TO full_name")
        code, found = doctor()
        connection.execute("ALTER TABLE users RENAME COLUMN full_name TO name")
    assert (code, found["schema"]["level"]) == (2, "bad")
    assert "users.name is not there" in found["schema"]["detail"]
    at("0001")
    code, found = doctor()
    assert (code, found["schema"]["level"]) == (0, "odd")
    assert "nexus prepare" in found["schema"]["advice"]


def test_master_keys_of_another_platform_are_told(
    healthy: Settings, doctor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXUS_MASTER_KEYS", f"k1:{base64.b64encode(bytes(range(32))).decode()}")
    code, found = doctor()
    assert (code, found["NEXUS_MASTER_KEYS"]["level"]) == (2, "bad")
    assert (found["DATABASE_WEB_URL"]["level"], found["DATABASE_ENGINE_URL"]["level"]) == ("bad", "bad")


def test_an_account_that_policies_do_not_bind_is_told(
    healthy: Settings, doctor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_WEB_URL", healthy.owner_dsn)
    code, found = doctor()
    assert (code, found["DATABASE_WEB_URL"]["level"]) == (2, "bad")
    assert "row-level security" in found["DATABASE_WEB_URL"]["detail"]


def test_a_full_disk_and_open_secrets_are_told(
    healthy: Settings, doctor: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secrets").mkdir(mode=0o755)
    (tmp_path / "secrets").chmod(0o755)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2**20))
    code, found = doctor()
    assert code == 2
    assert (found["disk"]["level"], found["home"]["level"]) == ("bad", "bad")
    assert "chmod" in found["home"]["advice"]


def test_servers_that_are_not_there_are_told_without_their_passwords(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEXUS_HOME", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody:very-secret@127.0.0.1:9/nothing")
    monkeypatch.setenv("REDIS_URL", "redis://:very-secret@127.0.0.1:9/0")
    assert main(["doctor"]) == 2
    shown = capsys.readouterr()
    assert "very-secret" not in shown.out + shown.err
    assert shown.out.count("BAD") == 2
    assert shown.out.splitlines()[-1].endswith("2 bad, 1 to look at")


def test_a_setting_that_cannot_be_read_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEXUS_HOME", str(tmp_path))
    monkeypatch.setenv("NEXUS_PORT", "many")
    assert main(["doctor"]) == 2
    assert "NEXUS_PORT" in capsys.readouterr().out


def test_a_remote_platform_is_judged_by_what_it_says(nexus: Nexus) -> None:
    outcome = nexus("doctor", "--json")
    found = {each["subject"]: each for each in outcome.json}
    assert found["api"]["level"] == "good"
    assert found["platform_database"]["level"] == "good"
    assert (outcome.code == 2) == any(each["level"] == "bad" for each in found.values())
    assert all(each["advice"] for each in found.values() if each["level"] != "good")


def test_a_server_that_is_not_nexus_is_told(nexus: Nexus) -> None:
    outcome = nexus("doctor", "--url", "http://127.0.0.1:9")
    assert outcome.code == 2
    assert "does not answer as Nexus does" in outcome.out
