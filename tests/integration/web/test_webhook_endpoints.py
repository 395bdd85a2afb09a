"""Webhook endpoints and events over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
import standardwebhooks
from flask import Flask
from pytest_httpserver import HTTPServer

from bus.events import publish
from domain.events import EVENTS
from tenancy.access import Tenancy
from tenancy.scopes import tenant_scope
from tests.integration.web.callers import Caller
from tests.integration.web.engine import all_of, code_of, pointers_of, run_queued
from tests.relaying import relay_all

ENDPOINTS = "/api/v1/webhook-endpoints"
EVENTS_PATH = "/api/v1/events"
NEW = {"url": "https://example.com/hook", "event_types": ["job.*"], "description": "Mine"}


@pytest.fixture
def open_platform(app: Flask) -> Iterator[Tenancy]:
    """The API's platform, whose operator lets webhooks reach loopback."""
    door = app.extensions["nexus.tenancy"]
    before = door.settings
    door.settings = before.model_copy(update={"webhook_private_networks": "127.0.0.0/8"})
    yield door
    door.settings = before


@pytest.fixture
def sender(engine_tenancy: Tenancy, open_platform: Tenancy) -> Iterator[Tenancy]:
    """The workers' door under the same settings."""
    before = engine_tenancy.settings
    engine_tenancy.settings = open_platform.settings
    yield engine_tenancy
    engine_tenancy.settings = before


def made(caller: Caller, **fields: Any) -> dict[str, Any]:
    """A new endpoint, with its secret."""
    answer = caller.post(ENDPOINTS, json={**NEW, **fields})
    assert answer.status_code == 201, answer.json
    body: dict[str, Any] = answer.json
    return body


def tell(tenancy: Tenancy, tenant: UUID, name: str = "notification.sent") -> str:
    """Publish an event; returns its id."""
    with tenancy.platform.session(tenant_scope(tenant)) as session:
        return str(publish(session, tenancy.vault(tenant), name, {"n": 1}))


def test_an_endpoint_is_made_with_a_secret_that_is_shown_this_once(caller: Caller) -> None:
    answer = caller.post(ENDPOINTS, json=NEW)
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json["secret"].startswith("whsec_")
    here = answer.headers["Location"]
    shown = caller.get(here).json
    assert shown == {name: value for name, value in answer.json.items() if name != "secret"}
    assert (shown["enabled"], shown["url"], shown["event_types"]) == (True, NEW["url"], ["job.*"])
    assert [item["id"] for item in all_of(caller, ENDPOINTS)] == [shown["id"]]


def test_the_same_key_makes_one_endpoint_with_one_secret(caller: Caller) -> None:
    first, again = (caller.post(ENDPOINTS, json=NEW, headers={"Idempotency-Key": "once"}) for _ in range(2))
    assert again.json == first.json
    assert len(all_of(caller, ENDPOINTS)) == 1


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"url": "http://example.com/"}, "/url"),
        ({"url": "https://127.0.0.1/"}, "/url"),
        ({"url": "https://169.254.169.254/latest/meta-data"}, "/url"),
        ({"url": "https://u:p@example.com/"}, "/url"),
        ({"url": "https://localhost/"}, "/url"),
        ({"url": ""}, "/url"),
        ({"event_types": ["job.exploded"]}, "/event_types/0"),
        ({"event_types": "job.*"}, "/event_types"),
        ({"enabled": "yes"}, "/enabled"),
        ({"description": "x" * 501}, "/description"),
        ({"secret": "mine"}, "/secret"),
    ],
)
def test_an_invalid_endpoint_names_the_field_and_changes_nothing(
    caller: Caller, fields: dict[str, Any], pointer: str
) -> None:
    answer = caller.post(ENDPOINTS, json={**NEW, **fields})
    assert code_of(answer) == (422, "invalid_payload")
    assert pointer in pointers_of(answer)
    assert all_of(caller, ENDPOINTS) == []


def test_a_tenant_has_fifty_endpoints_at_most(caller: Caller) -> None:
    for _ in range(50):
        made(caller)
    assert code_of(caller.post(ENDPOINTS, json=NEW)) == (409, "conflict")


