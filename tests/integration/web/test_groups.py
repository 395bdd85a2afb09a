"""Groups: they pass roles down, refuse circles, and give nobody more than whoever fills them holds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from domain.identity.grants import MOST_NESTED
from domain.ids import new_id
from tenancy.access import Tenancy
from tenancy.database import Database
from tenancy.identity.principals import permissions_of
from tests.integration.web.callers import Caller
from tests.integration.web.test_roles import (
    GROUPS,
    ROLES,
    code_of,
    held_by,
    limited,
    make_group,
    make_role,
    put_in,
    system_role,
    take_roles,
)

ANY = {"If-Match": "*"}


@pytest.fixture
def member(sign_in: Callable[..., Caller], caller: Caller, web_tenancy: Tenancy) -> Caller:
    """A member without any role."""
    made = sign_in(caller.tenant_id)
    take_roles(web_tenancy, made)
    return made


def move(caller: Caller, group: str, parent: str | None, name: str | None = None) -> Any:
    return caller.put(f"{GROUPS}/{group}", json={"name": name or group, "parent_id": parent}, headers=ANY)


def test_a_group_is_made_changed_and_deleted(caller: Caller) -> None:
    made = caller.post(GROUPS, json={"name": "dev", "description": "Who develops."})
    where = made.headers["Location"]
    assert made.status_code == 201
    assert made.get_json()["members"] == 0
    change = {"name": "devs"}
    assert code_of(caller.put(where, json=change)) == (428, "precondition_required")
    changed = caller.put(where, json=change, headers={"If-Match": made.headers["ETag"]})
    assert (changed.status_code, changed.get_json()["name"]) == (200, "devs")
    stale = caller.put(where, json=change, headers={"If-Match": made.headers["ETag"]})
    assert code_of(stale) == (412, "precondition_failed")
    assert [item["name"] for item in caller.get(GROUPS).get_json()["items"]] == ["devs"]
    assert caller.delete(where).status_code == 204
    assert code_of(caller.get(where)) == (404, "not_found")


def test_bad_groups_are_refused_and_change_nothing(caller: Caller) -> None:
    group = make_group(caller, "dev")
    other = make_group(caller, "ops")
    assert code_of(caller.post(GROUPS, json={"name": "dev"})) == (409, "conflict")
    assert code_of(move(caller, other, None, "dev")) == (409, "conflict")
    unknown = caller.post(GROUPS, json={"name": "x", "parent_id": str(new_id())})
    assert (code_of(unknown), unknown.get_json()["errors"][0]["pointer"]) == ((422, "invalid_payload"), "/parent_id")
    for body in ({}, {"name": ""}, {"name": "x", "parent_id": "x"}, {"name": "x", "roles": []}):
        assert code_of(caller.post(GROUPS, json=body)) == (422, "invalid_payload")
    assert {item["id"] for item in caller.get(GROUPS).get_json()["items"]} == {group, other}


def test_roles_pass_down_to_the_members_of_groups_below_and_hold_at_the_next_request(
    caller: Caller, member: Caller, engine_tenancy: Tenancy
) -> None:
    company = make_group(caller, "company")
    department = make_group(caller, "department", company)
    team = make_group(caller, "team", department)
    put_in(caller, company, role=make_role(caller, "readers", "job:read"))
    put_in(caller, team, role=make_role(caller, "makers", "job:create"))
    assert held_by(member) == set()
    put_in(caller, team, member)
    assert held_by(member) == {"job:read", "job:create"}
    work = permissions_of(engine_tenancy.platform, f"user:{member.user_id}", caller.tenant_id)
    assert work is not None
    assert work.permissions == {"job:read", "job:create"}  # what a worker asks before it runs a job
    assert move(caller, team, None).status_code == 200
    assert held_by(member) == {"job:create"}
    assert move(caller, team, company).status_code == 200
    assert held_by(member) == {"job:read", "job:create"}
    assert caller.delete(f"{GROUPS}/{team}/members/{member.user_id}").status_code == 204
    assert held_by(member) == set()


def test_members_of_a_group_above_hold_nothing_of_those_below(caller: Caller, member: Caller) -> None:
    company = make_group(caller, "company")
    team = make_group(caller, "team", company)
    put_in(caller, team, role=make_role(caller, "makers", "job:create"))
    put_in(caller, company, member)
    assert held_by(member) == set()


def test_a_keys_owner_may_hold_by_groups_what_the_key_may_do(caller: Caller, member: Caller) -> None:
    group = make_group(caller, "bots")
    put_in(caller, group, member, make_role(caller, "bots", "api_key:create", "job:read"))
    made = member.post("/api/v1/api-keys", json={"name": "k", "scopes": ["job:read"]})
    assert made.status_code == 201
    bot = Caller(member.client, member.tenant_id, member.user_id, {"Authorization": f"Bearer {made.get_json()['key']}"})
    assert bot.get("/api/v1/jobs").status_code == 200
    assert caller.delete(f"{GROUPS}/{group}/members/{member.user_id}").status_code == 204
    assert code_of(bot.get("/api/v1/jobs")) == (403, "permission_denied")


def test_a_circle_of_groups_is_refused(caller: Caller) -> None:
    top = make_group(caller, "top")
    middle = make_group(caller, "middle", top)
    bottom = make_group(caller, "bottom", middle)
    for parent in (top, middle, bottom):
        assert code_of(move(caller, top, parent)) == (409, "group_cycle")
    assert caller.get(f"{GROUPS}/{top}").get_json()["parent_id"] is None


def test_two_edits_at_once_that_would_make_a_circle_together_do_not(caller: Caller) -> None:
    for number in range(6):
        one, two = make_group(caller, f"one {number}"), make_group(caller, f"two {number}")
        barrier, answers = threading.Barrier(2), []

        def edit(group: str, parent: str, barrier: threading.Barrier = barrier, answers: list[Any] = answers) -> None:
            barrier.wait()
            response = move(caller, group, parent)
            answers.append((response.status_code, (response.get_json() or {}).get("code")))

        threads = [threading.Thread(target=edit, args=pair) for pair in ((one, two), (two, one))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers, key=str) == [(200, None), (409, "group_cycle")]


def test_groups_nest_so_deep_and_no_deeper(caller: Caller, member: Caller) -> None:
    parent: str | None = None
    chain: list[str] = []
    for level in range(MOST_NESTED):
        parent = make_group(caller, f"level {level}", parent)
        chain.append(parent)
    too_deep = caller.post(GROUPS, json={"name": "deeper", "parent_id": parent})
    assert too_deep.get_json()["errors"][0]["code"] == "too_deep"
    above = make_group(caller, "above")
    assert move(caller, chain[0], above).get_json()["errors"][0]["code"] == "too_deep"
    put_in(caller, chain[0], role=make_role(caller, "readers", "job:read"))
    put_in(caller, chain[-1], member)
    assert held_by(member) == {"job:read"}


def test_a_group_with_others_below_is_not_deleted(caller: Caller, member: Caller) -> None:
    top = make_group(caller, "top")
    below = make_group(caller, "below", top)
    put_in(caller, below, member, make_role(caller, "readers", "job:read"))
    assert code_of(caller.delete(f"{GROUPS}/{top}")) == (409, "group_in_use")
    assert caller.delete(f"{GROUPS}/{below}").status_code == 204
    assert held_by(member) == set()
    assert caller.delete(f"{GROUPS}/{top}").status_code == 204


def test_members_and_roles_are_listed(caller: Caller, member: Caller) -> None:
    group, role = make_group(caller, "dev"), make_role(caller, "readers", "job:read")
    put_in(caller, group, member, role)
    put_in(caller, group, member, role)
    put_in(caller, group, caller)
    where = f"{GROUPS}/{group}"
    members = caller.get(f"{where}/members", query_string={"limit": 1})
    assert [item["id"] for item in members.get_json()["items"]] == [str(member.user_id)]
    cursor = members.get_json()["next_cursor"]
    rest = caller.get(f"{where}/members", query_string={"limit": 1, "cursor": cursor}).get_json()
    assert ([item["id"] for item in rest["items"]], rest["next_cursor"]) == ([str(caller.user_id)], None)
    assert caller.get(f"{where}/roles").get_json()["items"] == [{"id": role, "name": "readers"}]
    assert caller.get(where).get_json()["members"] == 2
    assert code_of(caller.put(f"{where}/members/{new_id()}")) == (404, "not_found")
    assert code_of(caller.delete(f"{where}/members/{new_id()}")) == (404, "not_found")
    assert code_of(caller.put(f"{where}/roles/{new_id()}")) == (404, "not_found")
    assert code_of(caller.delete(f"{where}/roles/{new_id()}")) == (404, "not_found")


def test_nobody_fills_groups_with_more_than_they_hold(
    caller: Caller, sign_in: Callable[..., Caller], web_tenancy: Tenancy, member: Caller
) -> None:
    """Neither by putting themselves into a group, nor by giving it a role, nor by moving it below another."""
    keeper = limited(caller, sign_in, web_tenancy, "group:update", "group:create", "group:delete", "group:read")
    owners = make_group(caller, "owners")
    put_in(caller, owners, member, system_role(caller, "owner"))
    below = make_group(caller, "below", owners)
    mine = make_group(keeper, "mine")
    denied = (403, "permission_denied")
    for group in (owners, below):
        assert code_of(keeper.put(f"{GROUPS}/{group}/members/{keeper.user_id}")) == denied
    assert code_of(keeper.put(f"{GROUPS}/{mine}/roles/{system_role(caller, 'viewer')}")) == denied
    assert code_of(move(keeper, mine, owners)) == denied
    assert code_of(keeper.delete(f"{GROUPS}/{owners}/members/{member.user_id}")) == denied
    assert code_of(keeper.delete(f"{GROUPS}/{owners}/roles/{system_role(caller, 'owner')}")) == denied
    assert code_of(move(keeper, below, None)) == denied
    assert code_of(keeper.delete(f"{GROUPS}/{below}")) == denied
    assert keeper.put(f"{GROUPS}/{mine}/members/{keeper.user_id}").status_code == 204
    admin = sign_in(caller.tenant_id, role="admin")
    assert code_of(admin.put(f"{GROUPS}/{owners}/members/{admin.user_id}")) == denied
    assert "tenant:delete" not in held_by(admin)


def test_an_owner_through_a_group_is_an_owner_for_whoever_would_remove_or_change_them(
    caller: Caller, sign_in: Callable[..., Caller], member: Caller
) -> None:
    admin, denied = sign_in(caller.tenant_id, role="admin"), (403, "permission_denied")
    owners = make_group(caller, "owners")
    put_in(caller, owners, member, system_role(caller, "owner"))
    below = make_group(caller, "below", owners)
    deputy = sign_in(caller.tenant_id, role="editor")
    assert caller.put(f"{GROUPS}/{below}/members/{deputy.user_id}").status_code == 204
    for one in (member, deputy):
        path = f"/api/v1/users/{one.user_id}"
        assert code_of(admin.delete(path)) == denied
        assert code_of(admin.put(path, json={"roles": ["viewer"]}, headers=ANY)) == denied
    assert member.delete(f"/api/v1/users/{deputy.user_id}").status_code == 204, "one owner may remove another"
    assert caller.delete(f"{GROUPS}/{owners}/members/{member.user_id}").status_code == 204
    assert admin.delete(f"/api/v1/users/{member.user_id}").status_code == 204, "and no owner is anybody's to remove"


def test_an_owner_through_a_group_is_not_the_one_that_a_tenant_keeps(caller: Caller, member: Caller) -> None:
    """A change of groups could end that; whoever holds the role by name stays until another one does."""
    owners = make_group(caller, "owners")
    put_in(caller, owners, member, system_role(caller, "owner"))
    mine = f"/api/v1/users/{caller.user_id}"
    assert code_of(member.delete(mine)) == (409, "last_owner")
    assert code_of(member.put(mine, json={"roles": ["viewer"]}, headers=ANY)) == (409, "last_owner")
    promoted = member.put(f"/api/v1/users/{member.user_id}", json={"roles": ["owner"]}, headers=ANY)
    assert promoted.status_code == 200
    assert member.delete(mine).status_code == 204


def test_who_may_only_read_changes_no_groups(caller: Caller, sign_in: Callable[..., Caller]) -> None:
    viewer, group, role = sign_in(caller.tenant_id), make_group(caller, "dev"), make_role(caller, "readers")
    where = f"{GROUPS}/{group}"
    assert viewer.get(where).status_code == 200
    for response in (
        viewer.post(GROUPS, json={"name": "x"}),
        viewer.put(where, json={"name": "x"}, headers=ANY),
        viewer.delete(where),
        viewer.put(f"{where}/members/{viewer.user_id}"),
        viewer.delete(f"{where}/members/{viewer.user_id}"),
        viewer.put(f"{where}/roles/{role}"),
        viewer.delete(f"{where}/roles/{role}"),
    ):
        assert code_of(response) == (403, "permission_denied")


def test_another_tenants_groups_are_not_there(caller: Caller, stranger: Caller) -> None:
    group, role = make_group(caller, "dev"), make_role(caller, "readers")
    put_in(caller, group, caller, role)
    theirs = make_group(stranger, "theirs")
    where = f"{GROUPS}/{group}"
    for response in (
        stranger.get(where),
        stranger.put(where, json={"name": "x"}, headers=ANY),
        stranger.delete(where),
        stranger.get(f"{where}/members"),
        stranger.put(f"{where}/members/{stranger.user_id}"),
        stranger.delete(f"{where}/members/{caller.user_id}"),
        stranger.get(f"{where}/roles"),
        stranger.put(f"{where}/roles/{role}"),
        stranger.delete(f"{where}/roles/{role}"),
        stranger.put(f"{GROUPS}/{theirs}/members/{caller.user_id}"),
        stranger.put(f"{GROUPS}/{theirs}/roles/{role}"),
    ):
        assert code_of(response) == (404, "not_found")
    assert code_of(move(stranger, theirs, group)) == (422, "invalid_payload")
    assert caller.get(where).get_json()["members"] == 1


def test_changes_of_groups_are_noted(caller: Caller, member: Caller) -> None:
    group, role = make_group(caller, "dev"), make_role(caller, "readers")
    put_in(caller, group, member, role)
    put_in(caller, group, member, role)
    move(caller, group, None, "devs")
    caller.delete(f"{GROUPS}/{group}/members/{member.user_id}")
    caller.delete(f"{GROUPS}/{group}/roles/{role}")
    caller.delete(f"{GROUPS}/{group}")
    query = {"resource": f"group:{group}", "sort": "created_at"}
    found = caller.get("/api/v1/audit", query_string=query).get_json()["items"]
    assert [entry["action"] for entry in found] == [
        "group.created", "group.member_added", "group.role_added", "group.updated", "group.member_removed",
        "group.role_removed", "group.deleted",
    ]  # fmt: skip
    assert found[1]["after"] == {"user_id": str(member.user_id)}
    assert (found[3]["before"], found[3]["after"]) == ({"name": "dev"}, {"name": "devs"})


def test_knowing_what_nested_groups_give_costs_one_round_trip(
    app: Any, caller: Caller, member: Caller, count_trips: Callable[[Database], Any]
) -> None:
    top = make_group(caller, "top")
    below = make_group(caller, "below", top)
    put_in(caller, top, role=make_role(caller, "readers", "job:read"))
    put_in(caller, below, member)
    with count_trips(app.extensions["nexus.tenancy"].platform) as trips:
        assert member.get("/api/v1/jobs/kinds").status_code == 200  # asks the database nothing itself
    assert trips.count == 1


def explain(caller: Caller, **query: Any) -> Any:
    return caller.get("/api/v1/authz/explain", query_string=query)


def test_a_permission_is_explained_by_the_paths_that_give_it(caller: Caller, member: Caller) -> None:
    top = make_group(caller, "top")
    below = make_group(caller, "below", top)
    role = make_role(caller, "readers", "job:read")
    put_in(caller, top, role=role)
    put_in(caller, below, member)
    asked = {"user_id": str(member.user_id), "permission": "read:job"}
    body = explain(caller, **asked).get_json()
    assert (body["held"], body["missing"], body["permission"]) == (True, [], "job:read")
    steps = [[(step["type"], step["id"]) for step in path["steps"]] for path in body["paths"]]
    assert steps == [[("user", str(member.user_id)), ("group", below), ("group", top), ("role", role)]]
    put_in(caller, below, role=role)
    lengths = [len(path["steps"]) for path in explain(caller, **asked).get_json()["paths"]]
    assert lengths == [3, 4]


def test_what_is_missing_is_explained(caller: Caller, member: Caller, web_tenancy: Tenancy) -> None:
    body = explain(caller, user_id=str(member.user_id), permission="audit:read").get_json()
    assert (body["held"], body["paths"], [lack["code"] for lack in body["missing"]]) == (False, [], ["no_role"])
    assert body["roles"] == ["admin", "owner"]
    key = caller.post("/api/v1/api-keys", json={"name": "bot", "scopes": ["job:read"]}).get_json()
    asked = {"user_id": str(caller.user_id), "api_key_id": key["id"]}
    assert explain(caller, permission="job:read", **asked).get_json()["held"]
    narrowed = explain(caller, permission="job:create", **asked).get_json()
    assert (narrowed["held"], [lack["code"] for lack in narrowed["missing"]]) == (False, ["not_in_scopes"])
    assert narrowed["paths"][0]["steps"][0]["type"] == "api_key"
    caller.delete(f"/api/v1/api-keys/{key['id']}")
    ended = explain(caller, permission="job:read", **asked).get_json()
    assert [lack["code"] for lack in ended["missing"]] == ["key_ended"]
    web_tenancy.platform.fetch("UPDATE users SET disabled_at = now() WHERE id = %(id)s", {"id": member.user_id})
    disabled = explain(caller, user_id=str(member.user_id), permission="job:read").get_json()
    assert [lack["code"] for lack in disabled["missing"]] == ["no_role", "account_disabled"]


def test_everyone_may_ask_about_themselves_and_readers_of_roles_about_others(
    caller: Caller, member: Caller, stranger: Caller
) -> None:
    own = explain(member, permission="job:read").get_json()
    assert (own["held"], own["user_id"], own["roles"]) == (False, str(member.user_id), [])
    other = explain(member, permission="job:read", user_id=str(caller.user_id))
    assert code_of(other) == (403, "permission_denied")
    assert code_of(explain(stranger, permission="job:read", user_id=str(caller.user_id))) == (404, "not_found")
    assert code_of(explain(caller, permission="job:fly")) == (422, "invalid_payload")
    assert code_of(explain(caller)) == (422, "invalid_payload")
    assert code_of(explain(caller, permission="job:read", api_key_id=str(new_id()))) == (404, "not_found")
    headers = {"Authorization": caller.headers["Authorization"]}
    bare = caller.client.get("/api/v1/authz/explain", query_string={"permission": "job:read"}, headers=headers)
    assert code_of(bare) == (400, "tenant_required")


def test_listing_roles_still_answers(caller: Caller) -> None:
    assert {item["name"] for item in caller.get(ROLES).get_json()["items"]} == {"owner", "admin", "editor", "viewer"}
