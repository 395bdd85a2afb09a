"""Members of a tenant: made, changed, removed, and never without an owner."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from domain.ids import new_id
from tenancy.access import Tenancy
from tenancy.identity.authorization import queue_up
from tenancy.scopes import tenant_scope
from tests.integration.identity.conftest import API, PASSWORD, Caller, Person, refused, tokens
from tests.integration.identity.mailbox import Mailbox

Join = Callable[[Person, UUID, str], None]
MakePerson = Callable[[], Person]
LogIn = Callable[..., Caller]


@pytest.fixture
def sign_in_as(
    make_person: MakePerson, pooled_tenant: UUID, join: Join, log_in: LogIn
) -> Callable[[str], tuple[Person, Caller]]:
    """Makes a member with a role, signed in to the tenant."""

    def make(role: str) -> tuple[Person, Caller]:
        who = make_person()
        join(who, pooled_tenant, role)
        return who, log_in(who, pooled_tenant)

    return make


@pytest.fixture
def owner(person: Person, pooled_tenant: UUID, join: Join, log_in: LogIn, web_tenancy: Tenancy, user: UUID) -> Caller:
    """The tenant's only owner: whoever made it is none any more."""
    join(person, pooled_tenant, "owner")
    join(Person(user, ""), pooled_tenant, "viewer")
    return log_in(person, pooled_tenant)


def put(caller: Caller, user_id: UUID, *roles: str) -> Any:
    etag = caller("GET", f"/users/{user_id}").headers["ETag"]
    return caller("PUT", f"/users/{user_id}", {"If-Match": etag}, json={"roles": list(roles)})


def test_an_account_is_made_with_roles_and_a_mail_to_choose_a_password(
    owner: Caller, client: FlaskClient, pooled_tenant: UUID, mailbox: Mailbox
) -> None:
    email = f"{new_id()}@example.com"
    made = owner("POST", "/users", json={"email": email, "name": "Grace", "roles": ["editor"]})
    assert made.status_code == 201
    body = made.get_json()
    assert (body["email"], body["name"], body["roles"]) == (email, "Grace", ["editor"])
    assert made.headers["Location"] == f"/api/v1/users/{body['id']}"
    assert owner("GET", f"/users/{body['id']}").get_json() == body
    mail = mailbox.last_to(email, pooled_tenant)
    assert mail.subject == "Choose a new password"
    reset = client.post(f"{API}/auth/reset-password", json={"token": mail.token, "password": PASSWORD})
    assert reset.status_code == 204
    tokens(client, Person(UUID(body["id"]), email))


def test_an_account_that_is_made_with_a_password_is_asked_to_verify_its_address(
    owner: Caller, client: FlaskClient, pooled_tenant: UUID, mailbox: Mailbox
) -> None:
    email = f"{new_id()}@example.com"
    made = owner("POST", "/users", json={"email": email, "password": PASSWORD, "roles": ["viewer"]}).get_json()
    assert "password" not in made
    tokens(client, Person(UUID(made["id"]), email))
    assert mailbox.last_to(email, pooled_tenant).subject == "Confirm your email address"


def test_who_has_an_account_is_not_made_again(owner: Caller, make_person: MakePerson) -> None:
    response = owner("POST", "/users", json={"email": make_person().email, "roles": ["viewer"]})
    assert refused(response) == (409, "email_taken")


def test_a_repeated_request_makes_one_account_also_after_a_crash(
    owner: Caller, pooled_tenant: UUID, web_tenancy: Tenancy, mailbox: Mailbox
) -> None:
    header = {"Idempotency-Key": str(new_id())}
    body = {"email": f"{new_id()}@example.com", "roles": ["viewer"]}
    first = owner("POST", "/users", header, json=body)
    assert owner("POST", "/users", header, json=body).get_json() == first.get_json()
    web_tenancy.platform.fetch(
        "UPDATE idempotent_requests SET status = NULL, body_sealed = NULL, created_at = now() - interval '61 seconds'",
        {},
        {"nexus.tenant_id": str(pooled_tenant)},
    )
    assert owner("POST", "/users", header, json=body).get_json() == first.get_json()
    assert len(mailbox.deliver(pooled_tenant)) == 1


def test_roles_are_replaced_under_the_present_etag_and_hold_at_the_next_request(
    owner: Caller, sign_in_as: Callable[[str], tuple[Person, Caller]]
) -> None:
    member, caller = sign_in_as("viewer")
    path = f"/users/{member.id}"
    etag = owner("GET", path).headers["ETag"]
    assert refused(owner("PUT", path, json={"roles": ["admin"]})) == (428, "precondition_required")
    changed = owner("PUT", path, {"If-Match": etag}, json={"roles": ["admin"]})
    assert changed.get_json()["roles"] == ["admin"]
    assert refused(owner("PUT", path, {"If-Match": etag}, json={"roles": []})) == (412, "precondition_failed")
    assert caller("GET", "/auth/me").get_json()["permissions"].count("user:update") == 1
    assert put(owner, member.id).get_json()["roles"] == []
    assert refused(caller("GET", "/users")) == (403, "permission_denied")


def test_who_is_removed_is_out_at_the_next_request_and_so_are_their_keys(
    owner: Caller, client: FlaskClient, sign_in_as: Callable[[str], tuple[Person, Caller]]
) -> None:
    member, caller = sign_in_as("admin")
    key = caller("POST", "/api-keys", json={"name": "k", "scopes": ["user:read"]}).get_json()["key"]
    assert owner("DELETE", f"/users/{member.id}").status_code == 204
    assert refused(caller("GET", "/users")) == (404, "not_found")
    assert refused(Caller(client, key)("GET", "/users")) == (401, "unauthenticated")
    assert refused(owner("DELETE", f"/users/{member.id}")) == (404, "not_found")
    tokens(client, member)


