"""`nexus up` refuses settings that cannot work: exit code 2 and one line per problem, before anything starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.embedded.run import PROJECT
from cli.processes import free_port


def up(directory: Path, **environment: str) -> tuple[int, list[str]]:
    """Run `nexus up` in `directory`; return its exit code and what it printed."""
    result = subprocess.run(
        [sys.executable, "-m", "cli.up"],
        cwd=directory,
        env={
            **os.environ,
            "PYTHONPATH": str(PROJECT),
            "NEXUS_HOME": str(directory / "home"),
            "NEXUS_PORT": str(free_port()),
            "FLOWER_PORT": str(free_port()),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.stdout == ""
    return result.returncode, result.stderr.splitlines()


def test_each_invalid_setting_is_one_line(tmp_path: Path) -> None:
    code, lines = up(tmp_path, NEXUS_PORT="eight", NEXUS_LOG_LEVEL="loud")

    assert code == 2
    assert [line.split(":")[1].strip() for line in lines] == ["NEXUS_PORT", "NEXUS_LOG_LEVEL"]


def test_an_invalid_secret_is_not_repeated(tmp_path: Path) -> None:
    code, lines = up(tmp_path, DATABASE_URL="mysql://user:hush@db/nexus")

    assert code == 2
    assert len(lines) == 1
    assert lines[0].startswith("nexus: DATABASE_URL: ")
    assert "hush" not in lines[0]


def test_an_unreachable_database_is_one_line_without_its_password(tmp_path: Path) -> None:
    code, lines = up(tmp_path, DATABASE_URL=f"postgresql://nexus:hush@127.0.0.1:{free_port()}/nexus")

    assert code == 2
    assert len(lines) == 1
    assert lines[0].startswith("nexus: DATABASE_URL: the database cannot be reached: ")
    assert "hush" not in lines[0]


@pytest.mark.parametrize(("name", "scheme"), [("REDIS_URL", "redis"), ("BROKER_URL", "amqp")])
def test_an_unreachable_broker_is_one_line_without_its_password(tmp_path: Path, name: str, scheme: str) -> None:
    port = free_port()

    code, lines = up(tmp_path, **{name: f"{scheme}://:hush@127.0.0.1:{port}/0"})

    assert code == 2
    assert len(lines) == 1
    assert lines[0].startswith(f"nexus: {name}: 127.0.0.1:{port} cannot be reached: ")


def test_a_line_of_the_environment_file_that_says_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text('NEXUS_LOG_LEVEL=info\nthis is no "setting\n')

    assert up(tmp_path) == (2, ["nexus: .env: line 2 is not NAME=value"])


def test_an_environment_file_in_another_encoding_is_one_line(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes("NEXUS_ADMIN_EMAIL=jürgen@example.com\n".encode("latin-1"))

    assert up(tmp_path) == (2, ["nexus: .env: is not UTF-8 text"])


def test_a_setting_in_the_environment_file_counts(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("NEXUS_LOG_LEVEL=loud\n")

    code, lines = up(tmp_path)

    assert code == 2
    assert lines[0].startswith("nexus: NEXUS_LOG_LEVEL: ")


def test_one_port_for_two_programs_is_refused(tmp_path: Path) -> None:
    port = str(free_port())

    assert up(tmp_path, NEXUS_PORT=port, FLOWER_PORT=port) == (
        2,
        [f"nexus: FLOWER_PORT: {port} is NEXUS_PORT too; choose another"],
    )


def test_a_home_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    code, lines = up(tmp_path, NEXUS_HOME=str(tmp_path / "file" / "home"))

    assert code == 1
    assert len(lines) == 1
    assert lines[0].startswith("nexus: NEXUS_HOME: ")


def test_production_without_addresses_is_refused(tmp_path: Path) -> None:
    code, lines = up(tmp_path, NEXUS_ENV="production")

    assert code == 2
    assert {"nexus: DATABASE_URL: missing; production needs it"} <= set(lines)
