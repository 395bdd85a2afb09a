"""Roles and permissions that a tenant makes: what they give, who may give them, and what cannot be done to them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from domain.ids import new_id
from tenancy.access import Tenancy
from tenancy.identity.principals import permissions_of
from tests.integration.web.callers import Caller

ROLES = "/api/v1/roles"
GROUPS = "/api/v1/groups"
PERMISSIONS = "/api/v1/permissions"


def code_of(response: Any) -> tuple[int, str]:
    assert response.mimetype == "application/problem+json", response.text
    return response.status_code, response.get_json()["code"]


def make_role(caller: Caller, name: str, *permissions: str) -> str:
    response = caller.post(ROLES, json={"name": name, "permissions": list(permissions)})
    assert response.status_code == 201, response.text
    return str(response.get_json()["id"])


def system_role(caller: Caller, name: str) -> str:
    items = caller.get(ROLES, query_string={"limit": 200}).get_json()["items"]
    return next(str(item["id"]) for item in items if item["name"] == name)


def make_group(caller: Caller, name: str, parent: str | None = None) -> str:
    response = caller.post(GROUPS, json={"name": name, "parent_id": parent})
    assert response.status_code == 201, response.text
    return str(response.get_json()["id"])


def put_in(caller: Caller, group: str, who: Caller | None = None, role: str | None = None) -> None:
    if who is not None:
        assert caller.put(f"{GROUPS}/{group}/members/{who.user_id}").status_code == 204
    if role is not None:
        assert caller.put(f"{GROUPS}/{group}/roles/{role}").status_code == 204


def held_by(caller: Caller) -> set[str]:
    return set(caller.get("/api/v1/auth/me").get_json()["permissions"])


def limited(owner: Caller, sign_in: Callable[..., Caller], web_tenancy: Tenancy, *permissions: str) -> Caller:
    """A member who holds these permissions and no others."""
    member = sign_in(owner.tenant_id)
    take_roles(web_tenancy, member)
    group = make_group(owner, f"group {new_id()}")
    put_in(owner, group, member, make_role(owner, f"role {new_id()}", *permissions))
    return member


def take_roles(web_tenancy: Tenancy, member: Caller) -> None:
    from tenancy.database import tenant_scope

    web_tenancy.platform.fetch(
        "DELETE FROM membership_roles WHERE tenant_id = %(t)s AND user_id = %(u)s",
        {"t": member.tenant_id, "u": member.user_id},
        tenant_scope(member.tenant_id),
    )


def test_a_role_is_made_changed_and_deleted(caller: Caller) -> None:
    made = caller.post(
        ROLES, json={"name": "bots", "description": "For bots.", "permissions": ["create:job", "job:read"]}
    )
    assert made.status_code == 201
    body, where = made.get_json(), made.headers["Location"]
    assert body["permissions"] == ["job:create", "job:read"]
    assert (body["is_system"], body["description"]) == (False, "For bots.")
    change = {"name": "robots", "permissions": ["job:read"]}
    assert code_of(caller.put(where, json=change)) == (428, "precondition_required")
    assert code_of(caller.put(where, json=change, headers={"If-Match": '"7"'})) == (412, "precondition_failed")
    changed = caller.put(where, json=change, headers={"If-Match": made.headers["ETag"]})
    assert (changed.get_json()["name"], changed.get_json()["permissions"]) == ("robots", ["job:read"])
    assert changed.headers["ETag"] != made.headers["ETag"]
    assert caller.delete(where).status_code == 204
    assert code_of(caller.get(where)) == (404, "not_found")


def test_a_role_that_is_asked_for_twice_with_one_key_is_made_once(caller: Caller) -> None:
    asked = {"json": {"name": "bots", "permissions": []}, "headers": {"Idempotency-Key": str(new_id())}}
    first, second = caller.post(ROLES, **asked), caller.post(ROLES, **asked)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.get_json() == second.get_json()
    assert code_of(caller.post(ROLES, json=asked["json"])) == (409, "conflict")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "x", "permissions": ["job:create", "job:fly"]}, "/permissions/1"),
        ({"name": "x", "permissions": ["job"]}, "/permissions/0"),
        ({"name": "", "permissions": []}, "/name"),
        ({"permissions": []}, "/name"),
        ({"name": "x"}, "/permissions"),
        ({"name": "x", "permissions": [], "is_system": True}, "/is_system"),
    ],
)
def test_a_role_that_makes_no_sense_is_refused_and_changes_nothing(
    caller: Caller, body: dict[str, Any], pointer: str
) -> None:
    before = caller.get(ROLES).get_json()
    response = caller.post(ROLES, json=body)
    assert code_of(response) == (422, "invalid_payload")
    assert [fault["pointer"] for fault in response.get_json()["errors"]] == [pointer]
    assert caller.get(ROLES).get_json() == before


@pytest.mark.parametrize("name", ["owner", "admin", "editor", "viewer"])
def test_system_roles_cannot_be_changed(caller: Caller, name: str) -> None:
    where = f"{ROLES}/{system_role(caller, name)}"
    body = {"name": "mine", "permissions": []}
    for response in (
        caller.put(where, json=body, headers={"If-Match": "*"}),
        caller.delete(where),
        caller.put(f"{where}/permissions", json={"items": []}, headers={"If-Match": "*"}),
        caller.put(f"{where}/permissions/job:read"),
        caller.delete(f"{where}/permissions/job:read"),
    ):
        assert code_of(response) == (409, "system_role")


def test_a_role_that_is_held_cannot_be_deleted(caller: Caller, sign_in: Callable[..., Caller]) -> None:
    role = make_role(caller, "bots", "job:read")
    group = make_group(caller, "bots")
    put_in(caller, group, role=role)
    assert code_of(caller.delete(f"{ROLES}/{role}")) == (409, "role_in_use")
    assert caller.delete(f"{GROUPS}/{group}/roles/{role}").status_code == 204
    member = sign_in(caller.tenant_id, role="bots")
    assert held_by(member) == {"job:read"}
    assert code_of(caller.delete(f"{ROLES}/{role}")) == (409, "role_in_use")
    assert held_by(member) == {"job:read"}


def test_permissions_of_a_role_are_given_and_taken_one_by_one_and_as_a_whole(caller: Caller) -> None:
    where = f"{ROLES}/{make_role(caller, 'bots', 'job:read')}/permissions"
    read = caller.get(where)
    assert caller.put(f"{where}/create:job").get_json() == {"items": ["job:create", "job:read"]}
    assert caller.put(f"{where}/job:create").get_json() == {"items": ["job:create", "job:read"]}
    stale = caller.put(where, json={"items": []}, headers={"If-Match": read.headers["ETag"]})
    assert code_of(stale) == (412, "precondition_failed")
    assert caller.delete(f"{where}/job:read").status_code == 204
    assert code_of(caller.delete(f"{where}/job:read")) == (404, "not_found")
    assert code_of(caller.put(f"{where}/job:fly")) == (422, "invalid_payload")
    whole = caller.put(where, json={"items": ["user:read"]}, headers={"If-Match": caller.get(where).headers["ETag"]})
    assert whole.get_json() == {"items": ["user:read"]}


def test_nobody_makes_a_role_that_permits_more_than_they_hold(
    caller: Caller, sign_in: Callable[..., Caller], web_tenancy: Tenancy
) -> None:
    maker = limited(caller, sign_in, web_tenancy, "role:create", "role:update", "role:read", "job:read")
    assert code_of(maker.post(ROLES, json={"name": "x", "permissions": ["job:read", "tenant:delete"]})) == (
        403, "permission_denied",
    )  # fmt: skip
    mine = make_role(maker, "x", "job:read")
    bigger = {"name": "x", "permissions": ["job:read", "job:create"]}
    assert code_of(maker.put(f"{ROLES}/{mine}", json=bigger, headers={"If-Match": "*"})) == (403, "permission_denied")
    assert code_of(maker.put(f"{ROLES}/{mine}/permissions/job:create")) == (403, "permission_denied")
    theirs = make_role(caller, "y", "job:read", "job:create")
    smaller = {"name": "y", "permissions": ["job:read"]}
    assert code_of(maker.put(f"{ROLES}/{theirs}", json=smaller, headers={"If-Match": "*"})) == (
        403,
        "permission_denied",
    )
    renamed = {"name": "z", "permissions": ["job:read", "job:create"]}
    assert maker.put(f"{ROLES}/{theirs}", json=renamed, headers={"If-Match": "*"}).status_code == 200


def test_an_api_key_gives_no_more_than_its_scopes(caller: Caller) -> None:
    made = caller.post("/api/v1/api-keys", json={"name": "bot", "scopes": ["role:create", "group:update", "job:read"]})
    bot = Caller(caller.client, caller.tenant_id, caller.user_id, {"Authorization": f"Bearer {made.get_json()['key']}"})
    refused = bot.post(ROLES, json={"name": "x", "permissions": ["job:create"]})
    assert code_of(refused) == (403, "permission_denied")
    assert bot.post(ROLES, json={"name": "x", "permissions": ["job:read"]}).status_code == 201
    group = make_group(caller, "bosses")
    owner = system_role(caller, "owner")
    assert code_of(bot.put(f"{GROUPS}/{group}/roles/{owner}")) == (403, "permission_denied")
    put_in(caller, group, role=owner)
    assert code_of(bot.put(f"{GROUPS}/{group}/members/{caller.user_id}")) == (403, "permission_denied")


def test_a_tenants_own_permission_is_given_and_asked_for_like_the_platforms(
    caller: Caller, sign_in: Callable[..., Caller], web_tenancy: Tenancy, engine_tenancy: Tenancy
) -> None:
    made = caller.post(PERMISSIONS, json={"name": "report:publish", "description": "May publish."})
    assert (made.status_code, made.get_json()["is_system"]) == (201, False)
    assert "report:publish" in held_by(caller)
    admin, viewer = sign_in(caller.tenant_id, role="admin"), sign_in(caller.tenant_id)
    assert "report:publish" in held_by(admin)
    assert "report:publish" not in held_by(viewer)
    member = limited(admin, sign_in, web_tenancy, "publish:report")
    assert held_by(member) == {"report:publish"}
    principal = permissions_of(engine_tenancy.platform, f"user:{member.user_id}", caller.tenant_id)
    assert principal is not None
    assert principal.permissions == {"report:publish"}
    key = caller.post("/api/v1/api-keys", json={"name": "bot", "scopes": ["report:publish"]})
    assert key.get_json()["scopes"] == ["report:publish"]
    listed = {item["name"]: item for item in caller.get(PERMISSIONS).get_json()["items"]}
    assert (listed["report:publish"]["held"], listed["report:publish"]["description"]) == (True, "May publish.")


def test_a_permission_in_use_cannot_be_deleted(
    caller: Caller, sign_in: Callable[..., Caller], web_tenancy: Tenancy
) -> None:
    caller.post(PERMISSIONS, json={"name": "report:publish"})
    limited(caller, sign_in, web_tenancy, "report:publish")
    assert code_of(caller.delete(f"{PERMISSIONS}/report:publish")) == (409, "permission_in_use")
    caller.post(PERMISSIONS, json={"name": "report:archive"})
    assert caller.delete(f"{PERMISSIONS}/report:archive").status_code == 204
    assert "report:archive" not in held_by(caller)
    assert code_of(caller.delete(f"{PERMISSIONS}/report:archive")) == (404, "not_found")
    assert code_of(caller.delete(f"{PERMISSIONS}/job:read")) == (404, "not_found")


@pytest.mark.parametrize("name", ["report", "Report:publish", "report:", ":publish", "report:pub:lish", "job:read", "read:job",
                                  "re port:x"])  # fmt: skip
def test_a_permission_that_cannot_be_is_refused(caller: Caller, name: str) -> None:
    response = caller.post(PERMISSIONS, json={"name": name})
    assert code_of(response) == (422, "invalid_payload")
    assert response.get_json()["errors"][0]["pointer"] == "/name"


def test_who_may_only_read_changes_no_roles_and_no_permissions(caller: Caller, sign_in: Callable[..., Caller]) -> None:
    viewer, role = sign_in(caller.tenant_id), make_role(caller, "bots")
    body = {"name": "x", "permissions": []}
    for response in (
        viewer.post(ROLES, json=body),
        viewer.put(f"{ROLES}/{role}", json=body, headers={"If-Match": "*"}),
        viewer.delete(f"{ROLES}/{role}"),
        viewer.put(f"{ROLES}/{role}/permissions", json={"items": []}, headers={"If-Match": "*"}),
        viewer.put(f"{ROLES}/{role}/permissions/job:read"),
        viewer.delete(f"{ROLES}/{role}/permissions/job:read"),
        viewer.post(PERMISSIONS, json={"name": "a:b"}),
        viewer.delete(f"{PERMISSIONS}/a:b"),
    ):
        assert code_of(response) == (403, "permission_denied")


def test_another_tenants_roles_and_permissions_are_not_there(caller: Caller, stranger: Caller) -> None:
    role = make_role(caller, "bots", "job:read")
    caller.post(PERMISSIONS, json={"name": "report:publish"})
    body = {"name": "x", "permissions": []}
    for response in (
        stranger.get(f"{ROLES}/{role}"),
        stranger.put(f"{ROLES}/{role}", json=body, headers={"If-Match": "*"}),
        stranger.delete(f"{ROLES}/{role}"),
        stranger.get(f"{ROLES}/{role}/permissions"),
        stranger.put(f"{ROLES}/{role}/permissions", json={"items": []}, headers={"If-Match": "*"}),
        stranger.put(f"{ROLES}/{role}/permissions/job:read"),
        stranger.delete(f"{ROLES}/{role}/permissions/job:read"),
        stranger.delete(f"{PERMISSIONS}/report:publish"),
    ):
        assert code_of(response) == (404, "not_found")
    assert code_of(stranger.post(ROLES, json={"name": "x", "permissions": ["report:publish"]})) == (
        422, "invalid_payload",
    )  # fmt: skip
    assert caller.get(f"{ROLES}/{role}").get_json()["permissions"] == ["job:read"]


def test_changes_of_roles_are_noted_with_what_they_were(caller: Caller) -> None:
    role = make_role(caller, "bots", "job:read")
    caller.put(f"{ROLES}/{role}/permissions/job:create")
    caller.delete(f"{ROLES}/{role}")
    found = caller.get("/api/v1/audit", query_string={"resource": f"role:{role}", "sort": "created_at"}).get_json()[
        "items"
    ]
    assert [entry["action"] for entry in found] == ["role.created", "role.updated", "role.deleted"]
    assert (found[1]["before"], found[1]["after"]) == (
        {"permissions": ["job:read"]},
        {"permissions": ["job:create", "job:read"]},
    )


def test_a_role_given_and_deleted_at_once_is_either_given_or_gone(caller: Caller) -> None:
    for number in range(6):
        role, group = make_role(caller, f"r{number}", "job:read"), make_group(caller, f"g{number}")
        answers: dict[str, int] = {}
        barrier = threading.Barrier(2)

        def give(
            role: str = role, group: str = group, answers: dict[str, int] = answers, barrier: Any = barrier
        ) -> None:
            barrier.wait()
            answers["give"] = caller.put(f"{GROUPS}/{group}/roles/{role}").status_code

        def drop(role: str = role, answers: dict[str, int] = answers, barrier: Any = barrier) -> None:
            barrier.wait()
            answers["drop"] = caller.delete(f"{ROLES}/{role}").status_code

        threads = [threading.Thread(target=give), threading.Thread(target=drop)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (answers["give"], answers["drop"]) in {(204, 409), (404, 204)}
