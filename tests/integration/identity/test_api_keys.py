"""The life of an API key."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.identity.api_keys import mint_api_key, parse_api_key
from domain.ids import new_id
from tenancy.access import Tenancy
from tenancy.database import tenant_scope
from tests.integration.identity.conftest import Caller, Person, refused

Join = Callable[[Person, UUID, str], None]


@pytest.fixture
def owner(person: Person, pooled_tenant: UUID, join: Join, log_in: Callable[..., Caller]) -> Caller:
    join(person, pooled_tenant, "owner")
    return log_in(person, pooled_tenant)


def make(owner: Caller, *scopes: str, **more: Any) -> dict[str, Any]:
    response = owner("POST", "/api-keys", json={"name": "bot", "scopes": list(scopes), **more})
    assert response.status_code == 201, response.get_data(as_text=True)
    return dict(response.get_json())


def test_a_key_works_without_a_header_within_its_scopes_only(
    owner: Caller, pooled_tenant: UUID, person: Person
) -> None:
    made = make(owner, "user:read", "api_key:read")
    program = Caller(owner.client, made["key"])
    assert program("GET", "/users").status_code == 200
    assert refused(program("GET", "/roles")) == (403, "permission_denied")
    me = program("GET", "/auth/me").get_json()
    assert me["subject"] == f"key:{made['id']}"
    assert (me["tenant_id"], me["session_id"], me["user"]["id"]) == (str(pooled_tenant), None, str(person.id))
    assert me["permissions"] == ["api_key:read", "user:read"]


def test_a_key_is_shown_once(owner: Caller) -> None:
    made = make(owner, "job:read")
    assert made["key"].startswith("nxk_")
    assert made["last_four"] == made["key"][-4:]
    response = owner("GET", "/api-keys")
    assert [item["id"] for item in response.get_json()["items"]] == [made["id"]]
    assert made["key"] not in response.get_data(as_text=True)
    assert set(response.get_json()["items"][0]) == set(made) - {"key"}


def test_a_revoked_key_ends_at_its_next_request(owner: Caller) -> None:
    made = make(owner, "user:read")
    program = Caller(owner.client, made["key"])
    assert program("GET", "/users").status_code == 200
    assert owner("DELETE", f"/api-keys/{made['id']}").status_code == 204
    assert refused(program("GET", "/users")) == (401, "unauthenticated")
    assert refused(owner("DELETE", f"/api-keys/{made['id']}")) == (404, "not_found")
    assert owner("GET", "/api-keys").get_json()["items"] == []


def test_a_key_ends_when_it_expires(owner: Caller, pooled_tenant: UUID, web_tenancy: Tenancy) -> None:
    made = make(owner, "user:read", expires_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    program = Caller(owner.client, made["key"])
    assert program("GET", "/users").status_code == 200
    web_tenancy.platform.fetch(
        "UPDATE api_keys SET expires_at = now() WHERE id = %(id)s",
        {"id": UUID(made["id"])},
        tenant_scope(pooled_tenant),
    )
    assert refused(program("GET", "/users")) == (401, "unauthenticated")


def test_a_key_ends_with_its_owners_membership_and_shrinks_with_the_owners_role(
    owner: Caller, person: Person, pooled_tenant: UUID, join: Join, web_tenancy: Tenancy
) -> None:
    program = Caller(owner.client, make(owner, "user:read", "api_key:create")["key"])
    join(person, pooled_tenant, "viewer")
    assert program("GET", "/auth/me").get_json()["permissions"] == ["user:read"]
    web_tenancy.platform.fetch(
        "DELETE FROM memberships WHERE tenant_id = %(id)s", {"id": pooled_tenant}, tenant_scope(pooled_tenant)
    )
    assert refused(program("GET", "/users")) == (401, "unauthenticated")


def test_a_key_ends_with_its_owners_account(owner: Caller, person: Person, web_tenancy: Tenancy) -> None:
    program = Caller(owner.client, make(owner, "user:read")["key"])
    web_tenancy.platform.fetch("UPDATE users SET disabled_at = now() WHERE id = %(id)s", {"id": person.id})
    assert refused(program("GET", "/users")) == (401, "unauthenticated")


def test_a_key_with_another_secret_tenant_or_id_is_unauthenticated(
    owner: Caller, pooled_tenant: UUID, make_tenant: Callable[..., UUID], web_tenancy: Tenancy
) -> None:
    made = make(owner, "user:read")
    key_id = UUID(made["id"])
    for forged in (
        mint_api_key(pooled_tenant, key_id),
        mint_api_key(make_tenant(), key_id),
        mint_api_key(pooled_tenant, new_id()),
    ):
        assert refused(Caller(owner.client, forged.text)("GET", "/users")) == (401, "unauthenticated")
    assert owner("GET", "/api-keys").get_json()["items"][0]["last_used_at"] is None


def test_a_key_refuses_another_tenant_of_its_owner(
    owner: Caller, person: Person, pooled_tenant: UUID, make_tenant: Callable[..., UUID], join: Join
) -> None:
    other = make_tenant()
    join(person, other, "owner")
    key = make(owner, "user:read", "tenant:read")["key"]
    assert Caller(owner.client, key, pooled_tenant)("GET", "/users").status_code == 200
    assert refused(Caller(owner.client, key, other)("GET", "/users")) == (404, "not_found")
    assert refused(Caller(owner.client, key)("GET", f"/tenants/{other}")) == (404, "not_found")
    listed = Caller(owner.client, key)("GET", "/tenants").get_json()["items"]
    assert [item["id"] for item in listed] == [str(pooled_tenant)]


def test_a_key_does_nothing_that_takes_a_person(owner: Caller) -> None:
    program = Caller(owner.client, make(owner, "user:read")["key"])
    for method, path, body in (
        ("POST", "/auth/logout", None),
        ("POST", "/auth/logout-all", None),
        ("GET", "/auth/sessions", None),
        ("POST", "/auth/switch", {"tenant_id": str(new_id())}),
        ("POST", "/tenants", {"name": "mine"}),
    ):
        assert refused(program(method, path, json=body)) == (403, "permission_denied"), path


def test_a_key_cannot_make_a_key_that_can_do_more(owner: Caller) -> None:
    program = Caller(owner.client, make(owner, "api_key:create", "job:read")["key"])
    assert program("POST", "/api-keys", json={"name": "less", "scopes": ["job:read"]}).status_code == 201
    more = program("POST", "/api-keys", json={"name": "more", "scopes": ["job:read", "job:create"]})
    assert refused(more) == (403, "permission_denied")


def test_scopes_may_be_written_either_way_round_and_must_exist(owner: Caller) -> None:
    assert make(owner, "read:job", "job:read", "create:job")["scopes"] == ["job:create", "job:read"]
    response = owner("POST", "/api-keys", json={"name": "x", "scopes": ["job:read", "job:fly", "nothing"]})
    assert refused(response) == (422, "invalid_payload")
    assert [error["pointer"] for error in response.get_json()["errors"]] == ["/scopes/1", "/scopes/2"]


@pytest.mark.parametrize(
    "change",
    [{"expires_at": "2020-01-01T00:00:00Z"}, {"expires_at": "soon"}, {"scopes": []}, {"name": ""}, {"secret": "x"}],
    ids=str,
)
def test_a_key_that_is_not_right_is_refused(owner: Caller, change: dict[str, Any]) -> None:
    response = owner("POST", "/api-keys", json={"name": "x", "scopes": ["job:read"], **change})
    assert refused(response) == (422, "invalid_payload")
    assert owner("GET", "/api-keys").get_json()["items"] == []


def test_the_last_use_is_noted_at_most_once_a_minute(owner: Caller, pooled_tenant: UUID, web_tenancy: Tenancy) -> None:
    made = make(owner, "user:read")
    program = Caller(owner.client, made["key"])

    def last_used() -> Any:
        return owner("GET", "/api-keys").get_json()["items"][0]["last_used_at"]

    assert last_used() is None
    program("GET", "/users")
    first = last_used()
    assert first is not None
    program("GET", "/users")
    assert last_used() == first
    web_tenancy.platform.fetch(
        "UPDATE api_keys SET last_used_at = now() - interval '61 seconds' WHERE id = %(id)s",
        {"id": UUID(made["id"])},
        tenant_scope(pooled_tenant),
    )
    program("GET", "/users")
    assert last_used() > first


def test_a_repeated_request_gets_the_same_key_and_makes_no_second(owner: Caller) -> None:
    asked = {"json": {"name": "bot", "scopes": ["job:read"]}}
    header = {"Idempotency-Key": str(new_id())}
    first, second = (owner("POST", "/api-keys", header, **asked) for _ in range(2))
    assert first.status_code == second.status_code == 201
    assert first.get_json() == second.get_json()
    assert len(owner("GET", "/api-keys").get_json()["items"]) == 1
    other = owner("POST", "/api-keys", header, json={"name": "other", "scopes": ["job:read"]})
    assert refused(other) == (422, "idempotency_mismatch")


def test_a_request_repeated_after_a_crash_makes_the_same_key_with_a_secret_that_works(
    owner: Caller, pooled_tenant: UUID, web_tenancy: Tenancy
) -> None:
    header, asked = {"Idempotency-Key": str(new_id())}, {"json": {"name": "bot", "scopes": ["user:read"]}}
    lost = owner("POST", "/api-keys", header, **asked).get_json()
    web_tenancy.platform.fetch(  # as if the process had died before the answer was recorded
        "UPDATE idempotent_requests SET status = NULL, body_sealed = NULL, created_at = now() - interval '61 seconds'"
        " WHERE key = %(key)s",
        {"key": header["Idempotency-Key"]},
        tenant_scope(pooled_tenant),
    )
    again = owner("POST", "/api-keys", header, **asked).get_json()
    assert again["id"] == lost["id"]
    assert Caller(owner.client, again["key"])("GET", "/users").status_code == 200
    assert Caller(owner.client, lost["key"])("GET", "/users").status_code == 401
    assert parse_api_key(again["key"]) is not None


def test_keys_are_listed_in_pages(owner: Caller) -> None:
    made = [make(owner, "job:read")["id"] for _ in range(5)]
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = owner("GET", "/api-keys", query_string={"limit": "2", **cursor}).get_json()
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == made[::-1]
    oldest_first = owner("GET", "/api-keys", query_string={"sort": "created_at"}).get_json()["items"]
    assert [item["id"] for item in oldest_first] == made