def test_an_endpoint_is_changed_by_who_has_read_it_and_deleted(caller: Caller) -> None:
    here = f"{ENDPOINTS}/{made(caller)['id']}"
    tag = caller.get(here).headers["ETag"]
    change = {**NEW, "event_types": ["*"], "enabled": False}
    assert code_of(caller.put(here, json=change)) == (428, "precondition_required")
    assert code_of(caller.put(here, json=change, headers={"If-Match": '"99"'})) == (412, "precondition_failed")
    refused = caller.put(here, json={**NEW, "url": "https://10.0.0.1/"}, headers={"If-Match": tag})
    assert code_of(refused) == (422, "invalid_payload")
    changed = caller.put(here, json=change, headers={"If-Match": tag})
    assert (changed.json["enabled"], changed.json["disabled_reason"]) == (False, "by_request")
    assert code_of(caller.put(here, json=NEW, headers={"If-Match": tag})) == (412, "precondition_failed")
    again = caller.put(here, json=NEW, headers={"If-Match": changed.headers["ETag"]})
    assert (again.json["enabled"], again.json["disabled_at"]) == (True, None)
    assert caller.delete(here).status_code == 204
    assert code_of(caller.get(here)) == (404, "not_found")
    assert code_of(caller.delete(here)) == (404, "not_found")


def test_a_rotation_shows_the_new_secret_and_until_when_the_old_one_signs(caller: Caller) -> None:
    first = made(caller)
    assert first["previous_secret_until"] is None
    rotated = caller.post(f"{ENDPOINTS}/{first['id']}/rotate-secret")
    assert rotated.status_code == 200
    assert rotated.json["secret"] not in {first["secret"], None}
    assert rotated.json["previous_secret_until"] is not None
    assert "secret" not in caller.get(f"{ENDPOINTS}/{first['id']}").json


