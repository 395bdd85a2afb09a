"""Bulk submission, families, waits, replacing and replay by filter over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.identity.permissions import SYSTEM_ROLES
from jobs.waits import Waits
from tenancy.access import Tenancy
from tests.integration.web.callers import Caller
from tests.integration.web.test_jobs import JOBS, PING, finish

BULK, REPLAY = f"{JOBS}/bulk", f"{JOBS}/replay"


def submitted(caller: Caller, **options: Any) -> Any:
    answer = caller.post(JOBS, json={**PING, **options})
    assert answer.status_code == 202, answer.json
    return answer.json


def all_jobs(caller: Caller) -> list[Any]:
    items: list[Any] = caller.get(f"{JOBS}?limit=200").json["items"]
    return items


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json["code"]


def test_each_item_of_a_bulk_has_a_result_in_its_place(caller: Caller) -> None:
    items = [
        PING,
        {**PING, "payload": {"nope": 1}},
        {**PING, "priority": 101},
        {"kind": "tenant.provision"},
        "no object",
        {**PING, "priority": 3},
    ]
    answer = caller.post(BULK, json={"items": items})

    assert answer.status_code == 200
    results = answer.json["items"]
    assert [result["status"] for result in results] == [202, 422, 422, 422, 422, 202]
    assert answer.json["accepted"] == 2
    assert [fault["pointer"] for fault in results[1]["error"]["errors"]] == ["/payload/nope"]
    assert [fault["pointer"] for fault in results[2]["error"]["errors"]] == ["/priority"]
    assert results[3]["error"]["code"] == "unknown_kind"
    assert results[5]["job"]["priority"] == 3
    assert caller.get(results[0]["job"]["links"]["self"]).json == results[0]["job"]
    assert len(all_jobs(caller)) == 2


def test_an_item_needs_the_permission_of_its_kind(
    sign_in: Callable[..., Caller], pooled_tenant: UUID, web_tenancy: Tenancy
) -> None:
    editor = sign_in(pooled_tenant, role="editor")
    scope = {"nexus.tenant_id": str(pooled_tenant)}
    web_tenancy.platform.fetch("DELETE FROM role_permissions WHERE permission = 'notification:create'", {}, scope)

    results = editor.post(BULK, json={"items": [{"kind": "notification.deliver"}, PING]}).json["items"]

    assert [result["status"] for result in results] == [403, 202]
    assert "notification:create" in results[0]["error"]["detail"]


@pytest.mark.parametrize("items", [[], [PING] * 1001, {"0": PING}, None])
def test_a_bulk_holds_one_to_a_thousand_items(caller: Caller, items: Any) -> None:
    answer = caller.post(BULK, json={"items": items})

    assert code_of(answer) == (422, "invalid_payload")
    assert answer.json["errors"][0]["pointer"] == "/items"
    if isinstance(items, list):
        assert "1000" in answer.json["errors"][0]["detail"]
    assert all_jobs(caller) == []


@pytest.mark.parametrize("path", [JOBS, BULK])
def test_a_body_that_is_too_large_names_the_limit(caller: Caller, path: str) -> None:
    answer = caller.post(path, json={**PING, "payload": {"message": "x" * 1_100_000}})

    assert code_of(answer) == (413, "payload_too_large")
    assert "1048576 bytes" in answer.json["detail"]


def test_a_bulk_that_is_sent_again_with_its_key_makes_nothing_new(caller: Caller) -> None:
    body = {"items": [PING, {**PING, "idempotency_key": "own"}, PING]}
    first = caller.post(BULK, json=body, headers={"Idempotency-Key": "batch-1"}).json["items"]
    again = caller.post(BULK, json=body, headers={"Idempotency-Key": "batch-1"}).json["items"]
    other = caller.post(BULK, json={"items": [{**PING, "priority": 1}]}, headers={"Idempotency-Key": "batch-1"}).json

    assert [result["job"]["id"] for result in first] == [result["job"]["id"] for result in again]
    assert {result["created"] for result in first} == {True}
    assert {result["created"] for result in again} == {False}
    assert other["items"][0]["error"]["code"] == "idempotency_mismatch"
    assert caller.post(JOBS, json=PING, headers={"Idempotency-Key": "own"}).json["id"] == first[1]["job"]["id"]
    assert len(all_jobs(caller)) == 3


def test_children_are_listed_in_pages_with_their_states(caller: Caller, engine_tenancy: Tenancy) -> None:
    parent = submitted(caller)
    children = [submitted(caller, parent_id=parent["id"])["id"] for _ in range(3)]
    finish(engine_tenancy, children[0])

    page = caller.get(f"{JOBS}/{parent['id']}/children?limit=2&sort=created_at")
    rest = caller.get(f"{JOBS}/{parent['id']}/children?limit=2&sort=created_at&cursor={page.json['next_cursor']}").json

    assert [job["id"] for job in page.json["items"] + rest["items"]] == children
    assert (page.json["total"], page.json["finished"], page.json["states"]) == (3, 1, {"succeeded": 1, "queued": 2})
    assert rest["next_cursor"] is None
    assert 'rel="next"' in page.headers["Link"]


def test_cancelling_over_http_takes_the_children_along(caller: Caller) -> None:
    parent = submitted(caller)
    submitted(caller, parent_id=parent["id"])
    caller.post(f"{JOBS}/{parent['id']}/cancel")

    assert caller.get(f"{JOBS}/{parent['id']}/children").json["states"] == {"cancelled": 1}
    assert code_of(caller.post(JOBS, json={**PING, "parent_id": parent["id"]})) == (409, "illegal_transition")


def test_a_job_after_others_waits_and_is_released(caller: Caller, engine_tenancy: Tenancy) -> None:
    first = submitted(caller)["id"]
    follow_up = submitted(caller, after=[first], after_policy="all_finished")
    where = f"{JOBS}/{follow_up['id']}"

    assert (follow_up["state"], follow_up["run_at"]) == ("scheduled", None)
    assert caller.get(f"{where}/dependencies").json == {"items": [{"job_id": first, "state": "queued"}]}

    finish(engine_tenancy, first, "failed")
    Waits(engine_tenancy).look()

    released = caller.get(where).json
    assert released["state"] == "queued"
    assert released["run_at"].endswith("Z")
    assert caller.get(f"{where}/dependencies").json == {"items": [{"job_id": first, "state": "failed"}]}


def test_a_failed_dependency_is_told_by_its_code(caller: Caller, engine_tenancy: Tenancy) -> None:
    first = submitted(caller)["id"]
    follow_up = submitted(caller, after=[first])["id"]
    finish(engine_tenancy, first, "failed")
    Waits(engine_tenancy).look()

    job = caller.get(f"{JOBS}/{follow_up}").json
    assert (job["state"], job["error"]["code"]) == ("cancelled", "dependency_failed")
    assert first in job["error"]["detail"]


@pytest.mark.parametrize(
    ("options", "pointer"),
    [
        ({"parent_id": str(uuid4())}, "/parent_id"),
        ({"parent_id": "me"}, "/parent_id"),
        ({"after": [str(uuid4())]}, "/after/0"),
        ({"after": [str(uuid4())] * 1001}, "/after"),
        ({"after_policy": "any"}, "/after_policy"),
        ({"on_conflict": "replace"}, "/unique_key"),
        ({"on_conflict": "other", "unique_key": "u"}, "/on_conflict"),
        ({"on_conflict": "replace", "unique_key": "u", "after": [str(uuid4())]}, "/after"),
        ({"on_conflict": "replace", "unique_key": "u", "parent_id": str(uuid4())}, "/parent_id"),
    ],
)
def test_relatives_that_cannot_be_are_named(caller: Caller, options: dict[str, Any], pointer: str) -> None:
    answer = caller.post(JOBS, json={**PING, **options})

    assert code_of(answer) == (422, "invalid_payload")
    assert pointer in [fault["pointer"] for fault in answer.json["errors"]]
    assert all_jobs(caller) == []


def test_no_circle_can_be_made_by_replacing_a_job_that_others_wait_for(caller: Caller) -> None:
    first = submitted(caller, unique_key="u", run_at="2999-01-01T00:00:00Z")["id"]
    second = submitted(caller, after=[first])["id"]
    answer = caller.post(JOBS, json={**PING, "unique_key": "u", "on_conflict": "replace", "after": [second]})

    assert code_of(answer) == (422, "invalid_payload")
    assert caller.get(f"{JOBS}/{first}/dependencies").json == {"items": []}


def test_replacing_keeps_the_job_and_says_so(caller: Caller, engine_tenancy: Tenancy) -> None:
    options = {"unique_key": "debounce", "on_conflict": "replace"}
    first = submitted(caller, run_at="2999-01-01T00:00:00Z", **options)
    answer = caller.post(JOBS, json={**PING, "priority": 5, **options})

    assert (answer.status_code, answer.json["id"], answer.json["priority"]) == (202, first["id"], 5)
    assert answer.json["state"] == "queued"
    assert "Idempotency-Replayed" not in answer.headers
    assert caller.get(f"{JOBS}/{first['id']}").headers["ETag"] != ""

    engine_tenancy.platform.fetch("UPDATE jobs SET state = 'dispatched' WHERE id = %(id)s", {"id": UUID(first["id"])})
    assert code_of(caller.post(JOBS, json={**PING, **options})) == (409, "unique_key_taken")
    assert len(all_jobs(caller)) == 1


def test_a_replacement_that_is_sent_again_with_its_key_does_nothing_more(caller: Caller) -> None:
    options = {"unique_key": "debounce", "on_conflict": "replace"}
    first = caller.post(JOBS, json={**PING, "priority": 1, **options}, headers={"Idempotency-Key": "a"})
    caller.post(JOBS, json={**PING, "priority": 2, **options}, headers={"Idempotency-Key": "b"})
    again = caller.post(JOBS, json={**PING, "priority": 1, **options}, headers={"Idempotency-Key": "a"})

    assert (again.status_code, again.json["id"]) == (202, first.json["id"])
    assert again.headers["Idempotency-Replayed"] == "true"
    assert [job["priority"] for job in all_jobs(caller)] == [2]


def test_a_preview_counts_and_changes_nothing_and_a_replay_links(caller: Caller, engine_tenancy: Tenancy) -> None:
    old = [submitted(caller)["id"] for _ in range(3)]
    for job_id in old:
        finish(engine_tenancy, job_id, "failed")
    body = {"filter": {"kind": "system.ping"}}

    preview = caller.post(REPLAY, json={**body, "dry_run": True}).json
    assert preview == {"found": 3, "kinds": {"system.ping": 3}, "replayed": 0, "items": []}
    assert len(all_jobs(caller)) == 3

    done = caller.post(REPLAY, json={**body, "limit": 2}).json
    assert (done["found"], done["replayed"]) == (3, 2)
    assert [(item["replay_of"], item["job"]["replay_of"]) for item in done["items"]] == [
        (each, each) for each in old[:2]
    ]
    assert caller.post(f"{JOBS}/{old[0]}/replay").json["id"] == done["items"][0]["job"]["id"]
    assert caller.post(REPLAY, json=body).json["replayed"] == 1
    assert caller.post(REPLAY, json=body).json == {"found": 0, "kinds": {}, "replayed": 0, "items": []}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"filter": {"state": "succeeded"}}, "/filter/state"),
        ({"filter": {"state": "running"}}, "/filter/state"),
        ({"filter": {"colour": "red"}}, "/filter/colour"),
        ({"filter": {"finished_from": "yesterday"}}, "/filter/finished_from"),
        ({"filter": {}, "limit": 1001}, "/limit"),
        ({"filter": {}, "limit": 0}, "/limit"),
        ({"filter": {}, "dry_run": "yes"}, "/dry_run"),
        ({"dry_run": True}, "/filter"),
    ],
)
def test_a_replay_that_cannot_be_names_the_field(caller: Caller, body: dict[str, Any], pointer: str) -> None:
    answer = caller.post(REPLAY, json=body)

    assert code_of(answer) == (422, "invalid_payload")
    assert [fault["pointer"] for fault in answer.json["errors"]] == [pointer]


def test_what_succeeded_or_is_live_cannot_be_replayed_and_what_finished_not_cancelled(
    caller: Caller, engine_tenancy: Tenancy
) -> None:
    job_id = submitted(caller)["id"]
    assert code_of(caller.post(f"{JOBS}/{job_id}/replay")) == (409, "illegal_transition")
    finish(engine_tenancy, job_id)
    assert code_of(caller.post(f"{JOBS}/{job_id}/replay")) == (409, "illegal_transition")
    assert code_of(caller.post(f"{JOBS}/{job_id}/cancel")) == (409, "illegal_transition")
    assert len(all_jobs(caller)) == 1


def test_an_unknown_kind_is_no_filter(caller: Caller) -> None:
    assert code_of(caller.post(REPLAY, json={"filter": {"kind": "nothing.such"}})) == (422, "unknown_kind")


def test_a_viewer_submits_and_replays_nothing(sign_in: Callable[..., Caller], pooled_tenant: UUID) -> None:
    viewer = sign_in(pooled_tenant, role="viewer")
    assert "job:replay" not in SYSTEM_ROLES["viewer"]
    assert viewer.post(BULK, json={"items": [PING]}).status_code == 403
    assert viewer.post(REPLAY, json={"filter": {}, "dry_run": True}).status_code == 403


def test_another_tenants_jobs_are_neither_seen_named_nor_replayed(
    caller: Caller, stranger: Caller, engine_tenancy: Tenancy
) -> None:
    parent, failed = submitted(caller)["id"], submitted(caller)["id"]
    finish(engine_tenancy, failed, "failed")

    assert code_of(stranger.get(f"{JOBS}/{parent}/children")) == (404, "not_found")
    assert code_of(stranger.get(f"{JOBS}/{parent}/dependencies")) == (404, "not_found")
    assert code_of(stranger.post(JOBS, json={**PING, "parent_id": parent})) == (422, "invalid_payload")
    assert code_of(stranger.post(JOBS, json={**PING, "after": [parent]})) == (422, "invalid_payload")
    bulk = stranger.post(BULK, json={"items": [{**PING, "parent_id": parent}, {**PING, "after": [failed]}]}).json
    assert [item["status"] for item in bulk["items"]] == [422, 422]
    assert stranger.post(REPLAY, json={"filter": {}}).json["found"] == 0
    assert all_jobs(stranger) == []
    assert caller.get(f"{JOBS}/{parent}/children").json["total"] == 0
    assert len(all_jobs(caller)) == 2
