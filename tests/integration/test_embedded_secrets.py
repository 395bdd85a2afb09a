"""Secrets that the embedded platform draws for itself."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from cli.embedded.home import Home, write_private
from cli.embedded.secrets import GENERATORS, kept, secret


@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_a_secret_is_readable_by_its_owner_only(tmp_path: Path, name: str) -> None:
    secret(Home(tmp_path / "home"), name)

    path = tmp_path / "home" / "secrets" / name
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.parent.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_a_secret_stays_the_same_over_restarts(tmp_path: Path, name: str) -> None:
    assert secret(Home(tmp_path), name) == secret(Home(tmp_path), name)


@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_two_homes_have_different_secrets(tmp_path: Path, name: str) -> None:
    assert secret(Home(tmp_path / "one"), name) != secret(Home(tmp_path / "two"), name)


def test_the_master_key_is_an_id_and_32_bytes(tmp_path: Path) -> None:
    key_id, _, encoded = secret(Home(tmp_path), "NEXUS_MASTER_KEYS").partition(":")

    assert key_id == "k1"
    assert len(base64.b64decode(encoded, validate=True)) == 32


def test_a_permissive_umask_does_not_open_secrets(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        secret(Home(tmp_path), "postgres")
    finally:
        os.umask(before)

    assert (tmp_path / "secrets" / "postgres").stat().st_mode & 0o777 == 0o600


def test_a_failed_write_keeps_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_private(path, "old")

    with pytest.raises(UnicodeEncodeError):
        write_private(path, "new \ud800")

    assert path.read_text() == "old"


def test_what_is_kept_is_the_first_whatever_comes_later(tmp_path: Path) -> None:
    assert kept(Home(tmp_path), "NEXUS_ORIGIN_KEY", "first") == "first"
    assert kept(Home(tmp_path), "NEXUS_ORIGIN_KEY", "second") == "first"
    assert (tmp_path / "secrets" / "NEXUS_ORIGIN_KEY").stat().st_mode & 0o777 == 0o600
