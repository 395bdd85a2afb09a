"""The command as a whole: quick help, one line for each failure, exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cli.embedded.run import PROJECT
from cli.main import COMMANDS, main

HEAVY = ("httpx2", "pydantic", "rich.table", "sqlalchemy", "psycopg")


def test_help_teaches_and_loads_nothing_heavy() -> None:
    program = f"""
import sys
from cli.main import main
code = main(["--help"])
loaded = [name for name in {HEAVY!r} if name in sys.modules]
sys.exit(f"loaded {{loaded}}" if loaded else code)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in COMMANDS)
    assert "nexus jobs submit system.ping" in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: nexus {name}")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["jobs", "nonsense"],
        ["jobs", "list", "--state", "nonsense"],
        ["jobs", "show", "../tenants"],
        ["jobs", "submit", "system.ping", "--payload", "{"],
        ["login"],
    ],
)
def test_wrong_usage_is_one_line_and_code_2(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEXUS_HOME", str(tmp_path))
    monkeypatch.setenv("NEXUS_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("NEXUS_API_KEY", "nxk_x")

    assert main(arguments) == 2
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert line.startswith("nexus: ")
    assert printed.out == ""


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["quues"], "nexus: No such command 'quues'. Did you mean 'queues'? (see nexus --help)"),
        (["queues", "lst"], "nexus: No such command 'lst'. Did you mean 'list'? (see nexus queues --help)"),
        (["jobs", "show"], "nexus: Missing argument 'JOB_ID'. (see nexus jobs show --help)"),
    ],
)
def test_wrong_usage_says_what_to_do(arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.splitlines() == [line]


def test_a_group_without_a_command_shows_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["queues"]) == 2
    assert "resume" in capsys.readouterr().err


def test_settings_that_cannot_work_are_a_line_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEXUS_PORT", "nonsense")
    monkeypatch.setenv("REDIS_URL", "http://secret@example.com")

    assert main(["jobs", "list"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1].strip() for line in errors] == ["NEXUS_PORT", "REDIS_URL"]
    assert "secret" not in "".join(errors)


def test_python_m_cli_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli", "nonsense"], cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 2
    assert "No such command" in done.stderr