def test_a_test_event_goes_to_that_endpoint_alone_and_its_answer_can_be_read(
    caller: Caller, sender: Tenancy, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/hook").respond_with_data("thanks")
    endpoint = made(caller, url=httpserver.url_for("/hook"), event_types=[])
    other = made(caller, url=httpserver.url_for("/hook"), event_types=["*"])
    headers = {"Idempotency-Key": "once"}
    accepted, again = (caller.post(f"{ENDPOINTS}/{endpoint['id']}/test", headers=headers) for _ in range(2))
    assert accepted.status_code == 202
    assert again.json == accepted.json
    assert (accepted.json["state"], accepted.json["event_type"]) == ("pending", "webhook.test")
    relay_all(sender)
    assert run_queued(sender, caller.tenant_id, "webhook.deliver") == 1
    delivery = caller.get(accepted.headers["Location"]).json
    assert (delivery["state"], delivery["attempts"], delivery["response_status"]) == ("delivered", 1, 200)
    assert [(one["number"], one["response_body"]) for one in delivery["history"]] == [(1, "thanks")]
    [(request, _)] = httpserver.log
    standardwebhooks.Webhook(endpoint["secret"]).verify(request.get_data(as_text=True), dict(request.headers))
    assert all_of(caller, f"{ENDPOINTS}/{other['id']}/deliveries") == []
    assert caller.get(f"{EVENTS_PATH}/{delivery['event_id']}").json["type"] == "webhook.test"


def test_a_delivery_is_repeated_with_the_same_event(caller: Caller, sender: Tenancy, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/hook").respond_with_data("")
    endpoint = made(caller, url=httpserver.url_for("/hook"), event_types=["notification.*"])
    event_id = tell(sender, caller.tenant_id)
    relay_all(sender)
    run_queued(sender, caller.tenant_id, "webhook.deliver")
    here = f"{ENDPOINTS}/{endpoint['id']}/deliveries"
    [first] = all_of(caller, here, event_id=event_id)
    again = caller.post(f"{here}/{first['id']}/redeliver")
    assert (again.status_code, again.json["redelivery_of"], again.json["event_id"]) == (202, first["id"], event_id)
    run_queued(sender, caller.tenant_id, "webhook.deliver")
    assert [item["state"] for item in all_of(caller, here)] == ["delivered", "delivered"]
    assert [request.headers["webhook-id"] for request, _ in httpserver.log] == [event_id, event_id]


def test_nothing_is_sent_to_a_disabled_endpoint(caller: Caller, engine_tenancy: Tenancy) -> None:
    endpoint = made(caller, event_types=["*"])
    tell(engine_tenancy, caller.tenant_id)
    relay_all(engine_tenancy)
    here = f"{ENDPOINTS}/{endpoint['id']}"
    [delivery] = all_of(caller, f"{here}/deliveries")
    caller.put(here, json={**NEW, "enabled": False}, headers={"If-Match": "*"})
    assert code_of(caller.post(f"{here}/test")) == (409, "illegal_transition")
    assert code_of(caller.post(f"{here}/deliveries/{delivery['id']}/redeliver")) == (409, "illegal_transition")


def test_a_delivery_whose_job_is_cancelled_says_so(caller: Caller, engine_tenancy: Tenancy) -> None:
    endpoint = made(caller, event_types=["*"])
    tell(engine_tenancy, caller.tenant_id)
    relay_all(engine_tenancy)
    [delivery] = all_of(caller, f"{ENDPOINTS}/{endpoint['id']}/deliveries")
    assert (delivery["state"], delivery["next_attempt_at"] is None) == ("pending", False)
    assert caller.post(f"/api/v1/jobs/{delivery['job_id']}/cancel").status_code == 200
    [delivery] = all_of(caller, f"{ENDPOINTS}/{endpoint['id']}/deliveries")
    assert (delivery["state"], delivery["next_attempt_at"]) == ("cancelled", None)


def test_a_job_names_the_endpoint_that_hears_of_its_end(
    caller: Caller, stranger: Caller, engine_tenancy: Tenancy
) -> None:
    endpoint, foreign = made(caller, event_types=[]), made(stranger, event_types=["*"])
    ping = {"kind": "system.ping", "payload": {}}
    refused = caller.post("/api/v1/jobs", json={**ping, "webhook_endpoint_id": foreign["id"]})
    assert code_of(refused) == (422, "invalid_payload")
    assert pointers_of(refused) == ["/webhook_endpoint_id"]
    named = {**ping, "webhook_endpoint_id": endpoint["id"]}
    job = caller.post("/api/v1/jobs", json=named, headers={"Idempotency-Key": "k"}).json
    assert caller.get(job["links"]["self"]).json["webhook_endpoint_id"] == endpoint["id"]
    other = caller.post("/api/v1/jobs", json=ping, headers={"Idempotency-Key": "k"})
    assert code_of(other) == (422, "idempotency_mismatch")
    caller.post("/api/v1/jobs", json=ping)
    assert run_queued(engine_tenancy, caller.tenant_id, "system.ping") == 2
    relay_all(engine_tenancy)
    [delivery] = all_of(caller, f"{ENDPOINTS}/{endpoint['id']}/deliveries")
    event = caller.get(f"{EVENTS_PATH}/{delivery['event_id']}").json
    assert (event["type"], event["data"]["job"]["id"]) == ("job.succeeded", job["id"])
    assert event["data"]["job"]["result"]["message"] == "pong"


def test_a_replay_and_a_replacement_keep_to_the_endpoint_that_was_named(caller: Caller) -> None:
    first, second = made(caller, event_types=[])["id"], made(caller, event_types=[])["id"]
    ping = {"kind": "system.ping", "payload": {}, "run_at": "2999-01-01T00:00:00Z", "unique_key": "only"}
    job = caller.post("/api/v1/jobs", json={**ping, "webhook_endpoint_id": first}).json
    replacing = {**ping, "on_conflict": "replace", "webhook_endpoint_id": second}
    replaced = caller.post("/api/v1/jobs", json=replacing).json
    assert (replaced["id"], replaced["webhook_endpoint_id"]) == (job["id"], second)
    caller.post(f"/api/v1/jobs/{job['id']}/cancel")
    assert caller.post(f"/api/v1/jobs/{job['id']}/replay").json["webhook_endpoint_id"] == second


def test_a_bulk_asks_once_which_endpoints_there_are(
    caller: Caller, stranger: Caller, app: Flask, count_trips: Callable[..., Any]
) -> None:
    mine = [made(caller, event_types=[])["id"] for _ in range(3)]
    foreign = made(stranger, event_types=["*"])["id"]
    items = [{"kind": "system.ping", "webhook_endpoint_id": each} for each in [*mine, foreign, None]]
    with count_trips(app.extensions["nexus.tenancy"].platform) as one:
        answer = caller.post("/api/v1/jobs/bulk", json={"items": items[:1]})
    assert answer.json["accepted"] == 1
    with count_trips(app.extensions["nexus.tenancy"].platform) as many:
        results = caller.post("/api/v1/jobs/bulk", json={"items": items * 10}).json["items"]
    assert [result["status"] for result in results] == [202, 202, 202, 422, 202] * 10
    assert results[3]["error"]["errors"][0]["pointer"] == "/webhook_endpoint_id"
    assert results[2]["job"]["webhook_endpoint_id"] == mine[2]
    assert many.count == one.count


def test_events_are_listed_in_pages_and_by_type(caller: Caller, engine_tenancy: Tenancy) -> None:
    told = [tell(engine_tenancy, caller.tenant_id) for _ in range(5)]
    search = tell(engine_tenancy, caller.tenant_id, "search.requested")
    assert [item["id"] for item in all_of(caller, EVENTS_PATH, limit="2")] == [search, *reversed(told)]
    assert [item["id"] for item in all_of(caller, EVENTS_PATH, sort="created_at", limit="2")] == [*told, search]
    assert [item["id"] for item in all_of(caller, EVENTS_PATH, type="search.requested")] == [search]
    shown = caller.get(f"{EVENTS_PATH}/{search}").json
    assert (shown["type"], shown["data"], shown["timestamp"][-1]) == ("search.requested", {"n": 1}, "Z")
    assert code_of(caller.get(f"{EVENTS_PATH}?type=nothing.such")) == (422, "invalid_payload")
    assert {item["name"] for item in caller.get(f"{EVENTS_PATH}/types").json["items"]} == set(EVENTS)


def test_another_tenants_endpoints_deliveries_and_events_are_not_there(
    caller: Caller, stranger: Caller, engine_tenancy: Tenancy
) -> None:
    endpoint, foreign = made(caller, event_types=["*"]), made(stranger, event_types=[])
    event_id = tell(engine_tenancy, caller.tenant_id)
    relay_all(engine_tenancy)
    here, theirs = (f"{ENDPOINTS}/{each['id']}" for each in (endpoint, foreign))
    [delivery] = all_of(caller, f"{here}/deliveries")
    before = caller.get(here).json
    for answer in (
        stranger.get(here),
        stranger.put(here, json=NEW, headers={"If-Match": "*"}),
        stranger.delete(here),
        stranger.post(f"{here}/rotate-secret"),
        stranger.post(f"{here}/test"),
        stranger.get(f"{here}/deliveries"),
        stranger.get(f"{here}/deliveries/{delivery['id']}"),
        stranger.get(f"{theirs}/deliveries/{delivery['id']}"),
        stranger.post(f"{here}/deliveries/{delivery['id']}/redeliver"),
        stranger.post(f"{theirs}/deliveries/{delivery['id']}/redeliver"),
        stranger.get(f"{EVENTS_PATH}/{event_id}"),
    ):
        assert code_of(answer) == (404, "not_found")
    assert all_of(stranger, EVENTS_PATH) == []
    assert [item["id"] for item in all_of(stranger, ENDPOINTS)] == [foreign["id"]]
    assert all_of(stranger, f"{theirs}/deliveries") == []
    assert caller.get(here).json == before
    assert all_of(caller, f"{here}/deliveries") == [delivery]


def test_a_viewer_reads_and_changes_nothing(
    caller: Caller, sign_in: Callable[..., Caller], pooled_tenant: UUID
) -> None:
    here = f"{ENDPOINTS}/{made(caller)['id']}"
    viewer = sign_in(pooled_tenant, role="viewer")
    for path in (ENDPOINTS, here, f"{here}/deliveries", EVENTS_PATH):
        assert viewer.get(path).status_code == 200
    for answer in (
        viewer.post(ENDPOINTS, json=NEW),
        viewer.put(here, json=NEW, headers={"If-Match": "*"}),
        viewer.delete(here),
        viewer.post(f"{here}/rotate-secret"),
        viewer.post(f"{here}/test"),
    ):
        assert code_of(answer) == (403, "permission_denied")
