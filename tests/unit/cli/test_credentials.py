"""Where credentials are kept, and to whom they go."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from cli.credentials import Connection, Login, Store
from cli.errors import CommandFailed
from cli.main import main

THERE = Login("https://nexus.example.com", False, "ada@example.com", "refresh", "t1", "Acme", "nxk_key", "k1")


def test_what_was_written_is_read_back_and_private(tmp_path: Path) -> None:
    store = Store(tmp_path / "home")
    store.write(THERE)

    assert store.read() == THERE
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600


def test_nothing_is_kept_before_a_login(tmp_path: Path) -> None:
    assert Store(tmp_path).read() is None


def test_a_damaged_file_is_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "cli.json").write_text("{")

    with pytest.raises(CommandFailed, match=r"cli\.json cannot be read"):
        Store(tmp_path).read()


def test_commands_go_to_the_server_of_the_login(tmp_path: Path) -> None:
    Store(tmp_path).write(THERE)

    assert Connection(tmp_path).server().url == THERE.url
    assert Connection(tmp_path).login() == THERE


def test_a_key_is_not_sent_to_another_server(tmp_path: Path) -> None:
    Store(tmp_path).write(THERE)
    connection = Connection(tmp_path, url="https://elsewhere.example.com")

    assert connection.login() is None
    with pytest.raises(CommandFailed, match="log in first"):
        connection.as_tenant()


def test_a_local_login_is_not_sent_to_a_server_that_was_named(tmp_path: Path) -> None:
    Store(tmp_path).write(Login("http://127.0.0.1:8000", True, "ada@example.com", "refresh", api_key="nxk_key"))

    assert Connection(tmp_path, url="http://127.0.0.1:9999").login() is None


def test_without_a_platform_and_a_login_there_is_nowhere_to_go(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="no platform runs on"):
        Connection(tmp_path).server()


def test_a_login_without_a_tenant_says_how_to_choose_one(tmp_path: Path) -> None:
    Store(tmp_path).write(Login(THERE.url, False, "ada@example.com", "refresh"))

    with pytest.raises(CommandFailed, match="no tenant is chosen"):
        Connection(tmp_path).as_tenant()


def test_a_server_that_is_not_there_is_one_line_and_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEXUS_HOME", str(tmp_path))

    assert main(["jobs", "list", "--url", "http://127.0.0.1:9", "--api-key", "nxk_x"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert errors[0].startswith("nexus: http://127.0.0.1:9 cannot be reached")
