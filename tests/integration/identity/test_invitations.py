"""Invitations: made, mailed, accepted with or without an account, revoked, expired."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from domain.identity.links import Purpose, sign_link
from domain.ids import new_id
from tenancy.access import Tenancy
from tenancy.database import tenant_scope
from tests.integration.identity.conftest import API, PASSWORD, Caller, Person, refused, tokens
from tests.integration.identity.mailbox import Mailbox

Join = Callable[[Person, UUID, str], None]
NEW_PASSWORD = "another horse battery"


@pytest.fixture
def owner(person: Person, pooled_tenant: UUID, join: Join, log_in: Callable[..., Caller]) -> Caller:
    """The tenant's owner, signed in, with the tenant selected."""
    join(person, pooled_tenant, "owner")
    return log_in(person, pooled_tenant)


def invite(caller: Caller, email: str, *roles: str) -> dict[str, Any]:
    response = caller("POST", "/users/invite", json={"email": email, "roles": list(roles or ("editor",))})
    assert response.status_code == 201, response.get_data(as_text=True)
    return dict(response.get_json())


def accept(client: FlaskClient, token: str, **body: Any) -> Any:
    return client.post(f"{API}/auth/accept-invitation", json={"token": token, **body})


def roles_of(caller: Caller) -> dict[str, list[str]]:
    return {item["email"]: item["roles"] for item in caller("GET", "/users").get_json()["items"]}


def stranger() -> str:
    return f"{new_id()}@example.com"


def verify(tenancy: Tenancy, person: Person) -> None:
    tenancy.platform.fetch("UPDATE users SET email_verified_at = now() WHERE id = %(id)s", {"id": person.id})


def test_who_has_no_account_gets_one_with_the_roles_and_a_verified_address(
    owner: Caller, client: FlaskClient, pooled_tenant: UUID, mailbox: Mailbox
) -> None:
    email = stranger()
    made = invite(owner, email.upper(), "editor", "viewer")
    assert (made["email"], made["roles"], made["state"]) == (email, ["editor", "viewer"], "pending")
    mail = mailbox.last_to(email, pooled_tenant)
    assert mail.subject == "You are invited to Acme"
    needs = accept(client, mail.token)
    assert refused(needs) == (422, "invalid_payload")
    assert [(error["pointer"], error["code"]) for error in needs.get_json()["errors"]] == [("/password", "required")]
    joined = accept(client, mail.token, password=NEW_PASSWORD, name="Grace")
    assert joined.status_code == 200
    body = joined.get_json()
    assert (body["user"]["name"], body["user"]["email_verified"], body["tenant_id"]) == (
        "Grace",
        True,
        str(pooled_tenant),
    )
    assert roles_of(owner)[email] == ["editor", "viewer"]
    signed_in = Caller(
        client, tokens(client, Person(UUID(body["user"]["id"]), email), NEW_PASSWORD)["access_token"], pooled_tenant
    )
    assert signed_in("GET", "/users").status_code == 200
    shown = owner("GET", f"/users/invitations/{made['id']}").get_json()
    assert (shown["state"], shown["accepted_by"]) == ("accepted", body["user"]["id"])
    assert refused(accept(client, mail.token, password=NEW_PASSWORD)) == (422, "invalid_link")


def test_who_has_a_verified_account_joins_with_it_and_keeps_password_and_sessions(
    owner: Caller,
    client: FlaskClient,
    make_person: Callable[[], Person],
    log_in: Callable[..., Caller],
    pooled_tenant: UUID,
    mailbox: Mailbox,
    web_tenancy: Tenancy,
) -> None:
    guest = make_person()
    verify(web_tenancy, guest)
    signed_in = log_in(guest, pooled_tenant)
    invite(owner, guest.email)
    token = mailbox.last_to(guest.email, pooled_tenant).token
    assert refused(accept(client, token, password=NEW_PASSWORD)) == (409, "email_taken")
    assert accept(client, token).get_json()["user"]["id"] == str(guest.id)
    assert signed_in("GET", "/users").status_code == 200
    tokens(client, guest)


