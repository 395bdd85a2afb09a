"""What people write on the command line: payloads, times, tenants."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest

from cli.errors import CommandFailed
from cli.login import choose
from cli.options import read_payload, read_time

ACME = {"id": "1", "name": "Acme", "state": "active"}
OTHER = {"id": "2", "name": "Other", "state": "active"}
TWIN = {"id": "3", "name": "Acme", "state": "active"}
NEW = {"id": "4", "name": "New", "state": "provisioning"}


def test_a_payload_is_json_a_file_or_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "payload.json"
    file.write_text('{"from": "file"}')
    monkeypatch.setattr("sys.stdin", io.StringIO('{"from": "input"}'))

    assert read_payload('{"from": "text"}') == {"from": "text"}
    assert read_payload(f"@{file}") == {"from": "file"}
    assert read_payload("-") == {"from": "input"}


@pytest.mark.parametrize("text", ["{", "[1]", "3", "@/no/such/file", "[" * 100_000])
def test_what_is_no_json_object_is_wrong_usage(text: str) -> None:
    with pytest.raises(click.UsageError, match="--payload"):
        read_payload(text)


def test_a_time_with_an_offset_becomes_utc() -> None:
    assert read_time("2026-11-30T08:00:00+02:00") == "2026-11-30T06:00:00Z"
    assert read_time("2026-11-30T08:00:00Z") == "2026-11-30T08:00:00Z"
    assert read_time(None) is None


def test_a_delay_counts_from_now() -> None:
    text = read_time("+2h")

    assert text is not None
    assert abs(datetime.fromisoformat(text) - datetime.now(UTC) - timedelta(hours=2)) < timedelta(seconds=5)


@pytest.mark.parametrize(
    "text", ["2026-11-30T08:00:00", "soon", "+5", "+999999999d", "-1h", "0001-01-01T00:00:00+02:00"]
)
def test_what_is_no_moment_is_wrong_usage(text: str) -> None:
    with pytest.raises(click.UsageError):
        read_time(text)


def test_the_only_active_tenant_is_chosen_without_asking() -> None:
    assert choose([ACME, NEW], None) == ACME


def test_several_tenants_are_listed_for_a_choice() -> None:
    with pytest.raises(CommandFailed, match=r"--tenant: Acme \(1\), Other \(2\)"):
        choose([ACME, OTHER], None)


def test_a_tenant_is_chosen_by_name_or_id() -> None:
    assert choose([ACME, OTHER], "Other") == OTHER
    assert choose([ACME, OTHER], "1") == ACME


def test_a_name_that_two_tenants_have_is_not_guessed() -> None:
    with pytest.raises(CommandFailed, match=r"Acme \(1\), Acme \(3\)"):
        choose([ACME, TWIN], "Acme")


def test_a_tenant_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(CommandFailed, match=r"no tenant 'Nobody'; you have: Acme \(1\)"):
        choose([ACME], "Nobody")


def test_nobody_is_chosen_where_there_is_none() -> None:
    assert choose([NEW], None) is None
