"""The API in this process, over real services, with a signed-in owner of a tenant."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient

from config.settings import Settings
from domain.ids import new_id
from models.platform import Membership, MembershipRole, Role, User
from models.tenant import Charge, Meter, Plan
from tenancy.access import Tenancy
from tenancy.scopes import tenant_scope, user_scope
from tests.integration.web.callers import Caller, access_token
from tests.tenants import operators_tenant
from web.app import create_app


@pytest.fixture(scope="session")
def app(settings: Settings) -> Iterator[Flask]:
    """The API's app, as a worker process makes it."""
    made = create_app(settings)
    yield made
    made.extensions["nexus.tenancy"].dispose()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client without credentials."""
    return app.test_client()


@pytest.fixture
def sign_in(app: Flask, web_tenancy: Tenancy) -> Callable[..., Caller]:
    """Signs a user in to a tenant: the owner who made it, or a new member with one of the system roles."""

    def make(tenant_id: UUID, user_id: UUID | None = None, role: str | None = None) -> Caller:
        who = user_id or _member(web_tenancy, tenant_id, role or "viewer")
        headers = {"Authorization": f"Bearer {access_token(app, web_tenancy, who)}", "X-Project-ID": str(tenant_id)}
        return Caller(app.test_client(), tenant_id, who, headers)

    return make


@pytest.fixture
def caller(sign_in: Callable[..., Caller], pooled_tenant: UUID, user: UUID) -> Caller:
    """The owner of a tenant in the shared database."""
    return sign_in(pooled_tenant, user)


@pytest.fixture
def operator(caller: Caller, web_tenancy: Tenancy) -> Iterator[Caller]:
    """The caller, as someone who runs the platform that has an operator's tenant."""
    platform = web_tenancy.platform
    platform.fetch("UPDATE users SET is_operator = true WHERE id = %(id)s", {"id": caller.user_id})
    yield caller
    platform.fetch("UPDATE users SET is_operator = false WHERE id = %(id)s", {"id": caller.user_id})


@pytest.fixture
def operator_tenant(engine_tenancy: Tenancy) -> UUID:
    """The operator's tenant, as after the first start."""
    return operators_tenant(engine_tenancy)


@pytest.fixture
def plan(operator_tenant: UUID, engine_tenancy: Tenancy) -> Callable[..., UUID]:
    """A plan of the platform that charges for jobs."""

    def make(amount: int = 1000, **fields: Any) -> UUID:
        with engine_tenancy.session(operator_tenant) as session:
            meter = session.query(Meter).filter_by(code="jobs").one_or_none()
            if meter is None:
                meter = Meter(tenant_id=operator_tenant, id=new_id(), code="jobs", name="Jobs", aggregation="count")
            sold = Plan(tenant_id=operator_tenant, id=new_id(), code=f"p-{new_id().hex}", name="Platform", amount=amount,
                        currency="EUR", interval="month", **fields)  # fmt: skip
            session.add_all([meter, sold])
            session.flush()
            session.add(Charge(tenant_id=operator_tenant, id=new_id(), plan_id=sold.id, meter_id=meter.id, name="Jobs",
                               model="standard", terms={"unit_amount": "2"}))  # fmt: skip
            return sold.id

    return make


@pytest.fixture
def auth_headers(caller: Caller) -> dict[str, str]:
    """Headers of the owner of `pooled_tenant`."""
    return caller.headers


@pytest.fixture
def stranger(sign_in: Callable[..., Caller], make_tenant: Callable[..., UUID], web_tenancy: Tenancy) -> Caller:
    """The owner of another tenant."""
    owner = _user(web_tenancy)
    return sign_in(make_tenant("pooled", "Other", owner), owner)


def _user(web_tenancy: Tenancy) -> UUID:
    user_id = new_id()
    with web_tenancy.platform.session(user_scope(user_id)) as session:
        session.add(User(id=user_id, email=f"user-{user_id}@example.com", name="User", password_hash="none"))
    return user_id


def _member(web_tenancy: Tenancy, tenant_id: UUID, role: str) -> UUID:
    user_id = _user(web_tenancy)
    with web_tenancy.platform.session(tenant_scope(tenant_id)) as session:
        session.add(Membership(tenant_id=tenant_id, user_id=user_id))
        session.flush()
        role_id = session.query(Role.id).filter_by(tenant_id=tenant_id, name=role).scalar()
        session.add(MembershipRole(tenant_id=tenant_id, user_id=user_id, role_id=role_id))
    return user_id
