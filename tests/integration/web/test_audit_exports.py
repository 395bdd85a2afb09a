"""The audit as a file: made by a job, downloaded, and verified where there is no platform."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from cli.main import main
from domain.audit import files
from domain.errors import Permanent
from tasks.audit import export_platform_audit
from tenancy.access import Tenancy
from tenancy.audit.sealing import seal_waiting
from tests.integration.web.callers import Caller
from tests.integration.web.engine import code_of, run

PATH, PLATFORM_PATH = "/api/v1/audit/exports", "/api/v1/admin/audit/exports"


@pytest.fixture
def exported(caller: Caller, engine_tenancy: Tenancy) -> tuple[str, dict[str, Any]]:
    """A tenant with changes in both databases, and its export: the job's id and result."""
    meter = {"code": "calls", "name": "Calls", "aggregation": "count"}
    assert caller.post("/api/v1/merchant/meters", json=meter).status_code == 201
    assert caller.post("/api/v1/roles", json={"name": "ops", "permissions": ["job:read"]}).status_code == 201
    job = caller.post(PATH).json
    while seal_waiting(engine_tenancy.platform):
        continue
    return job["id"], run(engine_tenancy, caller.tenant_id, UUID(job["id"]))


def test_the_file_holds_the_whole_chain_and_is_verified_by_itself(
    caller: Caller, exported: tuple[str, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    job_id, result = exported
    answer = caller.get(f"{PATH}/{job_id}")
    assert (answer.status_code, answer.mimetype) == (200, "application/x-ndjson")
    lines = answer.get_data(as_text=True).splitlines(keepends=True)
    reading = files.begin(lines[0])
    assert list(files.verify(reading, lines[1:])) == []
    assert (reading.checked, files.written(reading.last)) == (result["entries"], result["head"])
    actions = [json.loads(line)["action"] for line in lines[1:]]
    assert {"tenant.created", "meter.created", "role.created"} <= set(actions)
    assert len(answer.get_data()) == result["bytes"]

    monkeypatch.setenv("NEXUS_URL", "http://127.0.0.1:9")  # nobody is asked
    path = tmp_path / "audit.ndjson"
    path.write_bytes(answer.get_data())
    assert main(("audit", "verify", str(path), "--head", result["head"])) == 0
    assert f"verified {result['entries']} entries, head {result['head']}" in capsys.readouterr().out
    assert main(("audit", "verify", str(path), "--head", f"{reading.last.sequence}:{'0' * 64}", "--json")) == 1
    assert json.loads(capsys.readouterr().out)["faults"][0]["code"] == "rewritten"
    path.write_text("".join(line.replace("role.created", "role.deleted") for line in lines))
    assert main(("audit", "verify", str(path))) == 1
    assert "altered at" in capsys.readouterr().out
    path.write_text("no audit\n")
    assert main(("audit", "verify", str(path))) == 2
    assert "line 1" in capsys.readouterr().err


def test_an_export_is_its_tenants_alone_and_for_who_may_read_the_audit(
    caller: Caller, stranger: Caller, sign_in: Callable[..., Caller], exported: tuple[str, dict[str, Any]]
) -> None:
    job_id, _ = exported
    assert code_of(stranger.get(f"{PATH}/{job_id}")) == (404, "not_found")
    viewer = sign_in(caller.tenant_id, role="viewer")
    assert code_of(viewer.post(PATH)) == (403, "permission_denied")
    assert code_of(viewer.get(f"{PATH}/{job_id}")) == (403, "permission_denied")
    other = caller.post("/api/v1/jobs", json={"kind": "system.ping"}).json["id"]
    assert code_of(caller.get(f"{PATH}/{other}")) == (404, "not_found"), "a job of another kind"
    unfinished = caller.post(PATH).json["id"]
    assert code_of(caller.get(f"{PATH}/{unfinished}")) == (409, "conflict")


def test_an_export_beyond_the_storage_quota_is_refused(
    caller: Caller, operator: Caller, engine_tenancy: Tenancy
) -> None:
    path = f"/api/v1/admin/tenants/{caller.tenant_id}/quotas"
    assert operator.put(path, json={"storage_bytes": 10}, headers={"If-Match": "*"}).status_code == 200
    job = caller.post(PATH).json
    while seal_waiting(engine_tenancy.platform):
        continue
    with pytest.raises(Permanent) as refused:
        run(engine_tenancy, caller.tenant_id, UUID(job["id"]))
    assert refused.value.job_code == "quota_exceeded"


def test_no_archive_of_the_tenant_holds_an_export(
    caller: Caller, engine_tenancy: Tenancy, exported: tuple[str, dict[str, Any]]
) -> None:
    job = caller.post(f"/api/v1/tenants/{caller.tenant_id}/export").json
    assert run(engine_tenancy, caller.tenant_id, UUID(job["id"]))["objects"] == 0


def test_changes_of_what_is_sold_and_set_up_are_in_the_audit_with_their_actor(
    caller: Caller, engine_tenancy: Tenancy
) -> None:
    made = [
        caller.post("/api/v1/merchant/plans", json={"code": "p", "name": "P", "amount": 100, "currency": "EUR", "interval": "month"}),
        caller.post("/api/v1/merchant/customers", json={"name": "Ada", "email": "ada@example.com"}),
        caller.put("/api/v1/notifications/settings", json={}, headers={"If-Match": "*"}),
        caller.post("/api/v1/notifications/suppressions", json={"channel": "email", "address": "eve@example.com"}),
    ]  # fmt: skip
    assert [answer.status_code // 100 for answer in made] == [2] * 4, [answer.json for answer in made]
    found = caller.get("/api/v1/audit", query_string={"actor": f"user:{caller.user_id}", "limit": 100}).json["items"]
    actions = {entry["action"] for entry in found}
    assert {"plan.created", "customer.created", "notification_settings.created", "suppression.created"} <= actions
    plan = caller.get("/api/v1/audit", query_string={"action": "plan.created"}).json["items"]
    assert plan[0]["after"]["code"] == "p"


def test_operators_export_the_platforms_own_chain_through_their_tenant(
    operator: Caller, operator_tenant: UUID, engine_tenancy: Tenancy, client: FlaskClient
) -> None:
    assert (
        client.post("/api/v1/auth/login", json={"email": "nobody@example.com", "password": "wrong"}).status_code == 401
    )
    job = operator.post(PLATFORM_PATH).json
    while seal_waiting(engine_tenancy.platform):
        continue
    path = f"{PLATFORM_PATH}/{job['id']}"
    assert code_of(operator.get(path)) == (409, "conflict")
    result = run(engine_tenancy, operator_tenant, UUID(job["id"]))
    lines = operator.get(path).get_data(as_text=True).splitlines(keepends=True)
    reading = files.begin(lines[0])
    assert list(files.verify(reading, lines[1:])) == []
    assert (reading.checked, files.written(reading.last)) == (result["entries"], result["head"])
    assert {"login.failed"} <= {json.loads(line)["action"] for line in lines[1:]}


def test_nobody_else_exports_the_platforms_own_chain(
    caller: Caller, engine_tenancy: Tenancy, make_context: Callable[..., Any]
) -> None:
    assert code_of(caller.post(PLATFORM_PATH)) == (403, "permission_denied")
    asked = caller.post("/api/v1/jobs", json={"kind": "platform.audit_export", "payload": {"requested_by": "me"}})
    assert code_of(asked) == (422, "unknown_kind")
    context, payload = make_context("platform.audit_export", caller.tenant_id, {"requested_by": "me"})
    with pytest.raises(Permanent) as refused:
        export_platform_audit(context, payload)
    assert refused.value.job_code == "not_an_operator"
