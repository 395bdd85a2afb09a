"""API processes that are killed in the middle of what concerns people: no session is lost, and nobody is there by half.

Each is held at a known place by a lock on a table that its transaction needs next, killed there, and replaced.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
from psycopg import sql

from bench.engine import Engine, until
from bench.service import start_web
from config.settings import Settings, load
from domain.ids import new_id
from tenancy.access import Tenancy
from tenancy.servers import platform_database
from tests.conftest import Cluster
from tests.faults.conftest import held, someone_waits_for

pytestmark = pytest.mark.faults

PASSWORD = "correct horse battery"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The platform at one address, wherever its API is started again: tokens name it."""
    given = {
        str(Settings.model_fields[name].alias): getattr(settings, name)
        for name in settings.model_fields_set
        if getattr(settings, name) is not None
    }
    return load(_env_file=None, **{**given, "NEXUS_PUBLIC_URL": "http://nexus.example"})


@pytest.fixture
def web(engine: Engine) -> tuple[subprocess.Popen[bytes], str]:
    """The API process that is killed, and its address."""
    return start_web(engine)


@pytest.fixture
def killed_at(
    engine: Engine, cluster: Cluster, settings: Settings, web: tuple[subprocess.Popen[bytes], str]
) -> Callable[..., str]:
    """Sends a request whose transaction is held before it can write `table`, kills the process there, and starts another.

    Returns the other's address.
    """

    def kill(table: str, method: str, path: str, **options: Any) -> str:
        process, address = web
        statement = sql.SQL("LOCK TABLE {} IN SHARE MODE").format(sql.Identifier(table))
        with held(cluster.postgres.superuser_dsn, statement, platform_database(settings)) as pid:
            with asking(address, method, path, **options) as outcome:
                until(lambda: someone_waits_for(cluster.postgres.superuser_dsn, pid), 60, f"it waits for {table}")
                engine.kill(process)
            assert outcome == ["no answer"]
        return start_web(engine)[1]

    return kill


@contextmanager
def asking(address: str, method: str, path: str, **options: Any) -> Iterator[list[str]]:
    """Sends a request from a thread of its own; gives what became of it."""
    outcome: list[str] = []

    def ask() -> None:
        try:
            outcome.append(
                str(httpx2.request(method, address + path, timeout=120, trust_env=False, **options).status_code)
            )
        except httpx2.TransportError:
            outcome.append("no answer")

    thread = threading.Thread(target=ask)
    thread.start()
    yield outcome
    thread.join()


def post(address: str, path: str, token: str | None = None, **body: Any) -> httpx2.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx2.post(f"{address}/api/v1{path}", json=body, headers=headers, timeout=60, trust_env=False)


def registered(address: str) -> tuple[str, dict[str, Any]]:
    """A person's email, and the tokens of a login."""
    email = f"{new_id()}@example.com"
    assert post(address, "/auth/register", email=email, password=PASSWORD, name="Ada").status_code == 201
    answer = post(address, "/auth/login", email=email, password=PASSWORD)
    assert answer.status_code == 200, answer.text
    return email, answer.json()


def test_a_session_outlives_the_process_that_was_rotating_its_refresh_token(
    web: tuple[subprocess.Popen[bytes], str], killed_at: Callable[..., str], tenancy: Tenancy
) -> None:
    """The client never got an answer, sends the same token again, and is taken for itself, not for a thief."""
    email, tokens = registered(web[1])
    old = {"refresh_token": tokens["refresh_token"]}
    address = killed_at("refresh_tokens", "POST", "/api/v1/auth/refresh-token", json=old)
    again = post(address, "/auth/refresh-token", **old)
    assert again.status_code == 200, again.text
    assert me(address, again.json()["access_token"])["email"] == email
    assert me(address, tokens["access_token"])["email"] == email, "what the session signed before still holds"
    assert post(address, "/auth/refresh-token", refresh_token=again.json()["refresh_token"]).status_code == 200


@pytest.mark.parametrize("table", ["jobs", "audit_entries"])
def test_a_registration_that_is_killed_leaves_no_account_without_its_mail(
    web: tuple[subprocess.Popen[bytes], str], killed_at: Callable[..., str], tenancy: Tenancy, table: str
) -> None:
    email = f"{new_id()}@example.com"
    body = {"email": email, "password": PASSWORD, "name": "Ada"}
    mails = mails_for(tenancy)
    address = killed_at(table, "POST", "/api/v1/auth/register", json=body)
    assert tenancy.platform.fetch("SELECT 1 FROM users WHERE email = %(email)s", {"email": email}) == []
    assert mails_for(tenancy) == mails
    assert post(address, "/auth/login", email=email, password=PASSWORD).status_code == 401
    assert post(address, "/auth/register", **body).status_code == 201, "the address is still free"
    assert mails_for(tenancy) == mails + 1
    assert post(address, "/auth/login", email=email, password=PASSWORD).status_code == 200


def test_a_rotation_of_signing_keys_that_is_killed_ends_no_session_and_is_done_by_the_next(
    web: tuple[subprocess.Popen[bytes], str], killed_at: Callable[..., str], tenancy: Tenancy, settings: Settings
) -> None:
    email, tokens = registered(web[1])
    door = Tenancy(settings, "web")
    door.platform.fetch("UPDATE users SET is_operator = true WHERE email = %(email)s", {"email": email})
    door.dispose()
    access = {"Authorization": f"Bearer {tokens['access_token']}"}
    before = keys(web[1])
    address = killed_at("signing_keys", "POST", "/api/v1/admin/signing-keys/rotate", headers=access)
    assert len(keys(address) - before) <= 1, "it travelled in one piece, so PostgreSQL did all of it or nothing"
    assert me(address, tokens["access_token"])["email"] == email
    assert post(address, "/auth/login", email=email, password=PASSWORD).status_code == 200
    for _ in range(2):
        assert post(address, "/admin/signing-keys/rotate", tokens["access_token"]).status_code == 200
    assert len(keys(address) - before) == 1, "asked twice, one is shown"
    assert me(address, tokens["access_token"])["email"] == email
    refreshed = post(address, "/auth/refresh-token", refresh_token=tokens["refresh_token"])
    assert me(address, refreshed.json()["access_token"])["email"] == email


def me(address: str, token: str) -> Any:
    answer = httpx2.get(
        f"{address}/api/v1/auth/me", headers={"Authorization": f"Bearer {token}"}, timeout=60, trust_env=False
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["user"]


def keys(address: str) -> set[str]:
    """The ids of the public keys that are shown."""
    shown = httpx2.get(f"{address}/.well-known/jwks.json", timeout=60, trust_env=False).json()
    return {key["kid"] for key in shown["keys"]}


def mails_for(tenancy: Tenancy) -> int:
    """Jobs that mail a link."""
    return int(tenancy.platform.fetch("SELECT count(*) AS n FROM jobs WHERE kind = 'account.mail_link'", {})[0]["n"])
