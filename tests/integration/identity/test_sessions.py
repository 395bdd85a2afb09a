"""Sessions: listed, ended one by one or all, and bound to a tenant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from flask.testing import FlaskClient

from domain.ids import new_id
from tenancy.access import Tenancy
from tests.integration.identity.conftest import API, Caller, Person, refused, tokens

Join = Callable[[Person, UUID, str], None]


def test_logout_ends_this_session_at_once_and_no_other(client: FlaskClient, person: Person) -> None:
    first, second = tokens(client, person), tokens(client, person)
    assert Caller(client, first["access_token"])("POST", "/auth/logout").status_code == 204
    assert refused(Caller(client, first["access_token"])("GET", "/auth/me")) == (401, "unauthenticated")
    again = client.post(f"{API}/auth/refresh-token", json={"refresh_token": first["refresh_token"]})
    assert refused(again) == (401, "unauthenticated")
    assert Caller(client, second["access_token"])("GET", "/auth/me").status_code == 200


def test_logout_everywhere_ends_every_session_of_the_user_only(
    client: FlaskClient, make_person: Callable[[], Person], log_in: Callable[..., Caller]
) -> None:
    ada, bob = make_person(), make_person()
    first, second, other = log_in(ada), log_in(ada), log_in(bob)
    assert first("POST", "/auth/logout-all").status_code == 204
    assert [caller("GET", "/auth/me").status_code for caller in (first, second, other)] == [401, 401, 200]


def test_sessions_are_listed_and_one_can_be_ended_from_another(client: FlaskClient, person: Person) -> None:
    first, second = tokens(client, person), tokens(client, person)
    caller = Caller(client, second["access_token"])
    items = caller("GET", "/auth/sessions").get_json()["items"]
    assert [(item["id"], item["current"]) for item in items] == [
        (second["session_id"], True),
        (first["session_id"], False),
    ]
    assert items[0]["address"] == "127.0.0.1"
    assert caller("DELETE", f"/auth/sessions/{first['session_id']}").status_code == 204
    assert refused(Caller(client, first["access_token"])("GET", "/auth/me")) == (401, "unauthenticated")
    assert refused(caller("DELETE", f"/auth/sessions/{first['session_id']}")) == (404, "not_found")


def test_another_users_session_cannot_be_ended(
    client: FlaskClient, make_person: Callable[[], Person], log_in: Callable[..., Caller]
) -> None:
    victim = tokens(client, make_person())
    assert refused(log_in(make_person())("DELETE", f"/auth/sessions/{victim['session_id']}")) == (404, "not_found")
    assert Caller(client, victim["access_token"])("GET", "/auth/me").status_code == 200


def test_switching_binds_new_tokens_to_the_tenant_without_a_header(
    client: FlaskClient, person: Person, join: Join, make_tenant: Callable[..., UUID], log_in: Callable[..., Caller]
) -> None:
    here, there = make_tenant(), make_tenant()
    join(person, here, "viewer")
    join(person, there, "viewer")
    response = log_in(person)("POST", "/auth/switch", json={"tenant_id": str(here)})
    assert response.status_code == 200
    bound = response.get_json()
    assert bound["tenant_id"] == str(here)
    caller = Caller(client, bound["access_token"])
    assert caller("GET", "/auth/me").get_json()["tenant_id"] == str(here)
    assert caller("GET", "/users").status_code == 200
    assert caller("GET", "/users", {"X-Project-ID": str(here)}).status_code == 200
    assert refused(caller("GET", "/users", {"X-Project-ID": str(there)})) == (404, "not_found")
    assert refused(caller("GET", f"/tenants/{there}")) == (404, "not_found")
    renewed = client.post(f"{API}/auth/refresh-token", json={"refresh_token": bound["refresh_token"]}).get_json()
    assert renewed["tenant_id"] == str(here)
    assert refused(Caller(client, renewed["access_token"], there)("GET", "/users")) == (404, "not_found")


def test_nobody_switches_to_a_tenant_they_do_not_belong_to(
    person: Person, pooled_tenant: UUID, log_in: Callable[..., Caller]
) -> None:
    caller = log_in(person)
    for tenant_id in (pooled_tenant, new_id()):
        assert refused(caller("POST", "/auth/switch", json={"tenant_id": str(tenant_id)})) == (404, "not_found")


def test_a_bound_session_ends_no_later_than_the_one_it_came_from(
    client: FlaskClient, person: Person, join: Join, pooled_tenant: UUID, web_tenancy: Tenancy
) -> None:
    join(person, pooled_tenant, "viewer")
    login = tokens(client, person)
    _set_end(web_tenancy, login, "1 hour")
    caller = Caller(client, login["access_token"])
    bound = caller("POST", "/auth/switch", json={"tenant_id": str(pooled_tenant)}).get_json()
    ends = {item["id"]: item["expires_at"] for item in caller("GET", "/auth/sessions").get_json()["items"]}
    assert ends[bound["session_id"]] == ends[login["session_id"]]


def test_who_left_the_tenant_can_still_leave_the_bound_session(
    client: FlaskClient,
    person: Person,
    join: Join,
    pooled_tenant: UUID,
    web_tenancy: Tenancy,
    log_in: Callable[..., Caller],
) -> None:
    join(person, pooled_tenant, "viewer")
    bound = log_in(person)("POST", "/auth/switch", json={"tenant_id": str(pooled_tenant)}).get_json()
    caller = Caller(client, bound["access_token"])
    web_tenancy.platform.fetch(
        "DELETE FROM memberships WHERE user_id = %(user)s AND tenant_id = %(tenant)s",
        {"user": person.id, "tenant": pooled_tenant},
        {"nexus.tenant_id": str(pooled_tenant)},
    )
    assert refused(caller("GET", "/users")) == (404, "not_found")
    me = caller("GET", "/auth/me").get_json()
    assert (me["tenant_id"], me["permissions"]) == (None, [])
    assert caller("POST", "/auth/logout").status_code == 204


def _set_end(tenancy: Tenancy, login: dict[str, Any], within: str) -> None:
    tenancy.platform.fetch(
        "UPDATE sessions SET expires_at = now() + %(within)s::interval WHERE id = %(id)s",
        {"within": within, "id": UUID(login["session_id"])},
    )
