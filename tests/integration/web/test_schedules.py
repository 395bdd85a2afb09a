"""Keeping schedules over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from jobs import schedules
from jobs.firing import fire_due
from tenancy.access import Tenancy
from tests.integration.web.callers import Caller
from tests.integration.web.engine import code_of, pointers_of

SCHEDULES = "/api/v1/schedules"
MORNING = {
    "name": "morning ping", "kind": "system.ping", "payload": {"message": "good morning"}, "cron": "30 7 * * MON-FRI",
    "timezone": "Europe/Berlin",
}  # fmt: skip


def created(caller: Caller, **changes: Any) -> dict[str, Any]:
    """A schedule that was created."""
    answer = caller.post(SCHEDULES, json={**MORNING, **changes})
    assert answer.status_code == 201, answer.json
    made: dict[str, Any] = answer.json
    return made


def path(schedule: dict[str, Any]) -> str:
    return f"{SCHEDULES}/{schedule['id']}"


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_schedule_is_read_as_it_was_created(caller: Caller) -> None:
    answer = caller.post(SCHEDULES, json=MORNING)
    made = answer.json

    assert answer.status_code == 201
    assert answer.headers["Location"] == path(made)
    assert {name: made[name] for name in MORNING} == {**MORNING, "payload": {"message": "good morning", "seconds": 0.0}}
    assert (made["missed"], made["priority"], made["enabled"], made["disabled_reason"]) == ("last", None, True, None)
    assert made["principal"] == f"user:{caller.user_id}"
    assert made["next_firings"][0] == made["next_at"]
    assert len(made["next_firings"]) == 5
    assert caller.get(path(made)).json == made


def test_the_same_key_creates_one_schedule(caller: Caller) -> None:
    first, again = (caller.post(SCHEDULES, json=MORNING, headers={"Idempotency-Key": "once"}) for _ in range(2))

    assert first.json == again.json
    assert len(caller.get(SCHEDULES).json["items"]) == 1


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"cron": "61 * * * *"}, "/cron"),
        ({"cron": "0 0 30 2 *"}, "/cron"),
        ({"cron": ""}, "/cron"),
        ({"cron": "* * * * * *"}, "/cron"),
        ({"cron": "@reboot"}, "/cron"),
        ({"cron": 5}, "/cron"),
        ({"timezone": "Middle/Earth"}, "/timezone"),
        ({"timezone": "../etc/passwd"}, "/timezone"),
        ({"timezone": "Europe"}, "/timezone"),
        ({"missed": "some"}, "/missed"),
        ({"priority": 101}, "/priority"),
        ({"priority": 1.5}, "/priority"),
        ({"payload": {"seconds": 61}}, "/payload/seconds"),
        ({"payload": {"nope": 1}}, "/payload/nope"),
        ({"payload": []}, "/payload"),
        ({"name": ""}, "/name"),
        ({"name": "a\0b"}, "/name"),
        ({"enabled": True}, "/enabled"),
    ],
)
def test_an_invalid_schedule_names_the_field_and_changes_nothing(
    caller: Caller, changes: dict[str, Any], pointer: str
) -> None:
    answer = caller.post(SCHEDULES, json={**MORNING, **changes})

    assert code_of(answer) == (422, "invalid_payload")
    assert any(found.endswith(pointer) for found in pointers_of(answer))
    assert caller.get(SCHEDULES).json["items"] == []


def test_a_payload_that_is_too_large_is_refused_with_the_limit(caller: Caller) -> None:
    large = {"messages": [{"role": "user", "content": "x" * 70_000}]}
    answer = caller.post(SCHEDULES, json={**MORNING, "kind": "completion.create", "payload": large})

    assert code_of(answer) == (413, "payload_too_large")
    assert "64000" in answer.json["detail"]


@pytest.mark.parametrize("kind", ["nothing.such", "tenant.provision"])
def test_unknown_and_internal_kinds_cannot_be_scheduled(caller: Caller, kind: str) -> None:
    answer = caller.post(SCHEDULES, json={**MORNING, "kind": kind, "payload": {}})

    assert code_of(answer) == (422, "unknown_kind")


def test_a_name_is_given_once_in_a_tenant(caller: Caller, stranger: Caller) -> None:
    created(caller)
    other = created(caller, name="other")
    etag = caller.get(path(other)).headers["ETag"]

    again = caller.post(SCHEDULES, json=MORNING)
    renamed = caller.put(path(other), json=MORNING, headers={"If-Match": etag})

    assert [(answer.status_code, pointers_of(answer)) for answer in (again, renamed)] == [(409, ["/name"])] * 2
    assert caller.get(path(other)).json["name"] == "other"
    created(stranger)


def test_a_tenant_has_a_bounded_number_of_schedules(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules, "MOST_PER_TENANT", 2)
    created(caller, name="one")
    created(caller, name="two")

    assert code_of(caller.post(SCHEDULES, json={**MORNING, "name": "three"})) == (409, "conflict")


def test_a_list_goes_on_where_the_page_ended(caller: Caller) -> None:
    made = [created(caller, name=str(number))["id"] for number in range(3)]

    first = caller.get(f"{SCHEDULES}?limit=2").json
    rest = caller.get(f"{SCHEDULES}?limit=2&cursor={first['next_cursor']}").json

    assert [found["id"] for found in first["items"] + rest["items"]] == made[::-1]
    assert rest["next_cursor"] is None
    assert "payload" not in first["items"][0]


def test_an_edit_needs_the_present_version(caller: Caller) -> None:
    made = created(caller)
    etag = caller.get(path(made)).headers["ETag"]
    changed = {**MORNING, "cron": "0 8 * * *", "missed": "all", "priority": 5}

    first = caller.put(path(made), json=changed, headers={"If-Match": etag})
    stale = caller.put(path(made), json=MORNING, headers={"If-Match": etag})
    missing = caller.put(path(made), json=MORNING)

    assert (first.status_code, first.json["cron"], first.json["missed"], first.json["priority"]) == (
        200, "0 8 * * *", "all", 5,
    )  # fmt: skip
    assert first.headers["ETag"] != etag
    assert (stale.status_code, missing.status_code) == (412, 428)
    assert caller.get(path(made)).json == first.json


def test_a_firing_changes_what_is_read_and_does_not_stand_in_the_way_of_an_edit(
    caller: Caller, engine_tenancy: Tenancy
) -> None:
    made = created(caller)
    etag = caller.get(path(made)).headers["ETag"]
    fire(engine_tenancy, made)

    again = caller.get(path(made), headers={"If-None-Match": etag})
    edited = caller.put(path(made), json={**MORNING, "name": "evening"}, headers={"If-Match": etag})

    assert (again.status_code, again.json["last_fired_at"]) == (200, made["next_at"])
    assert caller.get(f"/api/v1/jobs/{again.json['last_job_id']}").json["run_at"] == made["next_at"]
    assert (edited.status_code, edited.json["next_at"]) == (200, made["next_firings"][1])


def test_a_paused_schedule_does_not_fire_and_makes_up_for_nothing(caller: Caller, engine_tenancy: Tenancy) -> None:
    made = created(caller, cron="* * * * *", missed="all")

    paused = caller.post(f"{path(made)}/pause").json
    assert (paused["enabled"], paused["disabled_reason"], paused["next_at"], paused["next_firings"]) == (
        False, "paused", None, [],
    )  # fmt: skip
    fire(engine_tenancy, made, later=timedelta(hours=1))
    assert caller.get("/api/v1/jobs").json["items"] == []

    resumed = caller.post(f"{path(made)}/resume").json
    assert (resumed["enabled"], resumed["disabled_reason"]) == (True, None)
    assert moment(resumed["next_at"]) > datetime.now(UTC) - timedelta(seconds=1)


def test_pausing_and_resuming_twice_is_the_same_as_once(caller: Caller) -> None:
    made = created(caller)
    for verb in ("pause", "resume"):
        first, again = (caller.post(f"{path(made)}/{verb}") for _ in range(2))
        assert (first.json, first.headers["ETag"]) == (again.json, again.headers["ETag"])


def test_an_edit_of_a_paused_schedule_leaves_it_paused(caller: Caller) -> None:
    made = created(caller)
    etag = caller.post(f"{path(made)}/pause").headers["ETag"]

    edited = caller.put(path(made), json={**MORNING, "cron": "0 9 * * *"}, headers={"If-Match": etag})

    assert (edited.json["enabled"], edited.json["disabled_reason"]) == (False, "paused")


def test_running_now_submits_a_job_and_moves_no_period(caller: Caller) -> None:
    made = created(caller, priority=9)
    caller.post(f"{path(made)}/pause")
    answer, again = (caller.post(f"{path(made)}/run", headers={"Idempotency-Key": "now"}) for _ in range(2))

    assert (answer.status_code, answer.json["kind"], answer.json["priority"]) == (202, "system.ping", 9)
    assert again.json["id"] == answer.json["id"]
    assert caller.get(path(made)).json["last_fired_at"] is None


def test_a_deleted_schedule_is_gone_and_its_jobs_stay(caller: Caller, engine_tenancy: Tenancy) -> None:
    made = created(caller)
    fire(engine_tenancy, made)

    assert caller.delete(path(made)).status_code == 204
    assert [caller.get(path(made)).status_code, caller.delete(path(made)).status_code] == [404, 404]
    assert len(caller.get("/api/v1/jobs").json["items"]) == 1


def test_a_preview_shows_moments_and_what_the_clock_shows(caller: Caller) -> None:
    asked = {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "count": 2, "after": "2026-03-28T12:00:00Z"}

    assert caller.post(f"{SCHEDULES}/preview", json=asked).json["items"] == [
        {"at": "2026-03-29T01:00:00Z", "local": "2026-03-29T03:00:00+02:00"},
        {"at": "2026-03-30T00:30:00Z", "local": "2026-03-30T02:30:00+02:00"},
    ]
    assert caller.get(SCHEDULES).json["items"] == []


@pytest.mark.parametrize(
    "bad",
    [{"cron": "x"}, {"count": 0}, {"count": 51}, {"timezone": "Nowhere"}, {"after": "9999-12-31T23:59:00Z"}, {}],
)
def test_an_invalid_preview_is_refused(caller: Caller, bad: dict[str, Any]) -> None:
    body = {"cron": "@daily", **bad} if bad else {}

    assert caller.post(f"{SCHEDULES}/preview", json=body).status_code == 422


def test_another_tenants_schedule_is_not_found_and_stays(caller: Caller, stranger: Caller) -> None:
    made = created(caller)
    before = caller.get(path(made))
    tried = [
        stranger.get(path(made)),
        stranger.put(path(made), json=MORNING, headers={"If-Match": "*"}),
        stranger.delete(path(made)),
        *(stranger.post(f"{path(made)}/{verb}") for verb in ("pause", "resume", "run")),
    ]

    assert {code_of(answer) for answer in tried} == {(404, "not_found")}
    assert stranger.get(SCHEDULES).json["items"] == []
    assert caller.get(path(made)).json == before.json


def test_a_viewer_reads_and_changes_nothing(caller: Caller, sign_in: Callable[..., Caller]) -> None:
    made = created(caller)
    viewer = sign_in(caller.tenant_id, role="viewer")

    assert [viewer.get(each).status_code for each in (SCHEDULES, path(made))] == [200, 200]
    assert {
        viewer.post(SCHEDULES, json=MORNING).status_code,
        viewer.put(path(made), json=MORNING, headers={"If-Match": "*"}).status_code,
        viewer.delete(path(made)).status_code,
        *(viewer.post(f"{path(made)}/{verb}").status_code for verb in ("pause", "resume", "run")),
    } == {403}


def test_who_edits_answers_for_the_jobs_from_then_on(caller: Caller, sign_in: Callable[..., Caller]) -> None:
    made = created(caller)
    editor = sign_in(caller.tenant_id, role="editor")

    edited = editor.put(path(made), json=MORNING, headers={"If-Match": "*"})

    assert edited.json["principal"] == f"user:{editor.user_id}"


def test_a_key_without_the_kinds_permission_neither_makes_nor_takes_over_nor_runs(caller: Caller) -> None:
    made = created(caller)
    caller.post(f"{path(made)}/pause")
    scopes = [f"schedule:{action}" for action in ("create", "read", "update", "run")]
    key = caller.post("/api/v1/api-keys", json={"name": "narrow", "scopes": scopes}).json["key"]
    narrow = Caller(caller.client, caller.tenant_id, caller.user_id, {"Authorization": f"Bearer {key}"})

    assert {
        narrow.post(SCHEDULES, json={**MORNING, "name": "mine"}).status_code,
        narrow.put(path(made), json=MORNING, headers={"If-Match": "*"}).status_code,
        narrow.post(f"{path(made)}/resume").status_code,
        narrow.post(f"{path(made)}/run").status_code,
    } == {403}
    assert caller.get(path(made)).json["disabled_reason"] == "paused"


def test_a_schedule_whose_key_was_revoked_rests_until_someone_resumes_it(
    caller: Caller, engine_tenancy: Tenancy
) -> None:
    scopes = ["schedule:create", "job:create"]
    key = caller.post("/api/v1/api-keys", json={"name": "bot", "scopes": scopes}).json
    bot = Caller(caller.client, caller.tenant_id, caller.user_id, {"Authorization": f"Bearer {key['key']}"})
    made = created(bot)
    caller.delete(f"/api/v1/api-keys/{key['id']}")
    fire(engine_tenancy, made)

    rests = caller.get(path(made)).json
    assert (rests["enabled"], rests["disabled_reason"], rests["last_job_id"]) == (False, "principal_gone", None)
    resumed = caller.post(f"{path(made)}/resume").json
    assert (resumed["enabled"], resumed["principal"]) == (True, f"user:{caller.user_id}")


def test_a_damaged_payload_is_told_and_can_be_replaced(caller: Caller, engine_tenancy: Tenancy) -> None:
    made = created(caller)
    engine_tenancy.platform.fetch(
        "UPDATE schedules SET payload_sealed = 'x' WHERE id = %(id)s", {"id": UUID(made["id"])}
    )

    assert caller.get(path(made)).json["payload"] is None
    assert caller.post(f"{path(made)}/run").status_code == 409
    mended = caller.put(path(made), json=MORNING, headers={"If-Match": "*"})
    assert mended.json["payload"] == made["payload"]


@pytest.mark.parametrize("text", [str(UUID(int=7)), "no-id"])
def test_what_is_not_there_is_not_found(caller: Caller, text: str) -> None:
    assert caller.get(f"{SCHEDULES}/{text}").status_code == 404


def fire(engine: Tenancy, schedule: dict[str, Any], later: timedelta = timedelta(0)) -> None:
    """What the leader does when the schedule's next period has come; other tests' schedules are left out."""
    engine.platform.fetch("DELETE FROM schedules WHERE id <> %(id)s", {"id": UUID(schedule["id"])})
    fire_due(engine, moment(schedule["next_at"]) + later)
