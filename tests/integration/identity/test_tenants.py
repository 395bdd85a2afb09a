"""Creating, listing, reading and renaming tenants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from config.settings import Settings
from domain.identity.permissions import SYSTEM_ROLES
from domain.ids import new_id
from jobs.rows import open_json
from tenancy.access import Tenancy
from tenancy.database import tenant_scope
from tenancy.provisioning import Provisioner
from tests.integration.identity.conftest import Caller, Person, refused

Join = Callable[[Person, UUID, str], None]


@pytest.fixture
def caller(person: Person, log_in: Callable[..., Caller]) -> Caller:
    """A signed-in person of no tenant."""
    return log_in(person)


def rows(tenancy: Tenancy, tenant_id: str) -> list[dict[str, Any]]:
    return tenancy.platform.fetch(
        "SELECT id, kind, state, principal, payload_sealed FROM jobs WHERE tenant_id = %(id)s",
        {"id": UUID(tenant_id)},
        tenant_scope(UUID(tenant_id)),
    )


def test_a_new_tenant_answers_with_the_job_that_provisions_it(
    caller: Caller, person: Person, web_tenancy: Tenancy
) -> None:
    response = caller("POST", "/tenants", json={"name": "Acme", "tier": "pooled"})
    assert response.status_code == 202
    body = response.get_json()
    assert (body["kind"], body["state"]) == ("tenant.provision", "queued")
    assert response.headers["Location"] == f"/api/v1/jobs/{body['id']}"
    assert response.headers["Retry-After"]
    found = rows(web_tenancy, body["tenant_id"])
    assert [(str(row["id"]), row["principal"]) for row in found] == [(body["id"], f"user:{person.id}")]
    payload = open_json(
        bytes(found[0]["payload_sealed"]), "payload_sealed", found[0]["id"], web_tenancy.vault(UUID(body["tenant_id"]))
    )
    assert payload == {"owner_id": str(person.id)}


def test_a_tenant_in_the_making_can_be_followed_by_its_owner(caller: Caller) -> None:
    made = caller("POST", "/tenants", json={"name": "Acme", "tier": "pooled"}).get_json()
    tenant = caller("GET", f"/tenants/{made['tenant_id']}").get_json()
    assert (tenant["name"], tenant["tier"], tenant["state"]) == ("Acme", "pooled", "provisioning")
    inside = Caller(caller.client, caller.credential, UUID(made["tenant_id"]))
    assert inside("GET", f"/jobs/{made['id']}").get_json()["kind"] == "tenant.provision"
    assert refused(inside("GET", "/users")) == (409, "tenant_unavailable")


def test_the_creator_owns_the_tenant_once_it_is_active(caller: Caller, person: Person, engine_tenancy: Tenancy) -> None:
    made = caller("POST", "/tenants", json={"name": "Acme", "tier": "pooled"}).get_json()
    provisioner = Provisioner(engine_tenancy.settings, engine_tenancy, UUID(made["tenant_id"]))
    for _, step in provisioner.steps():
        step()
    provisioner.close()
    inside = Caller(caller.client, caller.credential, UUID(made["tenant_id"]))
    members = inside("GET", "/users").get_json()["items"]
    assert [(member["id"], member["roles"]) for member in members] == [(str(person.id), ["owner"])]
    assert inside("GET", f"/users/{person.id}").get_json() == members[0]
    roles = {role["name"]: role for role in inside("GET", "/roles").get_json()["items"]}
    assert {name: set(role["permissions"]) for name, role in roles.items()} == SYSTEM_ROLES
    assert all(role["is_system"] for role in roles.values())
    assert inside("GET", f"/roles/{roles['owner']['id']}").get_json() == roles["owner"]


def test_a_tenant_that_could_not_be_made_says_why_to_its_owner(caller: Caller, engine_tenancy: Tenancy) -> None:
    made = caller("POST", "/tenants", json={"name": "Acme", "tier": "pooled"}).get_json()
    path = f"/tenants/{made['tenant_id']}"
    assert caller("GET", path).get_json()["failure"] is None
    provisioner = Provisioner(engine_tenancy.settings, engine_tenancy, UUID(made["tenant_id"]))
    assert provisioner.compensate("worker_lost: provisioning was given up after 10 attempts")
    provisioner.close()
    tenant = caller("GET", path).get_json()
    assert (tenant["state"], tenant["failure"]) == (
        "failed",
        "worker_lost: provisioning was given up after 10 attempts",
    )
    assert caller("GET", "/tenants").get_json()["items"] == [tenant]


def test_without_a_tier_the_platforms_default_is_taken(caller: Caller, settings: Settings) -> None:
    made = caller("POST", "/tenants", json={"name": "Acme"}).get_json()
    assert caller("GET", f"/tenants/{made['tenant_id']}").get_json()["tier"] == settings.default_tier


@pytest.mark.parametrize(
    "body", [{}, {"name": ""}, {"name": "x" * 201}, {"name": "x", "tier": "external"}, {"name": "x", "state": "active"}]
)
def test_a_tenant_that_is_not_right_is_refused_and_nothing_is_made(caller: Caller, body: dict[str, Any]) -> None:
    assert refused(caller("POST", "/tenants", json=body)) == (422, "invalid_payload")
    assert caller("GET", "/tenants").get_json()["items"] == []


def test_a_repeated_request_makes_one_tenant_and_one_job(caller: Caller, web_tenancy: Tenancy) -> None:
    header = {"Idempotency-Key": "first tenant"}
    first, second = (caller("POST", "/tenants", header, json={"name": "Acme", "tier": "pooled"}) for _ in range(2))
    assert first.get_json() == second.get_json()
    assert second.headers["Location"] == first.headers["Location"]
    assert len(caller("GET", "/tenants").get_json()["items"]) == 1
    other = caller("POST", "/tenants", header, json={"name": "Other", "tier": "pooled"})
    assert refused(other) == (422, "idempotency_mismatch")


def test_a_request_repeated_after_a_crash_finds_the_tenant_and_its_job(
    caller: Caller, person: Person, web_tenancy: Tenancy
) -> None:
    header = {"Idempotency-Key": str(new_id())}
    first = caller("POST", "/tenants", header, json={"name": "Acme", "tier": "pooled"}).get_json()
    web_tenancy.platform.fetch(
        "UPDATE idempotent_requests SET status = NULL, body_sealed = NULL, created_at = now() - interval '61 seconds'"
        " WHERE key = %(key)s",
        {"key": header["Idempotency-Key"]},
        {"nexus.user_id": str(person.id)},
    )
    again = caller("POST", "/tenants", header, json={"name": "Acme", "tier": "pooled"})
    assert again.status_code == 202
    assert (again.get_json()["id"], again.get_json()["tenant_id"]) == (first["id"], first["tenant_id"])
    assert len(rows(web_tenancy, first["tenant_id"])) == 1


def test_tenants_are_listed_in_pages_to_their_members(
    caller: Caller, person: Person, make_tenant: Callable[..., UUID], join: Join
) -> None:
    mine = [make_tenant() for _ in range(3)]
    make_tenant()
    for tenant_id in mine:
        join(person, tenant_id, "viewer")
    first = caller("GET", "/tenants", query_string={"limit": "2"}).get_json()
    rest = caller("GET", "/tenants", query_string={"limit": "2", "cursor": first["next_cursor"]}).get_json()
    seen = [item["id"] for item in first["items"] + rest["items"]]
    assert seen == [str(tenant_id) for tenant_id in reversed(mine)]
    assert rest["next_cursor"] is None


def test_operators_see_every_tenant_in_the_list_and_act_in_none_by_it(
    client: FlaskClient, person: Person, pooled_tenant: UUID, web_tenancy: Tenancy, log_in: Callable[..., Caller]
) -> None:
    web_tenancy.platform.fetch("UPDATE users SET is_operator = true WHERE id = %(id)s", {"id": person.id})
    operator = log_in(person)
    listed = {item["id"] for item in operator("GET", "/tenants", query_string={"limit": "200"}).get_json()["items"]}
    assert str(pooled_tenant) in listed
    assert refused(Caller(client, operator.credential, pooled_tenant)("GET", "/users")) == (404, "not_found")


def test_renaming_needs_the_present_etag(caller: Caller, person: Person, pooled_tenant: UUID, join: Join) -> None:
    join(person, pooled_tenant, "admin")
    path = f"/tenants/{pooled_tenant}"
    etag = caller("GET", path).headers["ETag"]
    assert refused(caller("PUT", path, json={"name": "New"})) == (428, "precondition_required")
    renamed = caller("PUT", path, {"If-Match": etag}, json={"name": "New"})
    assert (renamed.status_code, renamed.get_json()["name"]) == (200, "New")
    assert refused(caller("PUT", path, {"If-Match": etag}, json={"name": "Old"})) == (412, "precondition_failed")
    read = caller("GET", path)
    assert (read.get_json()["name"], read.headers["ETag"]) == ("New", renamed.headers["ETag"])
    assert caller("GET", path, {"If-None-Match": read.headers["ETag"]}).status_code == 304


def test_a_viewer_reads_a_tenant_and_cannot_rename_it(
    caller: Caller, person: Person, pooled_tenant: UUID, join: Join
) -> None:
    join(person, pooled_tenant, "viewer")
    path = f"/tenants/{pooled_tenant}"
    etag = caller("GET", path).headers["ETag"]
    assert refused(caller("PUT", path, {"If-Match": etag}, json={"name": "New"})) == (403, "permission_denied")


@pytest.mark.parametrize(
    "path", ["/tenants/acme", "/users/acme", "/roles/acme", "/api-keys/acme", "/auth/sessions/acme"]
)
def test_a_malformed_id_in_the_path_is_not_found(caller: Caller, path: str) -> None:
    assert caller("GET" if path[1] in "tur" else "DELETE", path).status_code == 404
