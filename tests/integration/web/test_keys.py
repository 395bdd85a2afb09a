"""Rotating a tenant's keys, and master keys for operators, over HTTP; nothing of it shows a key."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from config.settings import Settings
from tenancy.access import Tenancy
from tests.integration.web.callers import Caller
from tests.integration.web.engine import code_of, program, run

ROTATE = "/api/v1/tenants/{}/rotate-keys"
KEYS = "/api/v1/admin/keys"


def test_a_tenants_keys_are_rotated_by_a_job(caller: Caller, engine_tenancy: Tenancy) -> None:
    old = caller.post("/api/v1/jobs", json={"kind": "system.ping", "payload": {"message": "old"}}).json
    answer = caller.post(ROTATE.format(caller.tenant_id))
    assert (answer.status_code, answer.json["kind"]) == (202, "tenant.rotate_keys")
    assert code_of(caller.post(ROTATE.format(caller.tenant_id))) == (409, "unique_key_taken")
    result = run(engine_tenancy, caller.tenant_id, UUID(answer.json["id"]))
    assert result["version"] == 2
    shown = caller.get(f"/api/v1/jobs/{answer.json['id']}").json
    assert (shown["state"], shown["result"]["version"]) == ("succeeded", 2)
    assert caller.get(f"/api/v1/jobs/{old['id']}").json["state"] == "queued"
    waiting = caller.get("/api/v1/jobs", query_string={"kind": "tenant.destroy_keys"}).json["items"]
    assert [job["state"] for job in waiting] == ["scheduled"]
    assert "tenant.key_rotated" in [entry["action"] for entry in caller.get("/api/v1/audit").json["items"]]


def test_a_repeated_request_rotates_once(caller: Caller) -> None:
    first, second = (
        caller.post(ROTATE.format(caller.tenant_id), headers={"Idempotency-Key": "r1"}).json["id"] for _ in range(2)
    )
    assert first == second


def test_only_who_may_change_a_tenant_rotates_its_keys(
    caller: Caller, stranger: Caller, sign_in: Callable[..., Caller], engine_tenancy: Tenancy, web_tenancy: Tenancy
) -> None:
    path = ROTATE.format(caller.tenant_id)
    assert code_of(stranger.post(path)) == (404, "not_found")
    assert code_of(sign_in(caller.tenant_id, role="editor").post(path)) == (403, "permission_denied")
    assert code_of(program(caller, web_tenancy, "tenant:read").post(path)) == (403, "permission_denied")
    assert len(engine_tenancy.platform.fetch(
        "SELECT 1 FROM tenant_keys WHERE tenant_id = %(id)s", {"id": caller.tenant_id}
    )) == 1  # fmt: skip


def test_master_keys_are_for_operators(caller: Caller) -> None:
    assert code_of(caller.get(KEYS)) == (403, "permission_denied")
    assert code_of(caller.post(f"{KEYS}/rewrap")) == (403, "permission_denied")


def test_an_operator_sees_which_master_keys_are_in_use_and_rewraps(
    operator: Caller, operator_tenant: UUID, engine_tenancy: Tenancy, settings: Settings
) -> None:
    active = settings.master_key_ring[0][0]
    answer = operator.post(f"{KEYS}/rewrap")
    assert (answer.status_code, answer.json["kind"]) == (202, "system.rewrap_keys")
    result = run(engine_tenancy, operator_tenant, UUID(answer.json["id"]))
    assert (result["active"], result["rewrapped"]) == (active, 0)
    (use,) = [item for item in operator.get(KEYS).json["items"] if item["id"] == active]
    told = [use[name] for name in ("active", "in_ring", "origin", "removable", "retired_at")]
    assert told == [True, True, True, False, None]
    assert use["data_keys"] > 0
    assert use["signing_keys"] > 0


def test_nothing_sealed_and_no_key_is_logged(
    caller: Caller, engine_tenancy: Tenancy, settings: Settings, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "sk-ant-a-very-secret-key-1234"
    config = caller.get("/api/v1/llm/config")
    shown = caller.put(
        "/api/v1/llm/config",
        json={"provider": "anthropic", "api_key": secret},
        headers={"If-Match": config.headers["ETag"]},
    )
    assert shown.status_code == 200
    assert secret not in shown.get_data(as_text=True)
    assert "1234" in shown.get_data(as_text=True)
    payload = {"to": "numbat@example.com", "subject": "Quokka", "text": "The wombat pays"}
    caller.post("/api/v1/jobs", json={"kind": "notification.deliver", "payload": payload})
    job = caller.post(ROTATE.format(caller.tenant_id)).json
    run(engine_tenancy, caller.tenant_id, UUID(job["id"]))
    engine_tenancy.directory.forget(caller.tenant_id)
    record = engine_tenancy.record(caller.tenant_id)
    logging.getLogger().info("%r %r %r", record, record.vault, engine_tenancy.ring)
    out, err = capfd.readouterr()
    everything = caplog.text + out + err
    keys = [*record.vault.keys.values(), *(key for _, key in settings.master_key_ring if key)]
    forms = [form for key in keys for form in (key.hex(), base64.b64encode(key).decode(), repr(key))]
    assert "TenantRecord" in everything
    assert [word for word in (secret, "Quokka", "wombat", record.dsn or "-", *forms) if word in everything] == []