def test_the_last_owner_stays_owner(
    owner: Caller, person: Person, make_person: MakePerson, pooled_tenant: UUID, join: Join, web_tenancy: Tenancy
) -> None:
    assert refused(owner("DELETE", f"/users/{person.id}")) == (409, "last_owner")
    assert refused(put(owner, person.id, "admin")) == (409, "last_owner")
    assert put(owner, person.id, "owner", "viewer").status_code == 200
    disabled = make_person()
    join(disabled, pooled_tenant, "owner")
    web_tenancy.platform.fetch("UPDATE users SET disabled_at = now() WHERE id = %(id)s", {"id": disabled.id})
    assert refused(owner("DELETE", f"/users/{person.id}")) == (409, "last_owner")
    join(make_person(), pooled_tenant, "owner")
    assert owner("DELETE", f"/users/{person.id}").status_code == 204


def test_two_owners_who_remove_each_other_at_once_leave_one(
    app: Flask, owner: Caller, person: Person, sign_in_as: Callable[[str], tuple[Person, Caller]], pooled_tenant: UUID
) -> None:
    for _ in range(3):
        other, caller = sign_in_as("owner")
        calls = [(owner.credential, other.id), (caller.credential, person.id)]

        def remove(call: tuple[str, UUID]) -> int:
            return Caller(app.test_client(), call[0], pooled_tenant)("DELETE", f"/users/{call[1]}").status_code

        with ThreadPoolExecutor(2) as pool:
            statuses = sorted(pool.map(remove, calls))
        assert statuses[0] == 204
        assert statuses[1] in {404, 409}
        survivor, gone = (owner, other) if owner("GET", "/users").status_code == 200 else (caller, person)
        assert survivor("GET", f"/users/{gone.id}").status_code == 404
        if survivor is not owner:
            return


def test_a_removal_waits_for_the_one_that_is_under_way(
    app: Flask,
    owner: Caller,
    sign_in_as: Callable[[str], tuple[Person, Caller]],
    pooled_tenant: UUID,
    web_tenancy: Tenancy,
) -> None:
    """Else each of two could count the other as the owner who stays."""
    other, _ = sign_in_as("owner")

    def remove() -> int:
        return Caller(app.test_client(), owner.credential, pooled_tenant)("DELETE", f"/users/{other.id}").status_code

    with ThreadPoolExecutor(1) as pool:
        with web_tenancy.platform.session(tenant_scope(pooled_tenant)) as session:
            queue_up(session, pooled_tenant)
            session.execute(text("SELECT 1 FROM roles WHERE name = 'owner' AND is_system FOR NO KEY UPDATE"))
            removal = pool.submit(remove)
            with pytest.raises(TimeoutError):
                removal.result(2)
        assert removal.result(60) == 204


def test_an_admin_neither_makes_nor_removes_nor_demotes_an_owner(
    owner: Caller, person: Person, sign_in_as: Callable[[str], tuple[Person, Caller]]
) -> None:
    me, admin = sign_in_as("admin")
    other, _ = sign_in_as("viewer")
    assert refused(put(admin, me.id, "owner")) == (403, "permission_denied")
    assert refused(put(admin, other.id, "owner")) == (403, "permission_denied")
    assert refused(put(admin, person.id, "viewer")) == (403, "permission_denied")
    assert refused(admin("DELETE", f"/users/{person.id}")) == (403, "permission_denied")
    new = {"email": f"{new_id()}@example.com", "roles": ["owner"]}
    assert refused(admin("POST", "/users", json=new)) == (403, "permission_denied")
    assert put(admin, other.id, "editor").status_code == 200
    assert admin("DELETE", f"/users/{other.id}").status_code == 204


def test_a_viewer_changes_nobody(
    owner: Caller, person: Person, sign_in_as: Callable[[str], tuple[Person, Caller]]
) -> None:
    _, viewer = sign_in_as("viewer")
    assert refused(put(viewer, person.id, "viewer")) == (403, "permission_denied")
    assert refused(viewer("DELETE", f"/users/{person.id}")) == (403, "permission_denied")
    new = {"email": f"{new_id()}@example.com", "roles": ["viewer"]}
    assert refused(viewer("POST", "/users", json=new)) == (403, "permission_denied")


def test_another_tenants_member_is_not_found(
    owner: Caller, make_person: MakePerson, make_tenant: Callable[..., UUID], join: Join
) -> None:
    foreign = make_person()
    join(foreign, make_tenant(), "viewer")
    for user_id in (foreign.id, new_id()):
        path = f"/users/{user_id}"
        assert refused(owner("GET", path)) == (404, "not_found")
        assert refused(owner("DELETE", path)) == (404, "not_found")
        assert refused(owner("PUT", path, {"If-Match": "*"}, json={"roles": ["viewer"]})) == (404, "not_found")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"email": "nobody"}, "/email"),
        ({"password": "short"}, "/password"),
        ({"roles": ["emperor"]}, "/roles/0"),
        ({"is_operator": True}, "/is_operator"),
    ],
)
def test_an_account_that_is_not_right_is_refused_and_not_made(
    owner: Caller, change: dict[str, Any], pointer: str
) -> None:
    new = {"email": f"{new_id()}@example.com", "roles": ["viewer"]}
    before = len(owner("GET", "/users").get_json()["items"])
    response = owner("POST", "/users", json={**new, **change})
    assert refused(response) == (422, "invalid_payload")
    assert [error["pointer"] for error in response.get_json()["errors"]] == [pointer]
    assert len(owner("GET", "/users").get_json()["items"]) == before
    assert owner("POST", "/users", json=new).status_code == 201
