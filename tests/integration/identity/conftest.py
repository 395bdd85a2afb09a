"""People, logins and a counted database for the identity tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from config.settings import Settings
from domain.identity.passwords import hash_password
from domain.ids import new_id
from tenancy.access import Tenancy
from tenancy.database import NO_SCOPE, Database, Row, Scope, tenant_scope
from tests.integration.identity.mailbox import Mailbox
from web.app import create_app

API = "/api/v1"
PASSWORD = "correct horse battery"
FREE = {
    "rate_limit": "1000000/minute",
    "anonymous_rate_limit": "1000000/minute",
    "login_address_failures": 1_000_000,
}


_JOIN: LiteralString = (
    "INSERT INTO memberships (tenant_id, user_id) VALUES (%(tenant)s, %(user)s) ON CONFLICT DO NOTHING"
)
_TAKE_ROLES: LiteralString = "DELETE FROM membership_roles WHERE tenant_id = %(tenant)s AND user_id = %(user)s"
_GIVE_ROLE: LiteralString = """
INSERT INTO membership_roles (tenant_id, user_id, role_id)
SELECT tenant_id, %(user)s, id FROM roles WHERE tenant_id = %(tenant)s AND name = %(role)s
"""


class CountedDatabase(Database):
    """The platform database with a count of its round trips."""

    trips = 0

    def fetch_many(
        self, statements: Sequence[tuple[LiteralString, Mapping[str, Any]]], scope: Scope = NO_SCOPE
    ) -> list[list[Row]]:
        self.trips += 1
        return super().fetch_many(statements, scope)

    def session(self, scope: Scope) -> Any:
        self.trips += 1
        return super().session(scope)


@dataclass(frozen=True, slots=True)
class Person:
    """An account whose password is `PASSWORD`."""

    id: UUID
    email: str


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever holds a credential. `tenant` is sent as X-Project-ID if it is set."""

    client: FlaskClient
    credential: str
    tenant: UUID | None = None

    def __call__(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **options: Any
    ) -> TestResponse:
        sent = {"Authorization": f"Bearer {self.credential}"}
        if self.tenant is not None:
            sent["X-Project-ID"] = str(self.tenant)
        return self.client.open(API + path, method=method, headers={**sent, **(headers or {})}, **options)


@pytest.fixture(scope="session")
def app(settings: Settings) -> Iterator[Flask]:
    """The API with a counted platform database and limits that no test reaches."""
    free = settings.model_copy(update=FREE)
    app = create_app(free)
    tenancy: Tenancy = app.extensions["nexus.tenancy"]
    uncounted = tenancy.platform
    tenancy.platform = CountedDatabase(settings.web_dsn, pool_size=8, application_name="nexus web counted")
    yield app
    tenancy.dispose()
    uncounted.dispose()


@pytest.fixture
def platform(app: Flask) -> CountedDatabase:
    """The database behind `app`."""
    counted: CountedDatabase = app.extensions["nexus.tenancy"].platform
    return counted


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Calls the API without credentials."""
    return app.test_client()


@pytest.fixture
def make_person(web_tenancy: Tenancy) -> Callable[[], Person]:
    """Makes accounts."""
    hashed = hash_password(PASSWORD)

    def make() -> Person:
        person = Person(new_id(), f"person-{new_id()}@example.com")
        web_tenancy.platform.fetch(
            "INSERT INTO users (id, email, name, password_hash) VALUES (%(id)s, %(email)s, 'Person', %(hash)s)",
            {"id": person.id, "email": person.email, "hash": hashed},
        )
        return person

    return make


@pytest.fixture
def person(make_person: Callable[[], Person]) -> Person:
    """An account."""
    return make_person()


@pytest.fixture(autouse=True)
def forgotten_failures(web_tenancy: Tenancy) -> Iterator[None]:
    """What fails here on purpose locks the address of no other test."""
    yield
    web_tenancy.platform.fetch("DELETE FROM login_throttles", {})


@pytest.fixture
def mailbox(engine_tenancy: Tenancy) -> Mailbox:
    """Mails about accounts, with none waiting from before."""
    box = Mailbox(engine_tenancy)
    box.deliver()
    return box


@pytest.fixture
def verified(app: Flask) -> Iterator[None]:
    """Asks for verified addresses, as in production."""
    tenancy: Tenancy = app.extensions["nexus.tenancy"]
    before = tenancy.settings
    tenancy.settings = before.model_copy(update={"require_verified_email": True})
    yield
    tenancy.settings = before


@pytest.fixture
def join(web_tenancy: Tenancy) -> Callable[[Person, UUID, str], None]:
    """Makes a person a member of a tenant with a role, instead of the roles held there before."""

    def make(person: Person, tenant_id: UUID, role: str) -> None:
        parameters = {"tenant": tenant_id, "user": person.id, "role": role}
        web_tenancy.platform.fetch_many(
            [(_JOIN, parameters), (_TAKE_ROLES, parameters), (_GIVE_ROLE, parameters)], tenant_scope(tenant_id)
        )

    return make


@pytest.fixture
def log_in(client: FlaskClient) -> Callable[..., Caller]:
    """Signs a person in."""

    def sign_in(person: Person, tenant: UUID | None = None) -> Caller:
        return Caller(client, tokens(client, person)["access_token"], tenant)

    return sign_in


def tokens(client: FlaskClient, person: Person, password: str = PASSWORD) -> dict[str, Any]:
    """What a login answers; it must succeed."""
    response = client.post(f"{API}/auth/login", json={"email": person.email, "password": password})
    assert response.status_code == 200, response.get_data(as_text=True)
    return dict(response.get_json())


def refused(response: TestResponse) -> tuple[int, str]:
    """Status and code of a problem."""
    assert response.mimetype == "application/problem+json", response.get_data(as_text=True)
    return response.status_code, response.get_json()["code"]
