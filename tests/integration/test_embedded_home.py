"""The directories of one platform."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.embedded.errors import EmbeddedServiceError
from cli.embedded.home import LONGEST_SOCKET_NAME, LONGEST_SOCKET_PATH, Home


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path / "home")
    yield home
    shutil.rmtree(home.sockets)


def test_sockets_of_a_deep_home_can_be_bound(tmp_path: Path) -> None:
    home = Home(tmp_path / ("deep" * 30) / "home")

    directory = home.sockets

    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(directory / "supervisor.sock.4194304"))
        assert len(str(directory)) + LONGEST_SOCKET_NAME <= LONGEST_SOCKET_PATH
    finally:
        shutil.rmtree(directory)


def test_sockets_stay_at_one_place_over_restarts(home: Home) -> None:
    assert home.sockets == Home(home.path).sockets


def test_sockets_cannot_be_listed_by_others(home: Home) -> None:
    assert home.sockets.stat().st_mode & 0o066 == 0


def test_a_copied_home_has_other_sockets(home: Home, tmp_path: Path) -> None:
    home.sockets.touch()
    copy = Home(Path(shutil.copytree(home.path, tmp_path / "copy")))

    try:
        assert copy.sockets != home.sockets
    finally:
        shutil.rmtree(copy.sockets)


def test_a_place_that_others_may_write_to_is_given_up(home: Home) -> None:
    occupied = home.sockets
    occupied.chmod(0o777)

    try:
        assert home.sockets != occupied
    finally:
        occupied.rmdir()


def test_a_link_in_place_of_the_sockets_is_given_up(home: Home, tmp_path: Path) -> None:
    occupied = home.sockets
    occupied.rmdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    occupied.symlink_to(tmp_path / "elsewhere")

    try:
        assert home.sockets != occupied
    finally:
        occupied.unlink()


def test_a_home_that_is_a_file_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(EmbeddedServiceError, match="NEXUS_HOME"):
        _ = Home(tmp_path / "file").root


def test_a_home_below_a_file_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(EmbeddedServiceError, match="cannot be made"):
        _ = Home(tmp_path / "file" / "home").root


def test_a_log_that_has_grown_is_set_aside(home: Home) -> None:
    home.log("postgres").write_text("x" * 11)

    path = home.log("postgres", keep_bytes=10)

    assert not path.exists()
    assert path.with_name("postgres.log.1").read_text() == "x" * 11


def test_a_relative_home_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert str(Home(Path("var")).path) == os.path.realpath(tmp_path / "var")
