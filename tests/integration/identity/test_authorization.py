"""Who may do what, where: tenants are selected among memberships, and every change holds at the next request."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, LiteralString
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient

from domain.identity.permissions import ALL, SYSTEM_ROLES
from domain.ids import new_id
from tenancy.access import Tenancy
from tenancy.database import tenant_scope
from tenancy.identity.api_keys import create
from tenancy.identity.principals import permissions_of
from tests.integration.identity.conftest import Caller, CountedDatabase, Person, refused
from web.auth import access_of

Join = Callable[[Person, UUID, str], None]
LogIn = Callable[..., Caller]


@pytest.fixture
def owner(person: Person, pooled_tenant: UUID, join: Join, log_in: LogIn) -> Caller:
    """The tenant's owner, signed in, with the tenant selected."""
    join(person, pooled_tenant, "owner")
    return log_in(person, pooled_tenant)


def test_a_route_of_a_tenant_needs_a_tenant_even_from_a_member_of_one_only(owner: Caller) -> None:
    assert refused(Caller(owner.client, owner.credential)("GET", "/users")) == (400, "tenant_required")


def test_both_headers_select_and_must_agree(owner: Caller, pooled_tenant: UUID) -> None:
    bare = Caller(owner.client, owner.credential)
    tenant_id = str(pooled_tenant)
    assert bare("GET", "/users", {"X-Tenant-ID": tenant_id}).status_code == 200
    assert bare("GET", "/users", {"X-Tenant-ID": tenant_id, "X-Project-ID": tenant_id.upper()}).status_code == 200
    both = {"X-Tenant-ID": tenant_id, "X-Project-ID": "01a1fce4-0000-7000-8000-000000000001"}
    assert refused(bare("GET", "/users", both)) == (400, "malformed_request")


@pytest.mark.parametrize("path", ["/users", "/auth/me"])
@pytest.mark.parametrize(
    "selected", ["", "acme", "0", "null", str(UUID(int=0)), "01a1fce4-0000-7000-8000-000000000001", "{foreign}"]
)
def test_a_foreign_unknown_or_malformed_tenant_is_not_found(
    owner: Caller, make_tenant: Callable[..., UUID], selected: str, path: str
) -> None:
    header = {"X-Project-ID": selected.replace("{foreign}", str(make_tenant()))}
    assert refused(Caller(owner.client, owner.credential)("GET", path, header)) == (404, "not_found")


def test_a_stranger_learns_nothing_about_a_tenant(client: FlaskClient, pooled_tenant: UUID) -> None:
    assert refused(Caller(client, "x.y.z", pooled_tenant)("GET", "/users")) == (401, "unauthenticated")
    assert refused(Caller(client, "x.y.z")("GET", "/users", {"X-Project-ID": "acme"})) == (401, "unauthenticated")


@pytest.mark.parametrize("role", sorted(SYSTEM_ROLES))
def test_a_member_holds_what_the_role_gives(
    person: Person, pooled_tenant: UUID, join: Join, log_in: LogIn, role: str
) -> None:
    join(person, pooled_tenant, role)
    caller = log_in(person, pooled_tenant)
    assert set(caller("GET", "/auth/me").get_json()["permissions"]) == SYSTEM_ROLES[role]
    shown = {item["name"]: item["held"] for item in caller("GET", "/permissions").get_json()["items"]}
    assert set(shown) == ALL
    assert {name for name, held in shown.items() if held} == SYSTEM_ROLES[role]


def test_a_missing_permission_is_named(person: Person, pooled_tenant: UUID, join: Join, log_in: LogIn) -> None:
    join(person, pooled_tenant, "viewer")
    response = log_in(person, pooled_tenant)("POST", "/api-keys", json={"name": "x", "scopes": ["job:read"]})
    assert refused(response) == (403, "permission_denied")
    assert response.get_json()["detail"] == "The permission api_key:create is missing."


