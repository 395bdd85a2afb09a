"""Notifications: accepted as a job, delivered once, read back with what became of them."""

from __future__ import annotations

from uuid import UUID

import pytest

from domain.ids import new_id
from jobs.control import cancel
from tenancy.access import Tenancy
from tests.integration.web.callers import Caller
from tests.integration.web.engine import all_of, code_of, pointers_of, program, run

SEND = "/api/v1/notifications/send"
HISTORY = "/api/v1/notifications/history"
MESSAGE = {"to": "ada@example.com", "subject": "Your invoice", "text": "Hello Ada"}


def send(caller: Caller, **fields: str) -> UUID:
    """Send a message; returns its id."""
    return UUID(caller.post(SEND, json={**MESSAGE, **fields}).json["id"])


def deliver(caller: Caller, engine: Tenancy, **fields: str) -> UUID:
    """Send a message and do the worker's part."""
    job_id = send(caller, **fields)
    run(engine, caller.tenant_id, job_id)
    return job_id


def job_count(engine: Tenancy, tenant_id: UUID) -> int:
    """How many jobs the tenant has."""
    counted = engine.platform.fetch("SELECT count(*) AS n FROM jobs WHERE tenant_id = %(id)s", {"id": tenant_id})
    number: int = counted[0]["n"]
    return number


def test_sending_answers_with_the_job_that_delivers(caller: Caller) -> None:
    sent = caller.post(SEND, json=MESSAGE)
    assert sent.status_code == 202
    assert sent.json["kind"] == "notification.deliver"
    assert sent.json["state"] == "queued"
    assert sent.headers["Location"] == f"/api/v1/jobs/{sent.json['id']}"


def test_a_notification_can_be_read_before_a_worker_takes_it_up(caller: Caller) -> None:
    message_id = send(caller)
    read = caller.get(f"/api/v1/notifications/{message_id}")
    assert read.status_code == 200
    assert read.json["status"] == "queued"
    assert (read.json["to"], read.json["text"], read.json["attempts"]) == ("ada@example.com", "Hello Ada", [])


def test_a_notification_that_was_cancelled_before_it_began_was_not_sent(
    caller: Caller, engine_tenancy: Tenancy
) -> None:
    message_id = send(caller)
    cancel(engine_tenancy, caller.tenant_id, message_id)
    assert caller.get(f"/api/v1/notifications/{message_id}").json["status"] == "not_sent"


def test_a_delivered_notification_shows_its_attempts(caller: Caller, engine_tenancy: Tenancy) -> None:
    message_id = deliver(caller, engine_tenancy)
    read = caller.get(f"/api/v1/notifications/{message_id}").json
    assert read["status"] == "sent"
    assert read["id"] == str(message_id)
    assert read["sent_at"].endswith("Z")
    assert [(attempt["number"], attempt["state"]) for attempt in read["attempts"]] == [(1, "succeeded")]


def test_the_same_idempotency_key_sends_once(caller: Caller, engine_tenancy: Tenancy) -> None:
    key = {"Idempotency-Key": "invoice-1"}
    first = caller.post(SEND, json=MESSAGE, headers=key)
    again = caller.post(SEND, json=MESSAGE, headers=key)
    assert again.json["id"] == first.json["id"]
    assert job_count(engine_tenancy, caller.tenant_id) == 1
    other = caller.post(SEND, json={**MESSAGE, "text": "Other"}, headers=key)
    assert code_of(other) == (422, "idempotency_mismatch")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"to": "nobody"}, "/to"),
        ({"subject": "a\r\nBcc: x@example.com"}, "/subject"),
        ({"text": ""}, "/text"),
        ({"text": "a\0b"}, "/text"),
        ({"channel": "pigeon"}, "/channel"),
        ({"cc": "x@example.com"}, "/cc"),
    ],
)
def test_a_bad_message_is_refused_and_makes_no_job(
    caller: Caller, engine_tenancy: Tenancy, change: dict[str, str], pointer: str
) -> None:
    refused = caller.post(SEND, json={**MESSAGE, **change})
    assert code_of(refused) == (422, "invalid_payload")
    assert pointers_of(refused) == [pointer]
    assert job_count(engine_tenancy, caller.tenant_id) == 0


def test_the_history_comes_in_pages_newest_first(caller: Caller, engine_tenancy: Tenancy) -> None:
    sent = [str(deliver(caller, engine_tenancy, subject=f"Number {number}")) for number in range(5)]
    page = caller.get(HISTORY, query_string={"limit": "2"})
    assert [item["id"] for item in page.json["items"]] == sent[:2:-1]
    assert 'rel="next"' in page.headers["Link"]
    assert [item["id"] for item in all_of(caller, HISTORY, limit="2")] == sent[::-1]
    assert [item["id"] for item in all_of(caller, HISTORY, limit="2", sort="created_at")] == sent


def test_the_history_is_filtered_by_recipient_and_status(caller: Caller, engine_tenancy: Tenancy) -> None:
    deliver(caller, engine_tenancy)
    bob = str(deliver(caller, engine_tenancy, to="bob@example.com"))
    assert [item["id"] for item in all_of(caller, HISTORY, recipient="bob@example.com")] == [bob]
    assert len(all_of(caller, HISTORY, status="sent")) == 2
    assert all_of(caller, HISTORY, status="bounced") == []


@pytest.mark.parametrize(
    "query", [{"status": "lost"}, {"limit": "0"}, {"limit": "201"}, {"cursor": "AAAA"}, {"nothing": "1"}]
)
def test_a_bad_query_is_refused(caller: Caller, query: dict[str, str]) -> None:
    refused = caller.get(HISTORY, query_string=query)
    assert refused.status_code == 422
    assert pointers_of(refused) == [f"/query/{next(iter(query))}"]


def test_a_notification_that_is_not_there_is_404(caller: Caller) -> None:
    assert code_of(caller.get(f"/api/v1/notifications/{new_id()}")) == (404, "not_found")


def test_a_job_of_another_kind_is_no_notification(caller: Caller) -> None:
    ping = caller.post("/api/v1/jobs", json={"kind": "system.ping"}).json["id"]
    assert code_of(caller.get(f"/api/v1/notifications/{ping}")) == (404, "not_found")


@pytest.mark.parametrize("delivered", [False, True])
def test_another_tenants_notification_is_not_there(
    caller: Caller, stranger: Caller, engine_tenancy: Tenancy, delivered: bool
) -> None:
    message_id = deliver(caller, engine_tenancy) if delivered else send(caller)
    assert code_of(stranger.get(f"/api/v1/notifications/{message_id}")) == (404, "not_found")
    assert all_of(stranger, HISTORY) == []


def test_reading_and_sending_are_two_permissions(caller: Caller, web_tenancy: Tenancy) -> None:
    reader = program(caller, web_tenancy, "notification:read")
    assert code_of(reader.post(SEND, json=MESSAGE)) == (403, "permission_denied")
    assert reader.get(HISTORY).status_code == 200
    writer = program(caller, web_tenancy, "notification:create")
    assert code_of(writer.get(HISTORY)) == (403, "permission_denied")
