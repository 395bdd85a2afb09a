"""The command against the real API, served over HTTP in this process, with a worker in a thread where one is needed."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from werkzeug.serving import make_server

from cli.client import Client
from cli.main import main
from config.settings import Settings
from tenancy.access import Tenancy
from tests.integration.web.engine import worker
from tests.tenants import operators_tenant
from web.app import create_app

PASSWORD = "correct horse battery"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Nexus = Callable[..., Outcome]


@pytest.fixture(scope="session")
def server(settings: Settings) -> Iterator[str]:
    """The address of the API."""
    app = create_app(settings.model_copy(update={"anonymous_rate_limit": "6000/minute"}))
    http = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=http.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    thread.join()
    http.server_close()
    app.extensions["nexus.tenancy"].dispose()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of the person at the terminal."""
    monkeypatch.setenv("NEXUS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def nexus(server: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Nexus:
    """Runs the command for that server."""
    monkeypatch.setenv("NEXUS_URL", server)

    def run(*arguments: str) -> Outcome:
        capsys.readouterr()
        code = main(arguments)
        return Outcome(code, *capsys.readouterr())

    return run


@dataclass(frozen=True, slots=True)
class Account:
    """A registered person."""

    id: UUID
    email: str


@pytest.fixture
def account(server: str, monkeypatch: pytest.MonkeyPatch) -> Account:
    """An account whose password is in the environment, and that belongs to no tenant."""
    monkeypatch.setenv("NEXUS_PASSWORD", PASSWORD)
    email = f"person-{secrets.token_hex(6)}@example.com"
    with Client(server) as client:
        body = {"email": email, "password": PASSWORD, "name": "Person"}
        return Account(UUID(client.post("/api/v1/auth/register", body)["id"]), email)


@pytest.fixture
def logged_in(nexus: Nexus, account: Account) -> Account:
    """The account, logged in without a tenant."""
    outcome = nexus("login", "--email", account.email)
    assert outcome.code == 0, outcome.err
    return account


@pytest.fixture
def acme(nexus: Nexus, account: Account, make_tenant: Callable[..., UUID]) -> UUID:
    """A tenant of the account, logged in to."""
    tenant_id = make_tenant("pooled", "Acme", account.id)
    outcome = nexus("login", "--email", account.email)
    assert outcome.code == 0, outcome.err
    return tenant_id


@pytest.fixture
def operator(acme: UUID, account: Account, web_tenancy: Tenancy, engine_tenancy: Tenancy) -> UUID:
    """The account as an operator and member of the operator's tenant, which this is."""
    platform = engine_tenancy.platform
    platform.fetch("UPDATE users SET is_operator = true WHERE id = %(id)s", {"id": account.id})
    tenant_id = operators_tenant(engine_tenancy)
    where = {"tenant": tenant_id, "user": account.id}
    platform.fetch("INSERT INTO memberships (tenant_id, user_id) VALUES (%(tenant)s, %(user)s)", where)
    platform.fetch(
        "INSERT INTO membership_roles (tenant_id, user_id, role_id)"
        " SELECT %(tenant)s, %(user)s, id FROM roles WHERE tenant_id = %(tenant)s AND name = 'owner'", where,
    )  # fmt: skip
    return tenant_id


@pytest.fixture
def working(engine_tenancy: Tenancy, acme: UUID) -> Iterator[UUID]:
    """`acme` with a worker that runs its jobs."""
    with worker(engine_tenancy, acme, "system.ping"):
        yield acme
