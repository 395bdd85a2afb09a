"""The audit over HTTP: who changed what, filters, verification, downloads, and who may read which chain."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient

from domain.audit.entries import PLATFORM
from domain.identity.passwords import hash_password
from domain.ids import new_id
from tenancy.access import Tenancy
from tenancy.audit.sealing import seal_waiting
from tests.integration.web.callers import Caller

PATH = "/api/v1/audit"
ADMIN = "/api/v1/admin/audit"
PASSWORD = "correct horse battery"

SECRETS = ("nxk_", "whsec_", "sk-very-secret", PASSWORD)


@pytest.fixture
def operator(sign_in: Callable[..., Caller], pooled_tenant: UUID, user: UUID, web_tenancy: Tenancy) -> Caller:
    """An operator of the platform, with a tenant of their own selected."""
    web_tenancy.platform.fetch("UPDATE users SET is_operator = true WHERE id = %(id)s", {"id": user})
    return sign_in(pooled_tenant, user)


@pytest.fixture
def seal(engine_tenancy: Tenancy) -> Callable[[], None]:
    """What the leader does twice a second."""

    def run() -> None:
        while seal_waiting(engine_tenancy.platform):
            pass

    return run


def entries(caller: Caller, path: str = PATH, **query: Any) -> list[dict[str, Any]]:
    response = caller.get(path, query_string={"sort": "created_at", "limit": 200, **query})
    assert response.status_code == 200, response.text
    return list(response.get_json()["items"])


def change_everything(caller: Caller) -> None:
    """One change of each sort that a tenant's own people make."""
    key = caller.post("/api/v1/api-keys", json={"name": "bot", "scopes": ["job:read"]}).get_json()
    caller.delete(f"/api/v1/api-keys/{key['id']}")
    schedule = caller.post(
        "/api/v1/schedules",
        json={"name": "tick", "kind": "system.ping", "cron": "@daily", "payload": {"message": "sk-very-secret"}},
    )
    where = f"/api/v1/schedules/{schedule.get_json()['id']}"
    caller.put(where, json={"name": "tock", "kind": "system.ping", "cron": "@daily"}, headers={"If-Match": "*"})
    caller.post(f"{where}/pause")
    caller.post(f"{where}/resume")
    caller.delete(where)
    caller.put(
        "/api/v1/llm/config", json={"provider": "openai", "api_key": "sk-very-secret"}, headers={"If-Match": "*"}
    )
    tenant = f"/api/v1/tenants/{caller.tenant_id}"
    assert caller.put(tenant, json={"name": "Renamed"}, headers={"If-Match": "*"}).status_code == 200
    job = caller.post("/api/v1/jobs", json={"kind": "system.ping", "payload": {"message": "x"}}).get_json()
    assert caller.post(f"/api/v1/jobs/{job['id']}/cancel").status_code == 200
    assert caller.post("/api/v1/jobs/replay", json={"filter": {"state": "cancelled"}}).status_code == 200
    hook = {"url": "https://hooks.example.com/in", "event_types": ["job.*"]}
    made = caller.post("/api/v1/webhook-endpoints", json=hook)
    assert made.status_code == 201
    where = f"/api/v1/webhook-endpoints/{made.get_json()['id']}"
    caller.put(where, json={**hook, "event_types": ["*"]}, headers={"If-Match": "*"})
    caller.post(f"{where}/rotate-secret")
    assert caller.delete(where).status_code == 204


CHANGES = [
    "tenant.created", "api_key.created", "api_key.revoked", "schedule.created", "schedule.updated", "schedule.paused",
    "schedule.resumed", "schedule.deleted", "llm_config.updated", "tenant.updated", "job.cancelled", "job.bulk_replayed",
    "webhook_endpoint.created", "webhook_endpoint.updated", "webhook_endpoint.secret_rotated", "webhook_endpoint.deleted",
]  # fmt: skip


def test_every_change_is_noted_with_who_when_and_what(caller: Caller) -> None:
    change_everything(caller)
    found = entries(caller)
    assert [entry["action"] for entry in found] == CHANGES
    for entry in found[1:]:
        assert entry["actor"] == f"user:{caller.user_id}"
        assert entry["user_id"] == str(caller.user_id)
        assert entry["request_id"]
        assert entry["address"] == "127.0.0.1"
    by_action = {entry["action"]: entry for entry in found}
    assert by_action["tenant.updated"]["before"] == {"name": "Acme"}
    assert by_action["tenant.updated"]["after"] == {"name": "Renamed"}
    assert by_action["schedule.updated"]["before"] == {"name": "tick"}
    assert by_action["schedule.updated"]["after"] == {"name": "tock"}
    assert by_action["api_key.revoked"]["before"] == {"name": "bot", "scopes": ["job:read"]}
    assert by_action["llm_config.updated"]["after"] == {"provider": "openai", "key_replaced": True}
    assert by_action["webhook_endpoint.updated"]["after"] == {"event_types": ["*"]}


