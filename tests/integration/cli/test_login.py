"""`nexus login` and what it keeps."""

from __future__ import annotations

import io
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import pyotp
import pytest

from cli.client import Client
from cli.credentials import Connection, Store
from cli.errors import Problem
from tests.integration.cli.conftest import PASSWORD, Account, Nexus


def test_a_login_keeps_a_key_for_the_only_tenant(nexus: Nexus, acme: UUID, home: Path) -> None:
    kept = Store(home).read()

    assert kept is not None
    assert kept.tenant_id == str(acme)
    assert stat.S_IMODE((home / "cli.json").stat().st_mode) == 0o600
    assert nexus("jobs", "list", "--json").json == {"items": [], "next_cursor": None}


def test_the_password_is_kept_nowhere(acme: UUID, home: Path) -> None:
    assert PASSWORD not in (home / "cli.json").read_text()


def test_without_a_tenant_the_next_step_is_told(nexus: Nexus, account: Account) -> None:
    assert "nexus tenants create" in nexus("login", "--email", account.email).out
    assert "--tenant" in nexus("jobs", "list").err


def test_an_operator_who_names_no_tenant_gets_the_operators_own(
    nexus: Nexus, acme: UUID, operator: UUID, account: Account, home: Path
) -> None:
    outcome = nexus("login", "--email", account.email)
    kept = Store(home).read()
    assert outcome.code == 0, outcome.err
    assert kept is not None
    assert kept.tenant_id == str(operator) != str(acme)


def test_an_account_with_a_second_factor_is_asked_for_a_code(
    nexus: Nexus, acme: UUID, account: Account, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Client(server) as client:
        tokens = client.post("/api/v1/auth/login", {"email": account.email, "password": PASSWORD})
    with Client(server, credential=tokens["access_token"]) as client:
        secret = client.post("/api/v1/auth/mfa/enroll", {"password": PASSWORD})["secret"]
        made = client.post("/api/v1/auth/mfa/activate", {"code": pyotp.TOTP(secret).now()})

    without = nexus("login", "--email", account.email)
    assert (without.code, without.err.count("\n")) == (2, 1)
    assert "NEXUS_CODE" in without.err

    monkeypatch.setenv("NEXUS_CODE", made["recovery_codes"][0])
    assert nexus("login", "--email", account.email).code == 0
    again = nexus("login", "--email", account.email)
    assert (again.code, "[invalid_code]" in again.err) == (2, True)


def test_a_wrong_password_changes_nothing(
    nexus: Nexus, acme: UUID, account: Account, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Store(home).read()
    monkeypatch.setenv("NEXUS_PASSWORD", "wrong horse battery")

    outcome = nexus("login", "--email", account.email)

    assert outcome.code == 2
    assert "[invalid_credentials]" in outcome.err
    assert Store(home).read() == before


def test_the_password_can_come_from_standard_input(
    nexus: Nexus, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NEXUS_PASSWORD")
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))

    assert nexus("login", "--email", account.email, "--password-stdin").code == 0


def test_without_a_terminal_and_a_password_it_says_so(
    nexus: Nexus, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NEXUS_PASSWORD")
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    outcome = nexus("login", "--email", account.email)

    assert outcome.code == 2
    assert "NEXUS_PASSWORD" in outcome.err


def test_the_key_of_an_earlier_login_is_ended(
    nexus: Nexus, acme: UUID, account: Account, home: Path, server: str
) -> None:
    first = Store(home).read()
    assert first is not None
    nexus("login", "--email", account.email, "--tenant", "Acme")

    with Client(server, credential=first.api_key) as client, pytest.raises(Problem, match="unauthenticated"):
        client.get("/api/v1/jobs")
    assert nexus("jobs", "list").code == 0


def test_of_several_tenants_one_must_be_named(
    nexus: Nexus, acme: UUID, account: Account, make_tenant: Callable[..., UUID]
) -> None:
    other = make_tenant("pooled", "Other", account.id)

    outcome = nexus("login", "--email", account.email)

    assert outcome.code == 2
    assert "--tenant" in outcome.err
    assert str(other) in outcome.err
    assert nexus("login", "--email", account.email, "--tenant", str(other)).code == 0


def test_commands_at_the_same_time_share_one_session(nexus: Nexus, logged_in: Account, home: Path, server: str) -> None:
    def read(_: int) -> str:
        with Connection(home, server).as_user() as client:
            email: str = client.get("/api/v1/auth/me")["user"]["email"]
            return email

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(read, range(16))) == {logged_in.email}