def test_a_changed_role_and_an_ended_membership_hold_at_the_next_request(
    person: Person, pooled_tenant: UUID, join: Join, log_in: LogIn, web_tenancy: Tenancy
) -> None:
    join(person, pooled_tenant, "viewer")
    caller = log_in(person, pooled_tenant)
    new_key = {"name": "x", "scopes": ["job:read"]}
    assert caller("POST", "/api-keys", json=new_key).status_code == 403
    join(person, pooled_tenant, "admin")
    assert caller("POST", "/api-keys", json=new_key).status_code == 201
    join(person, pooled_tenant, "viewer")
    assert caller("POST", "/api-keys", json=new_key).status_code == 403
    _in_tenant(web_tenancy, pooled_tenant, "DELETE FROM memberships WHERE tenant_id = %(tenant)s")
    assert refused(caller("GET", "/users")) == (404, "not_found")


@pytest.mark.parametrize("state", ["provisioning", "suspended", "migrating", "failed", "deleting"])
def test_a_tenant_that_is_not_active_can_be_read_and_nothing_else(
    owner: Caller, pooled_tenant: UUID, web_tenancy: Tenancy, state: str
) -> None:
    _set_state(web_tenancy, pooled_tenant, state)
    assert refused(owner("GET", "/users")) == (409, "tenant_unavailable")
    assert refused(owner("PUT", f"/tenants/{pooled_tenant}", json={"name": "x"})) == (409, "tenant_unavailable")
    assert owner("GET", f"/tenants/{pooled_tenant}").get_json()["state"] == state
    assert owner("GET", "/auth/me").status_code == 200


def test_a_deleted_tenant_is_not_found(owner: Caller, pooled_tenant: UUID, web_tenancy: Tenancy) -> None:
    _set_state(web_tenancy, pooled_tenant, "deleted")
    assert refused(owner("GET", "/users")) == (404, "not_found")
    assert refused(owner("GET", f"/tenants/{pooled_tenant}")) == (404, "not_found")
    everywhere = Caller(owner.client, owner.credential)
    assert everywhere("GET", "/tenants").get_json()["items"] == []


def test_knowing_who_may_costs_one_round_trip(
    owner: Caller, pooled_tenant: UUID, person: Person, platform: CountedDatabase, web_tenancy: Tenancy
) -> None:
    _, key = create(
        web_tenancy.platform, tenant_id=pooled_tenant, user_id=person.id, name="k", scopes=ALL, expires_at=None
    )
    program = Caller(owner.client, key)
    for caller in (owner, program, program):  # the second use of a key writes no `last_used_at`
        before = platform.trips
        assert caller("GET", "/jobs/kinds").status_code == 200  # a route that asks the database nothing itself
        assert platform.trips - before == 1


def test_the_tenants_of_two_owners_are_apart_on_every_route(
    owner: Caller, pooled_tenant: UUID, make_tenant: Callable[..., UUID], make_person: Callable[[], Person],
    log_in: LogIn,
) -> None:  # fmt: skip
    stranger = make_person()
    other = make_tenant(owner_id=stranger.id)
    outsider = log_in(stranger, other)
    role = owner("GET", "/roles").get_json()["items"][0]["id"]
    user = owner("GET", "/users").get_json()["items"][0]["id"]
    key = owner("POST", "/api-keys", json={"name": "mine", "scopes": ["job:read"]}).get_json()["id"]
    foreign = [("GET", f"/roles/{role}"), ("GET", f"/users/{user}"), ("DELETE", f"/api-keys/{key}")]
    for method, path in foreign:
        assert refused(outsider(method, path)) == (404, "not_found"), path
    bare = Caller(outsider.client, outsider.credential)
    assert refused(bare("GET", f"/tenants/{pooled_tenant}")) == (404, "not_found")
    change = bare("PUT", f"/tenants/{pooled_tenant}", {"If-Match": "*"}, json={"name": "taken"})
    assert refused(change) == (404, "not_found")
    assert {item["id"] for item in bare("GET", "/tenants").get_json()["items"]} == {str(other)}
    assert owner("GET", f"/tenants/{pooled_tenant}").get_json()["name"] == "Acme"
    assert [item["id"] for item in owner("GET", "/api-keys").get_json()["items"]] == [key]
    for path in ("/roles", "/users", "/api-keys"):
        mine = {item["id"] for item in owner("GET", path).get_json()["items"]}
        theirs = {item["id"] for item in outsider("GET", path).get_json()["items"]}
        assert not mine & theirs