def test_an_account_that_somebody_made_in_the_guests_name_is_taken_from_them(
    owner: Caller,
    client: FlaskClient,
    make_person: Callable[[], Person],
    log_in: Callable[..., Caller],
    pooled_tenant: UUID,
    mailbox: Mailbox,
) -> None:
    squatted = make_person()
    squatter = log_in(squatted)
    invite(owner, squatted.email)
    token = mailbox.last_to(squatted.email, pooled_tenant).token
    assert refused(accept(client, token)) == (422, "invalid_payload")
    assert accept(client, token, password=NEW_PASSWORD).status_code == 200
    assert refused(squatter("GET", "/auth/me")) == (401, "unauthenticated")
    attempt = client.post(f"{API}/auth/login", json={"email": squatted.email, "password": PASSWORD})
    assert refused(attempt) == (401, "invalid_credentials")
    tokens(client, squatted, NEW_PASSWORD)


def test_a_member_is_not_invited_and_nobody_twice_at_a_time(
    owner: Caller, person: Person, mailbox: Mailbox, pooled_tenant: UUID
) -> None:
    again = owner("POST", "/users/invite", json={"email": person.email, "roles": ["viewer"]})
    assert refused(again) == (409, "already_member")
    email = stranger()
    invite(owner, email)
    second = owner("POST", "/users/invite", json={"email": email, "roles": ["viewer"]})
    assert refused(second) == (409, "already_invited")
    assert len(mailbox.deliver(pooled_tenant)) == 1


def test_a_revoked_invitation_does_nothing_and_the_address_can_be_invited_again(
    owner: Caller, client: FlaskClient, pooled_tenant: UUID, mailbox: Mailbox
) -> None:
    email = stranger()
    first = invite(owner, email)
    token = mailbox.last_to(email, pooled_tenant).token
    assert owner("DELETE", f"/users/invitations/{first['id']}").status_code == 204
    assert refused(owner("DELETE", f"/users/invitations/{first['id']}")) == (404, "not_found")
    assert refused(accept(client, token, password=NEW_PASSWORD)) == (422, "invalid_link")
    invite(owner, email)
    assert accept(client, mailbox.last_to(email, pooled_tenant).token, password=NEW_PASSWORD).status_code == 200


def test_one_revoked_before_its_mail_went_out_is_not_mailed(
    owner: Caller, pooled_tenant: UUID, mailbox: Mailbox
) -> None:
    made = invite(owner, stranger())
    owner("DELETE", f"/users/invitations/{made['id']}")
    assert mailbox.deliver(pooled_tenant) == []


def test_an_expired_invitation_does_nothing_and_gives_way_to_another(
    owner: Caller, client: FlaskClient, pooled_tenant: UUID, mailbox: Mailbox, web_tenancy: Tenancy
) -> None:
    email = stranger()
    first = invite(owner, email)
    token = mailbox.last_to(email, pooled_tenant).token
    _in_tenant(web_tenancy, pooled_tenant, "UPDATE invitations SET expires_at = now()")
    assert refused(accept(client, token, password=NEW_PASSWORD)) == (422, "invalid_link")
    assert owner("GET", f"/users/invitations/{first['id']}").get_json()["state"] == "expired"
    second = invite(owner, email)
    listed = {item["id"]: item["state"] for item in owner("GET", "/users/invitations").get_json()["items"]}
    assert listed == {first["id"]: "revoked", second["id"]: "pending"}
    pending = owner("GET", "/users/invitations", query_string={"state": "pending"}).get_json()["items"]
    assert [item["id"] for item in pending] == [second["id"]]