def test_no_secret_stands_in_the_audit(caller: Caller, operator: Caller) -> None:
    change_everything(caller)
    shown = json.dumps(entries(caller)) + json.dumps(entries(operator, ADMIN))
    assert [secret for secret in SECRETS if secret in shown] == []


def test_reading_is_not_noted_and_a_refused_change_neither(caller: Caller, sign_in: Callable[..., Caller]) -> None:
    before = len(entries(caller))
    caller.get("/api/v1/schedules")
    viewer = sign_in(caller.tenant_id)
    assert viewer.post("/api/v1/api-keys", json={"name": "x", "scopes": ["job:read"]}).status_code == 403
    assert caller.delete(f"/api/v1/api-keys/{new_id()}").status_code == 404
    assert len(entries(caller)) == before


def test_entries_are_found_by_actor_action_resource_and_time(caller: Caller) -> None:
    change_everything(caller)
    revoked = entries(caller, action="api_key.revoked")
    assert [entry["action"] for entry in revoked] == ["api_key.revoked"]
    same = entries(caller, resource=revoked[0]["resource"])
    assert [entry["action"] for entry in same] == ["api_key.created", "api_key.revoked"]
    assert len(entries(caller, actor=f"user:{caller.user_id}")) == len(CHANGES) - 1
    moment = revoked[0]["occurred_at"]
    assert [e["action"] for e in entries(caller, **{"occurred_at[lte]": moment})] == CHANGES[:3]
    assert [e["action"] for e in entries(caller, **{"occurred_at[gte]": moment})] == CHANGES[2:]
    assert caller.get(PATH, query_string={"actor_id": "x"}).status_code == 422


def test_pages_hold_each_entry_once(caller: Caller) -> None:
    change_everything(caller)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query = {"limit": 5, **({} if cursor is None else {"cursor": cursor})}
        body = caller.get(PATH, query_string=query).get_json()
        seen += [item["action"] for item in body["items"]]
        cursor = body["next_cursor"]
        if cursor is None:
            break
    assert seen == CHANGES[::-1]


def test_a_chain_is_verified_over_http(caller: Caller, seal: Callable[[], None]) -> None:
    change_everything(caller)
    waiting = caller.get(f"{PATH}/verify").get_json()
    assert (waiting["ok"], waiting["checked"], waiting["waiting"]) == (True, 0, len(CHANGES))
    seal()
    first = caller.get(f"{PATH}/verify", query_string={"limit": 10}).get_json()
    assert (first["ok"], first["checked"], first["next"]) == (True, 10, 10)
    second = caller.get(f"{PATH}/verify", query_string={"after": 10, "head": first["head"]}).get_json()
    assert (second["ok"], second["checked"], second["next"], second["waiting"]) == (True, len(CHANGES) - 10, None, 0)
    forged = f"{first['head'].partition(':')[0]}:{'0' * 64}"
    refuted = caller.get(f"{PATH}/verify", query_string={"head": forged}).get_json()
    assert (refuted["ok"], [fault["code"] for fault in refuted["faults"]]) == (False, ["rewritten"])
    sealed = entries(caller)
    assert [entry["sequence"] for entry in sealed] == list(range(1, len(CHANGES) + 1))
    assert second["head"] == f"{len(CHANGES)}:{sealed[-1]['hash']}"


def test_the_audit_is_downloaded_as_json_lines_and_as_csv(caller: Caller) -> None:
    assert caller.put(
        f"/api/v1/tenants/{caller.tenant_id}", json={"name": "=cmd()"}, headers={"If-Match": "*"}
    ).status_code == 200  # fmt: skip
    lines = caller.get(f"{PATH}/export")
    assert lines.mimetype == "application/x-ndjson"
    assert [json.loads(line)["action"] for line in lines.text.splitlines()] == ["tenant.created", "tenant.updated"]
    table = caller.get(f"{PATH}/export", query_string={"format": "csv", "action": "tenant.updated"})
    assert table.mimetype == "text/csv"
    heading, row = csv.reader(io.StringIO(table.text))
    found = dict(zip(heading, row, strict=True))
    assert found["action"] == "tenant.updated"
    assert json.loads(found["after"]) == {"name": "=cmd()"}
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row)
    assert caller.get(f"{PATH}/export", query_string={"format": "xml"}).status_code == 422