def test_a_path_and_a_header_that_name_different_tenants_are_not_found(
    owner: Caller, pooled_tenant: UUID, person: Person, make_tenant: Callable[..., UUID], join: Join
) -> None:
    other = make_tenant()
    join(person, other, "owner")
    assert refused(owner("GET", f"/tenants/{other}")) == (404, "not_found")
    assert Caller(owner.client, owner.credential, other)("GET", f"/tenants/{other}").status_code == 200


def test_every_route_says_who_may_call_it_and_asks_for_credentials_before_anything_else(
    app: Flask, client: FlaskClient
) -> None:
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            access = access_of(app.view_functions[rule.endpoint], method)
            assert access is not None, f"{method} {rule.rule} does not say who may call it"
            if access.needs_credentials:
                path = re.sub(r"<[^>]+>", "01a1fce4-0000-7000-8000-000000000001", rule.rule)
                response = client.open(path, method=method, data=b"{", content_type="application/json")
                assert refused(response) == (401, "unauthenticated"), f"{method} {rule.rule}"
                assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_permissions_now_are_those_of_the_moment(
    person: Person, pooled_tenant: UUID, join: Join, web_tenancy: Tenancy, engine_tenancy: Tenancy
) -> None:
    join(person, pooled_tenant, "editor")
    row, _ = create(
        web_tenancy.platform, tenant_id=pooled_tenant, user_id=person.id, name="k",
        scopes={"job:create", "tenant:delete"}, expires_at=None,
    )  # fmt: skip
    user, key = f"user:{person.id}", f"key:{row['id']}"

    def held(subject: str) -> Any:
        who = permissions_of(engine_tenancy.platform, subject, pooled_tenant)
        return None if who is None else who.permissions

    assert held(user) == SYSTEM_ROLES["editor"]
    assert held(key) == {"job:create"}
    join(person, pooled_tenant, "viewer")
    assert held(user) == SYSTEM_ROLES["viewer"]
    assert held(key) == frozenset()
    _in_tenant(web_tenancy, pooled_tenant, "UPDATE api_keys SET revoked_at = now() WHERE tenant_id = %(tenant)s")
    assert held(key) is None
    web_tenancy.platform.fetch("UPDATE users SET disabled_at = now() WHERE id = %(id)s", {"id": person.id})
    assert held(user) is None


def test_nobody_holds_anything_in_another_tenant(
    person: Person, pooled_tenant: UUID, join: Join, make_tenant: Callable[..., UUID], engine_tenancy: Tenancy
) -> None:
    join(person, pooled_tenant, "owner")
    other = make_tenant()
    for subject in (f"user:{person.id}", "user:nobody", f"key:{new_id()}", "system:beat", "", f"session:{person.id}"):
        assert permissions_of(engine_tenancy.platform, subject, other) is None


def _in_tenant(tenancy: Tenancy, tenant_id: UUID, statement: LiteralString) -> None:
    tenancy.platform.fetch(statement, {"tenant": tenant_id}, tenant_scope(tenant_id))


def _set_state(tenancy: Tenancy, tenant_id: UUID, state: str) -> None:
    tenancy.platform.fetch(
        "UPDATE tenants SET state = %(state)s WHERE id = %(id)s",
        {"state": state, "id": tenant_id},
        tenant_scope(tenant_id),
    )