def test_sixteen_acceptances_at_once_make_one_member(
    owner: Caller, app: Flask, pooled_tenant: UUID, mailbox: Mailbox
) -> None:
    email = stranger()
    invite(owner, email)
    token = mailbox.last_to(email, pooled_tenant).token
    with ThreadPoolExecutor(8) as pool:
        statuses = [
            answer.status_code
            for answer in pool.map(lambda _: accept(app.test_client(), token, password=NEW_PASSWORD), range(16))
        ]
    assert sorted(statuses) == [200] + [422] * 15
    assert list(roles_of(owner)).count(email) == 1


def test_sixteen_invitations_at_once_are_one(owner: Caller, app: Flask, pooled_tenant: UUID, mailbox: Mailbox) -> None:
    email = stranger()

    def send(_: int) -> int:
        caller = Caller(app.test_client(), owner.credential, pooled_tenant)
        return caller("POST", "/users/invite", json={"email": email, "roles": ["viewer"]}).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(send, range(16))) == [201] + [409] * 15
    assert len(mailbox.deliver(pooled_tenant)) == 1


def test_an_acceptance_that_dies_half_way_leaves_nothing(
    owner: Caller, client: FlaskClient, pooled_tenant: UUID, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    email = stranger()
    invite(owner, email)
    token = mailbox.last_to(email, pooled_tenant).token

    def fail(*_: Any) -> None:
        raise psycopg.OperationalError("killed")

    with monkeypatch.context() as patch:
        patch.setattr("tenancy.identity.members.add", fail)
        assert accept(client, token, password=NEW_PASSWORD).status_code == 503
    attempt = client.post(f"{API}/auth/login", json={"email": email, "password": NEW_PASSWORD})
    assert refused(attempt) == (401, "invalid_credentials")
    assert accept(client, token, password=NEW_PASSWORD).status_code == 200


def test_a_repeated_request_invites_once_also_after_a_crash(
    owner: Caller, pooled_tenant: UUID, mailbox: Mailbox, web_tenancy: Tenancy
) -> None:
    header, body = {"Idempotency-Key": str(new_id())}, {"email": stranger(), "roles": ["viewer"]}
    first = owner("POST", "/users/invite", header, json=body)
    assert owner("POST", "/users/invite", header, json=body).get_json() == first.get_json()
    _in_tenant(
        web_tenancy, pooled_tenant,
        "UPDATE idempotent_requests SET status = NULL, body_sealed = NULL, created_at = now() - interval '61 seconds'",
    )  # fmt: skip
    assert owner("POST", "/users/invite", header, json=body).get_json()["id"] == first.get_json()["id"]
    assert len(mailbox.deliver(pooled_tenant)) == 1


def test_nobody_invites_to_more_than_they_hold(
    person: Person, pooled_tenant: UUID, join: Join, log_in: Callable[..., Caller]
) -> None:
    join(person, pooled_tenant, "admin")
    admin = log_in(person, pooled_tenant)
    invite(admin, stranger(), "admin")
    refusal = admin("POST", "/users/invite", json={"email": stranger(), "roles": ["owner"]})
    assert refused(refusal) == (403, "permission_denied")
    assert "tenant:delete" in refusal.get_json()["detail"]


def test_roles_that_are_gone_are_left_out(
    owner: Caller, client: FlaskClient, pooled_tenant: UUID, mailbox: Mailbox, web_tenancy: Tenancy
) -> None:
    role_id = new_id()
    _in_tenant(
        web_tenancy, pooled_tenant, f"INSERT INTO roles (tenant_id, id, name) VALUES (%(t)s, '{role_id}', 'temporary')"
    )
    email = stranger()
    invite(owner, email, "viewer", "temporary")
    _in_tenant(web_tenancy, pooled_tenant, "DELETE FROM roles WHERE name = 'temporary'")
    accept(client, mailbox.last_to(email, pooled_tenant).token, password=NEW_PASSWORD)
    assert roles_of(owner)[email] == ["viewer"]


def test_who_became_a_member_otherwise_keeps_the_roles_they_hold(
    owner: Caller,
    client: FlaskClient,
    make_person: Callable[[], Person],
    join: Join,
    pooled_tenant: UUID,
    mailbox: Mailbox,
    web_tenancy: Tenancy,
) -> None:
    guest = make_person()
    verify(web_tenancy, guest)
    invite(owner, guest.email, "admin")
    join(guest, pooled_tenant, "viewer")
    assert accept(client, mailbox.last_to(guest.email, pooled_tenant).token).status_code == 200
    assert roles_of(owner)[guest.email] == ["viewer"]


def test_another_tenants_invitation_is_not_found_and_its_link_cannot_be_moved(
    owner: Caller,
    client: FlaskClient,
    make_tenant: Callable[..., UUID],
    make_person: Callable[[], Person],
    join: Join,
    log_in: Callable[..., Caller],
    web_tenancy: Tenancy,
) -> None:
    made = invite(owner, stranger())
    elsewhere, other = make_tenant(), make_person()
    join(other, elsewhere, "owner")
    stranger_ = log_in(other, elsewhere)
    for method in ("GET", "DELETE"):
        assert refused(stranger_(method, f"/users/invitations/{made['id']}")) == (404, "not_found")
    assert stranger_("GET", "/users/invitations").get_json()["items"] == []
    moved = sign_link(web_tenancy.ring.own[0], Purpose.INVITATION, elsewhere, UUID(made["id"]))
    assert refused(accept(client, moved, password=NEW_PASSWORD)) == (422, "invalid_link")
    assert owner("GET", f"/users/invitations/{made['id']}").get_json()["state"] == "pending"


def test_a_viewer_sees_invitations_and_makes_and_ends_none(
    owner: Caller,
    make_person: Callable[[], Person],
    pooled_tenant: UUID,
    join: Join,
    log_in: Callable[..., Caller],
) -> None:
    made, viewer = invite(owner, stranger()), make_person()
    join(viewer, pooled_tenant, "viewer")
    caller = log_in(viewer, pooled_tenant)
    assert len(caller("GET", "/users/invitations").get_json()["items"]) == 1
    body = {"email": stranger(), "roles": ["viewer"]}
    assert refused(caller("POST", "/users/invite", json=body)) == (403, "permission_denied")
    assert refused(caller("DELETE", f"/users/invitations/{made['id']}")) == (403, "permission_denied")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"email": "nobody"}, "/email"),
        ({"roles": []}, "/roles"),
        ({"roles": ["viewer", "emperor"]}, "/roles/1"),
        ({"role": "viewer"}, "/role"),
    ],
)
def test_an_invitation_that_is_not_right_says_what_is_wrong(
    owner: Caller, change: dict[str, Any], pointer: str, mailbox: Mailbox, pooled_tenant: UUID
) -> None:
    response = owner("POST", "/users/invite", json={"email": stranger(), "roles": ["viewer"], **change})
    assert refused(response) == (422, "invalid_payload")
    assert [error["pointer"] for error in response.get_json()["errors"]] == [pointer]
    assert mailbox.deliver(pooled_tenant) == []


def test_invitations_of_who_is_removed_end(
    owner: Caller,
    client: FlaskClient,
    make_person: Callable[[], Person],
    pooled_tenant: UUID,
    join: Join,
    log_in: Callable[..., Caller],
    mailbox: Mailbox,
) -> None:
    leaving, email = make_person(), stranger()
    join(leaving, pooled_tenant, "admin")
    invite(log_in(leaving, pooled_tenant), email)
    token = mailbox.last_to(email, pooled_tenant).token
    assert owner("DELETE", f"/users/{leaving.id}").status_code == 204
    assert refused(accept(client, token, password=NEW_PASSWORD)) == (422, "invalid_link")


def _in_tenant(tenancy: Tenancy, tenant_id: UUID, statement: str) -> None:
    tenancy.platform.fetch(statement, {"t": tenant_id}, tenant_scope(tenant_id))  # type: ignore[arg-type]  # ours