@pytest.mark.parametrize("path", ["", "/verify", "/export"])
def test_only_who_may_read_the_audit_reads_it(caller: Caller, sign_in: Callable[..., Caller], path: str) -> None:
    for role in ("viewer", "editor"):
        response = sign_in(caller.tenant_id, role=role).get(PATH + path)
        assert (response.status_code, response.get_json()["code"]) == (403, "permission_denied")
    assert sign_in(caller.tenant_id, role="admin").get(PATH + path).status_code == 200
    assert caller.get(ADMIN + path).status_code == 403


def test_another_tenants_entries_are_not_there(caller: Caller, stranger: Caller) -> None:
    change_everything(caller)
    assert [entry["resource"] for entry in entries(stranger)] == [f"tenant:{stranger.tenant_id}"]
    response = stranger.get(PATH, headers={"X-Project-ID": str(caller.tenant_id)})
    assert response.status_code == 404


def test_an_api_key_is_named_and_whom_it_acts_for(caller: Caller) -> None:
    made = caller.post("/api/v1/api-keys", json={"name": "bot", "scopes": ["api_key:delete", "audit:read"]}).get_json()
    bot = Caller(caller.client, caller.tenant_id, caller.user_id, {"Authorization": f"Bearer {made['key']}"})
    assert bot.delete(f"/api/v1/api-keys/{made['id']}").status_code == 204
    revoked = entries(caller, action="api_key.revoked")[0]
    assert (revoked["actor"], revoked["user_id"]) == (f"key:{made['id']}", str(caller.user_id))


def test_logins_are_noted_also_those_that_fail(client: FlaskClient, operator: Caller, web_tenancy: Tenancy) -> None:
    person, email = new_id(), f"person-{new_id()}@example.com"
    web_tenancy.platform.fetch(
        "INSERT INTO users (id, email, password_hash) VALUES (%(id)s, %(email)s, %(hash)s)",
        {"id": person, "email": email, "hash": hash_password(PASSWORD)},
    )
    login = "/api/v1/auth/login"
    assert client.post(login, json={"email": email, "password": "wrong horse battery"}).status_code == 401
    assert client.post(login, json={"email": "not an address", "password": PASSWORD}).status_code == 401
    tokens = client.post(login, json={"email": email, "password": PASSWORD}).get_json()
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert client.post("/api/v1/auth/logout", headers=bearer).status_code == 204
    found = entries(operator, ADMIN, resource=f"user:{person}")
    assert [(entry["action"], entry["actor"]) for entry in found] == [
        ("login.failed", "anonymous"),
        ("login.succeeded", "anonymous"),
    ]
    assert found[0]["after"] == {"email": email}
    ended = entries(operator, ADMIN, resource=f"session:{tokens['session_id']}")
    assert [(entry["action"], entry["actor"]) for entry in ended] == [("session.revoked", f"user:{person}")]
    unknown = entries(operator, ADMIN, resource="user:unknown")
    assert {"email": None} in [entry["after"] for entry in unknown]


def test_what_operators_do_is_in_the_platforms_chain(
    operator: Caller, stranger: Caller, seal: Callable[[], None], web_tenancy: Tenancy
) -> None:
    tenant = f"/api/v1/admin/tenants/{stranger.tenant_id}"
    assert operator.put(f"{tenant}/limits", json={"weight": 2.5}, headers={"If-Match": "*"}).status_code == 200
    assert operator.post(f"{tenant}/pause", json={"reason": "runs wild"}).status_code == 200
    assert operator.post(f"{tenant}/resume").status_code == 204
    found = entries(operator, ADMIN, resource=f"tenant:{stranger.tenant_id}")
    assert [entry["action"] for entry in found] == ["tenant.limited", "tenant.paused", "tenant.resumed"]
    assert found[0]["after"]["weight"] == 2.5
    assert found[1]["after"] == {"reason": "runs wild", "drain": False}
    assert {entry["actor"] for entry in found} == {f"user:{operator.user_id}"}
    seal()
    assert operator.get(f"{ADMIN}/verify", query_string={"limit": 5000}).get_json()["ok"]
    assert operator.get(f"{ADMIN}/export").status_code == 200
    assert [entry["action"] for entry in entries(stranger)] == ["tenant.created"]


def test_the_platforms_chain_is_no_tenant(app: Flask, operator: Caller) -> None:
    response = operator.get(PATH, headers={"X-Project-ID": str(PLATFORM)})
    assert response.status_code == 404
