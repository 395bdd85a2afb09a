"""Submitting, reading, listing, cancelling and replaying jobs over HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.identity.principals import system
from jobs.submit import NewJob, submit
from tenancy.access import Tenancy
from tests.integration.web.callers import Caller

JOBS = "/api/v1/jobs"
PING = {"kind": "system.ping", "payload": {"message": "hello"}}

_FINISH = """
UPDATE jobs SET state = %(state)s, token = NULL, finished_at = now(), version = version + 1 WHERE id = %(id)s
"""


def finish(engine: Tenancy, job_id: str, state: str = "succeeded") -> None:
    """End a job as a worker would, without its result."""
    engine.platform.fetch(_FINISH, {"id": UUID(job_id), "state": state})


def finish_soon(engine: Tenancy, job_id: str, seconds: float = 0.3) -> threading.Timer:
    """End the job a little later."""
    timer = threading.Timer(seconds, finish, (engine, job_id))
    timer.start()
    return timer


def test_a_submitted_job_is_accepted_with_its_address(caller: Caller) -> None:
    answer = caller.post(JOBS, json=PING)

    assert answer.status_code == 202
    assert answer.headers["Location"] == f"{JOBS}/{answer.json['id']}"
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.json["state"] == "queued"
    assert answer.json["created_at"].endswith("Z")
    assert answer.json["links"]["events"] == f"{JOBS}/{answer.json['id']}/events"
    assert caller.get(answer.headers["Location"]).json == answer.json


def test_a_job_takes_over_the_request_id(caller: Caller, engine_tenancy: Tenancy) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = caller.post(JOBS, json=PING, headers={"X-Request-ID": "my-request", "traceparent": parent})

    row = engine_tenancy.platform.fetch(
        "SELECT request_id, traceparent FROM jobs WHERE id = %(id)s", {"id": UUID(answer.json["id"])}
    )[0]
    assert row == {"request_id": "my-request", "traceparent": parent}


def test_the_same_key_and_payload_answer_with_the_first_job(caller: Caller) -> None:
    first = caller.post(JOBS, json=PING, headers={"Idempotency-Key": "once"})
    again = caller.post(JOBS, json=PING, headers={"Idempotency-Key": "once"})

    assert again.json["id"] == first.json["id"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers


def test_the_same_key_with_another_payload_is_refused(caller: Caller) -> None:
    caller.post(JOBS, json=PING, headers={"Idempotency-Key": "once"})
    other = caller.post(JOBS, json={**PING, "payload": {"message": "bye"}}, headers={"Idempotency-Key": "once"})

    assert (other.status_code, other.json["code"]) == (422, "idempotency_mismatch")


@pytest.mark.parametrize("key", ["", "x" * 201, "ä"])
def test_a_malformed_idempotency_key_is_refused(caller: Caller, key: str) -> None:
    answer = caller.post(JOBS, json=PING, headers={"Idempotency-Key": key})

    assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, "/header/Idempotency-Key")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({**PING, "payload": {"message": 5}}, "/message"),
        ({**PING, "payload": {"other": 5}}, "/other"),
        ({**PING, "priority": 101}, "/priority"),
        ({**PING, "priority": "1"}, "/priority"),
        ({**PING, "priority": 10**30}, "/priority"),
        ({**PING, "run_at": "2026-11-21T10:00:00"}, "/run_at"),
        ({**PING, "run_at": "9999-12-31T23:59:59-12:00"}, "/run_at"),
        ({**PING, "unique_key": ""}, "/unique_key"),
        ({**PING, "unique_key": "a\0b"}, "/unique_key"),
        ({**PING, "callback": "x"}, "/callback"),
        ({"payload": {}}, "/kind"),
    ],
)
def test_an_invalid_submission_names_the_field(caller: Caller, body: dict[str, Any], pointer: str) -> None:
    answer = caller.post(JOBS, json=body)

    assert (answer.status_code, answer.json["code"]) == (422, "invalid_payload")
    assert any(fault["pointer"].endswith(pointer) for fault in answer.json["errors"])
    assert caller.get(JOBS).json["items"] == []


def test_a_time_in_the_past_is_refused_and_one_of_just_now_is_not(caller: Caller) -> None:
    now = datetime.now(UTC)
    past = caller.post(JOBS, json={**PING, "run_at": (now - timedelta(minutes=2)).isoformat()})
    assert (past.status_code, past.json["errors"][0]["code"]) == (422, "in_the_past")
    assert past.json["errors"][0]["pointer"] == "/run_at"
    assert caller.get(JOBS).json["items"] == []
    just_now = caller.post(JOBS, json={**PING, "run_at": (now - timedelta(seconds=20)).isoformat()})
    assert (just_now.status_code, just_now.json["state"]) == (202, "queued")


def test_a_repeated_submission_is_answered_when_its_time_has_passed(caller: Caller, engine_tenancy: Tenancy) -> None:
    past = {**PING, "run_at": (datetime.now(UTC) - timedelta(minutes=2)).isoformat()}
    new = NewJob(
        kind="system.ping", payload=PING["payload"], principal=system("test", caller.tenant_id), idempotency_key="k",  # type: ignore[arg-type]
        run_at=datetime.fromisoformat(str(past["run_at"])),
    )  # fmt: skip
    first = submit(engine_tenancy, new)

    again = caller.post(JOBS, json=past, headers={"Idempotency-Key": "k"})
    other = caller.post(JOBS, json=past, headers={"Idempotency-Key": "other"})
    mismatch = caller.post(JOBS, json={**past, "priority": 3}, headers={"Idempotency-Key": "k"})

    assert (again.status_code, again.json["id"]) == (202, str(first.id))
    assert (other.status_code, other.json["code"]) == (422, "invalid_payload")
    assert (mismatch.status_code, mismatch.json["code"]) == (422, "idempotency_mismatch")


@pytest.mark.parametrize("kind", ["nothing.such", "tenant.provision", "search.source"])
def test_unknown_and_internal_kinds_cannot_be_submitted(caller: Caller, kind: str) -> None:
    answer = caller.post(JOBS, json={"kind": kind, "payload": {}})

    assert (answer.status_code, answer.json["code"]) == (422, "unknown_kind")


def test_the_permission_of_the_kind_is_needed_too(
    sign_in: Callable[..., Caller], pooled_tenant: UUID, web_tenancy: Tenancy
) -> None:
    editor = sign_in(pooled_tenant, role="editor")
    web_tenancy.platform.fetch(
        "DELETE FROM role_permissions WHERE permission = 'notification:create'",
        {},
        {"nexus.tenant_id": str(pooled_tenant)},
    )

    answer = editor.post(JOBS, json={"kind": "notification.deliver", "payload": {}})

    assert (answer.status_code, answer.json["code"]) == (403, "permission_denied")
    assert "notification:create" in answer.json["detail"]


def test_a_viewer_reads_but_does_not_submit(sign_in: Callable[..., Caller], pooled_tenant: UUID) -> None:
    viewer = sign_in(pooled_tenant, role="viewer")

    assert viewer.get(JOBS).status_code == 200
    assert viewer.post(JOBS, json=PING).status_code == 403


def test_a_job_for_later_is_scheduled(caller: Caller) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    answer = caller.post(JOBS, json={**PING, "run_at": later, "priority": 7, "unique_key": "nightly"})

    assert (answer.json["state"], answer.json["priority"]) == ("scheduled", 7)
    second = caller.post(JOBS, json={**PING, "unique_key": "nightly"})
    assert (second.status_code, second.json["code"]) == (409, "unique_key_taken")


def test_waiting_answers_with_the_finished_job(caller: Caller, engine_tenancy: Tenancy) -> None:
    job_id = caller.post(JOBS, json=PING).json["id"]
    timer = finish_soon(engine_tenancy, job_id)
    begun = time.monotonic()
    answer = caller.get(f"{JOBS}/{job_id}?wait=20")
    timer.join()

    assert answer.json["state"] == "succeeded"
    assert time.monotonic() - begun < 10


def test_a_submission_that_prefers_to_wait_gets_the_finished_job(caller: Caller, engine_tenancy: Tenancy) -> None:
    first = caller.post(JOBS, json=PING, headers={"Idempotency-Key": "waits"})
    timer = finish_soon(engine_tenancy, first.json["id"])
    answer = caller.post(JOBS, json=PING, headers={"Idempotency-Key": "waits", "Prefer": "wait=20"})
    timer.join()

    assert (answer.status_code, answer.json["state"]) == (200, "succeeded")
    assert answer.headers["Preference-Applied"] == "wait=20"


def test_a_wait_that_is_not_fulfilled_answers_202(caller: Caller) -> None:
    answer = caller.post(f"{JOBS}?wait=1", json=PING)

    assert (answer.status_code, answer.json["state"]) == (202, "queued")


@pytest.mark.parametrize("wait", ["31", "-1", "x", "1.5", ""])
def test_a_wait_out_of_bounds_is_refused_before_anything_is_done(caller: Caller, wait: str) -> None:
    answer = caller.post(f"{JOBS}?wait={wait}", json=PING)

    assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, "/query/wait")
    assert caller.get(JOBS).json["items"] == []


def test_an_unchanged_job_is_not_sent_again(caller: Caller, engine_tenancy: Tenancy) -> None:
    first = caller.get(caller.post(JOBS, json=PING).headers["Location"])
    again = caller.get(first.headers["Location"], headers={"If-None-Match": first.headers["ETag"]})
    finish(engine_tenancy, first.json["id"])
    changed = caller.get(first.headers["Location"], headers={"If-None-Match": first.headers["ETag"]})

    assert (again.status_code, again.data) == (304, b"")
    assert changed.status_code == 200


def test_the_pages_of_a_list_hold_every_job_once_while_others_come(caller: Caller) -> None:
    made = [caller.post(JOBS, json=PING).json["id"] for _ in range(7)]
    seen: list[str] = []
    path: str | None = f"{JOBS}?limit=3"
    while path:
        page = caller.get(path)
        seen += [job["id"] for job in page.json["items"]]
        caller.post(JOBS, json=PING)
        link = page.headers.get("Link", "")
        assert bool(link) == bool(page.json["next_cursor"])
        path = link.partition(">")[0].removeprefix("<").partition(":8000")[2] or None

    assert seen == list(reversed(made))


def test_oldest_first_is_the_other_way_round(caller: Caller) -> None:
    made = [caller.post(JOBS, json=PING).json["id"] for _ in range(3)]

    assert [job["id"] for job in caller.get(f"{JOBS}?sort=created_at").json["items"]] == made


def test_lists_are_filtered(caller: Caller, engine_tenancy: Tenancy) -> None:
    done = caller.post(JOBS, json=PING).json
    finish(engine_tenancy, done["id"], "failed")
    open_ = caller.post(JOBS, json=PING).json
    soon = (datetime.now(UTC) + timedelta(minutes=1)).isoformat().replace("+00:00", "Z")

    def listed(**filters: str) -> list[str]:
        return [job["id"] for job in caller.get(JOBS, query_string=filters).json["items"]]

    assert listed(state="failed") == [done["id"]]
    assert listed(state="queued", kind="system.ping", queue="default") == [open_["id"]]
    assert listed(kind="search.query") == []
    assert listed(parent_id="01a1fce4-0000-7000-8000-000000000001") == []
    assert listed(**{"created_at[gte]": soon}) == []
    assert listed(**{"created_at[gte]": done["created_at"], "created_at[lte]": done["created_at"]}) == [done["id"]]


@pytest.mark.parametrize(
    "query",
    ["stat=failed", "state=dispatched", "limit=0", "limit=201", "limit=x", "sort=id", "created_at=2026", "parent_id=1", "limit=1&limit=2"],
)  # fmt: skip
def test_unknown_and_invalid_parameters_of_a_list_are_refused(caller: Caller, query: str) -> None:
    answer = caller.get(f"{JOBS}?{query}")

    assert (answer.status_code, answer.json["code"]) == (422, "invalid_payload")
    assert answer.json["errors"][0]["pointer"].startswith("/query/")


def test_a_cursor_fits_only_its_own_list(caller: Caller, stranger: Caller) -> None:
    for who in (caller, stranger):
        for _ in range(2):
            who.post(JOBS, json=PING)
    cursor = caller.get(f"{JOBS}?limit=1").json["next_cursor"]
    flipped = ("A" if cursor[0] != "A" else "B") + cursor[1:]

    assert caller.get(f"{JOBS}?limit=1&cursor={cursor}").status_code == 200
    for answer in (
        caller.get(f"{JOBS}?limit=1&cursor={flipped}"),
        caller.get(f"{JOBS}?limit=1&cursor={cursor}&state=queued"),
        caller.get(f"{JOBS}?limit=1&cursor={cursor}&sort=created_at"),
        caller.get(f"{JOBS}?cursor=x"),
        caller.get(f"{JOBS}?cursor={cursor}%0A"),
        stranger.get(f"{JOBS}?limit=1&cursor={cursor}"),
    ):
        assert (answer.status_code, answer.json["code"]) == (422, "invalid_cursor")


def test_a_waiting_job_is_cancelled_at_once_and_cancelling_twice_is_the_same(caller: Caller) -> None:
    here = caller.post(JOBS, json=PING).headers["Location"]

    assert caller.post(f"{here}/cancel").json["state"] == "cancelled"
    assert caller.post(f"{here}/cancel").status_code == 200


def test_a_finished_job_cannot_be_cancelled(caller: Caller, engine_tenancy: Tenancy) -> None:
    job = caller.post(JOBS, json=PING).json
    finish(engine_tenancy, job["id"])
    answer = caller.post(job["links"]["cancel"])

    assert (answer.status_code, answer.json["code"]) == (409, "illegal_transition")


def test_a_failed_job_is_replayed_as_a_new_one(caller: Caller, engine_tenancy: Tenancy) -> None:
    job = caller.post(JOBS, json=PING).json
    finish(engine_tenancy, job["id"], "failed")
    again = caller.post(f"{JOBS}/{job['id']}/replay")
    twice = caller.post(f"{JOBS}/{job['id']}/replay")

    assert (again.status_code, again.json["replay_of"]) == (202, job["id"])
    assert twice.json["id"] == again.json["id"]


def test_a_live_job_cannot_be_replayed(caller: Caller) -> None:
    job = caller.post(JOBS, json=PING).json
    answer = caller.post(f"{JOBS}/{job['id']}/replay")

    assert (answer.status_code, answer.json["code"]) == (409, "illegal_transition")


def test_a_replay_needs_the_permission_of_the_kind(
    sign_in: Callable[..., Caller], pooled_tenant: UUID, engine_tenancy: Tenancy, web_tenancy: Tenancy
) -> None:
    payload = {"to": "a@example.com", "subject": "Hi", "text": "Hi"}
    new = NewJob(kind="notification.deliver", payload=payload, principal=system("test", pooled_tenant))
    job_id = submit(engine_tenancy, new).id
    finish(engine_tenancy, str(job_id), "failed")
    editor = sign_in(pooled_tenant, role="editor")
    web_tenancy.platform.fetch(
        "DELETE FROM role_permissions WHERE permission = 'notification:create'",
        {},
        {"nexus.tenant_id": str(pooled_tenant)},
    )

    assert editor.post(f"{JOBS}/{job_id}/replay").status_code == 403


def test_another_tenants_job_is_not_there(caller: Caller, stranger: Caller) -> None:
    here = caller.post(JOBS, json=PING).headers["Location"]

    for answer in (
        stranger.get(here),
        stranger.get(f"{here}?wait=1"),
        stranger.get(f"{here}/events"),
        stranger.post(f"{here}/cancel"),
        stranger.post(f"{here}/replay"),
    ):
        assert (answer.status_code, answer.json["code"]) == (404, "not_found")
    assert stranger.get(JOBS).json["items"] == []
    assert caller.get(here).json["state"] == "queued"


@pytest.mark.parametrize("job_id", ["1", "not-an-id", "01a1fce4-0000-7000-8000-000000000001"])
def test_an_id_that_names_no_job_is_404(caller: Caller, job_id: str) -> None:
    assert caller.get(f"{JOBS}/{job_id}").status_code == 404


def test_the_kinds_are_listed_with_the_schema_of_their_payload(caller: Caller) -> None:
    kinds = {each["name"]: each for each in caller.get(f"{JOBS}/kinds").json["items"]}

    assert kinds["system.ping"]["payload_schema"]["properties"]["message"]["maxLength"] == 1000
    assert kinds["completion.create"]["payload_schema"]["$defs"]["ChatMessage"]["required"] == ["content", "role"]
    assert kinds["notification.deliver"]["permission"] == "notification:create"
    assert "tenant.provision" not in kinds
