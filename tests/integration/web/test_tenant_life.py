"""A tenant's life over HTTP: every state and the way back, archives, and a tenant that is erased and comes back whole."""

from __future__ import annotations

import io
import json
import zipfile
from base64 import b64decode
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from config.settings import Settings
from domain.ids import new_id
from jobs.tenant_life import submit_erasures
from tenancy.access import Tenancy
from tenancy.database import tenant_scope
from tenancy.life.erase import platform_names
from tests.integration.web.callers import Caller, access_token
from tests.integration.web.engine import code_of, run, run_queued
from tests.tenants import objects_of, rows_of


def life(caller: Caller, tenancy: Tenancy, verb: str, **body: Any) -> Any:
    """Ask for a change of the caller's tenant and let it happen; returns the job's result."""
    path = f"/api/v1/tenants/{caller.tenant_id}"
    response = (
        caller.delete(path) if verb == "delete" else caller.post(f"{path}/{verb}", **({"json": body} if body else {}))
    )
    assert response.status_code == 202, response.json
    return run(tenancy, caller.tenant_id, UUID(response.json["id"]))


def state(caller: Caller) -> str:
    return str(caller.get(f"/api/v1/tenants/{caller.tenant_id}").json["state"])


def fill(caller: Caller, tenancy: Tenancy) -> None:
    """Rows in every corner, and objects."""
    for number in range(3):
        caller.put(
            f"/api/v1/search/documents/{number}", json={"title": f"Title {number}", "body": 'Ünïcödé \\ " and a\nbreak'}
        )
    caller.post("/api/v1/schedules", json={"name": "daily", "kind": "system.ping", "payload": {"message": "s3cret"},
                                           "cron": "0 6 * * *", "timezone": "Europe/Berlin"})  # fmt: skip
    caller.post("/api/v1/webhook-endpoints", json={"url": "https://example.com/hook", "event_types": ["job.*"]})
    for _ in range(2):
        caller.post("/api/v1/jobs", json={"kind": "system.ping"}, headers={"Idempotency-Key": str(new_id())})
    run_queued(tenancy, caller.tenant_id, "system.ping")
    with tenancy.session(caller.tenant_id) as session:
        session.connection().exec_driver_sql(
            "INSERT INTO customers (tenant_id, id, name, email) VALUES (%s, %s, 'Ada', 'ada@example.com')",
            (caller.tenant_id, new_id()),
        )
    tenancy.platform.fetch("UPDATE events SET relay_at = NULL WHERE tenant_id = %(id)s", {"id": caller.tenant_id})
    bucket = tenancy.bucket(caller.tenant_id)
    bucket.put("reports/ä.txt", "Größe".encode())
    bucket.put("empty", b"")


def erase(caller: Caller, tenancy: Tenancy, operator_tenant: UUID) -> Any:
    """Delete the tenant and let its grace be over."""
    life(caller, tenancy, "delete")
    tenancy.platform.fetch("UPDATE tenants SET erase_at = now() WHERE id = %(id)s", {"id": caller.tenant_id})
    submit_erasures(tenancy)
    job = tenancy.platform.fetch(
        "SELECT id FROM jobs WHERE kind = 'tenant.erase' AND unique_key = %(key)s", {"key": str(caller.tenant_id)}
    )
    return run(tenancy, operator_tenant, job[0]["id"])


@pytest.fixture
def operator_tenant(prepared: tuple[Settings, Any]) -> UUID:
    operator: UUID = prepared[1].operator_tenant_id
    return operator


@pytest.fixture
def operator(app: Any, web_tenancy: Tenancy, prepared: tuple[Settings, Any]) -> dict[str, str]:
    """Headers of the platform's administrator."""
    return {"Authorization": f"Bearer {access_token(app, web_tenancy, prepared[1].operator_owner_id)}"}


def test_a_suspended_tenant_is_read_but_not_worked_in_until_it_is_resumed(
    caller: Caller, engine_tenancy: Tenancy
) -> None:
    assert life(caller, engine_tenancy, "suspend")["state"] == "suspended"
    assert state(caller) == "suspended"
    assert code_of(caller.post("/api/v1/jobs", json={"kind": "system.ping"})) == (409, "tenant_unavailable")
    assert code_of(caller.post(f"/api/v1/tenants/{caller.tenant_id}/suspend")) == (409, "tenant_unavailable")
    life(caller, engine_tenancy, "resume")
    assert state(caller) == "active"
    assert caller.post("/api/v1/jobs", json={"kind": "system.ping"}).status_code == 202


@pytest.mark.parametrize("before", ["active", "suspended"])
def test_a_deleted_tenant_can_be_taken_back_to_what_it_was(
    caller: Caller, engine_tenancy: Tenancy, before: str
) -> None:
    if before == "suspended":
        life(caller, engine_tenancy, "suspend")
    life(caller, engine_tenancy, "delete")
    assert state(caller) == "deleting"
    assert submit_erasures(engine_tenancy) == 0, "its grace lasts"
    life(caller, engine_tenancy, "undelete")
    assert state(caller) == before


def test_the_operators_tenant_is_not_deleted(
    app: Any,
    web_tenancy: Tenancy,
    engine_tenancy: Tenancy,
    prepared: tuple[Settings, Any],
    sign_in: Callable[..., Caller],
) -> None:
    from domain.errors import Permanent
    from tenancy.holding import Hold
    from tenancy.life import states

    tenant_id = prepared[1].operator_tenant_id
    hold = Hold(engine_tenancy.settings, engine_tenancy, tenant_id)
    before = engine_tenancy.record(tenant_id).state
    with pytest.raises(Permanent):
        states.delete(hold, 0, "test")
    hold.close()
    assert engine_tenancy.record(tenant_id).state == before


@pytest.mark.parametrize("tier", ["pooled", "dedicated"])
def test_a_tenant_that_is_exported_erased_and_restored_is_equal_row_by_row(
    make_tenant: Callable[..., UUID],
    sign_in: Callable[..., Caller],
    user: UUID,
    engine_tenancy: Tenancy,
    operator_tenant: UUID,
    tier: str,
) -> None:
    caller = sign_in(make_tenant(tier), user)
    fill(caller, engine_tenancy)
    before, objects = rows_of(engine_tenancy, caller.tenant_id), objects_of(engine_tenancy, caller.tenant_id)
    archive = life(caller, engine_tenancy, "export")
    assert len(objects) == 2
    assert {"documents", "customers", "schedules", "jobs", "webhook_endpoints"} <= {
        name for name in before if before[name]
    }
    path = f"/api/v1/tenants/{caller.tenant_id}/archives/{archive['id']}/content"
    file = caller.get(path).data
    secret = caller.get("/api/v1/schedules").json["items"][0]["id"]
    erase(caller, engine_tenancy, operator_tenant)
    assert caller.get(f"/api/v1/tenants/{caller.tenant_id}").status_code == 404

    anew = sign_in(make_tenant(tier, "Again"), user)
    brought = anew.post(f"/api/v1/tenants/{anew.tenant_id}/archives", data=file, content_type="application/zip")
    assert brought.status_code == 201, brought.json
    life(anew, engine_tenancy, "restore", archive_id=brought.json["id"])
    after = rows_of(engine_tenancy, anew.tenant_id)
    assert set(before["events"]) <= set(after["events"]), "and one that tells of the restore"
    own = {"roles", "role_permissions", "memberships", "membership_roles", "events"}
    assert {name: after[name] for name in after if name not in own} == {
        name: before[name] for name in before if name not in own
    }
    assert objects_of(engine_tenancy, anew.tenant_id) == objects
    assert anew.get(f"/api/v1/schedules/{secret}").json["payload"] == {"message": "s3cret", "seconds": 0.0}
    assert state(anew) == "active"


def test_an_archive_tells_the_data_and_no_secret(caller: Caller, engine_tenancy: Tenancy) -> None:
    fill(caller, engine_tenancy)
    archive = life(caller, engine_tenancy, "export")
    response = caller.get(f"/api/v1/tenants/{caller.tenant_id}/archives/{archive['id']}/content")
    assert (response.status_code, response.mimetype) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(response.data)) as opened:
        everything = b"".join(opened.read(name) for name in opened.namelist())
        documents = [json.loads(line)["row"] for line in opened.read("tenant/documents.ndjson").splitlines()]
    assert {each["title"] for each in documents} == {"Title 0", "Title 1", "Title 2"}
    assert b"s3cret" not in everything
    assert b"whsec" not in everything


def test_an_erased_tenant_leaves_nothing_but_a_certificate_that_can_be_verified(
    make_tenant: Callable[..., UUID],
    sign_in: Callable[..., Caller],
    user: UUID,
    engine_tenancy: Tenancy,
    operator_tenant: UUID,
    operator: dict[str, str],
) -> None:
    caller = sign_in(make_tenant("pooled"), user)
    fill(caller, engine_tenancy)
    result = erase(caller, engine_tenancy, operator_tenant)
    left = {
        name: engine_tenancy.platform.fetch(f"SELECT 1 FROM {name} WHERE tenant_id = %(id)s", {"id": caller.tenant_id})  # type: ignore[arg-type]
        for name in [*platform_names(), "tenant_keys"]
    }
    assert {name: rows for name, rows in left.items() if rows} == {}
    certificate = caller.client.get(
        f"/api/v1/admin/erasure-certificates/{result['certificate_id']}", headers=operator
    ).json
    key = Ed25519PublicKey.from_public_bytes(b64decode(certificate["public_key"]))
    key.verify(b64decode(certificate["signature"]), certificate["statement"].encode())
    told = json.loads(certificate["statement"])
    assert told["tenant_id"] == str(caller.tenant_id)
    assert told["destroyed"]["database"]["documents"] == 3
    assert told["destroyed"]["objects"]["objects"] == 3
    assert told["destroyed"]["platform"]["schedules"] == 1
    assert told["asked_by"] == "system:test"


def test_a_copy_beside_its_living_original_has_ids_of_its_own(
    make_tenant: Callable[..., UUID], sign_in: Callable[..., Caller], user: UUID, engine_tenancy: Tenancy
) -> None:
    caller, beside = sign_in(make_tenant("pooled"), user), sign_in(make_tenant("pooled", "Copy"), user)
    fill(caller, engine_tenancy)
    archive = life(caller, engine_tenancy, "export")
    before = rows_of(engine_tenancy, caller.tenant_id)
    before.pop("events")
    file = caller.get(f"/api/v1/tenants/{caller.tenant_id}/archives/{archive['id']}/content").data
    beside.post(f"/api/v1/tenants/{beside.tenant_id}/archives", data=file, content_type="application/zip")
    assert life(beside, engine_tenancy, "restore", archive_id=archive["id"])["is_copy"]
    after = rows_of(engine_tenancy, beside.tenant_id)
    after.pop("events")  # one more tells of the restore
    assert {name: len(rows) for name, rows in after.items()} == {name: len(rows) for name, rows in before.items()}
    ids = [{json.loads(line)["id"] for line in rows["jobs"]} for rows in (before, after)]
    assert ids[0].isdisjoint(ids[1])
    untouched = rows_of(engine_tenancy, caller.tenant_id)
    assert {**untouched, "events": None} == {**before, "events": None}
    assert [job["state"] for job in beside.get("/api/v1/jobs?kind=system.ping").json["items"]] == ["succeeded"] * 2


def test_an_archive_that_was_changed_is_refused_and_changes_nothing(caller: Caller, engine_tenancy: Tenancy) -> None:
    fill(caller, engine_tenancy)
    archive = life(caller, engine_tenancy, "export")
    path = f"/api/v1/tenants/{caller.tenant_id}/archives"
    file = bytearray(caller.get(f"{path}/{archive['id']}/content").data)
    caller.delete(f"{path}/{archive['id']}")
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(bytes(file))) as opened, zipfile.ZipFile(out, "w") as altered:
        for name in opened.namelist():
            altered.writestr(name, opened.read(name).replace(b"Title 1", b"Title 9"))
    for body, code in (
        (out.getvalue(), "archive_damaged"),
        (bytes(file[:-100]), "archive_damaged"),
        (b"no", "archive_damaged"),
    ):
        answer = caller.post(path, data=body, content_type="application/zip")
        assert answer.status_code == 422
        assert answer.json["errors"][0]["code"] == code
    assert caller.get(path).json["items"] == []


def test_a_stranger_cannot_restore_what_others_owned(caller: Caller, stranger: Caller, engine_tenancy: Tenancy) -> None:
    archive = life(caller, engine_tenancy, "export")
    file = caller.get(f"/api/v1/tenants/{caller.tenant_id}/archives/{archive['id']}/content").data
    answer = stranger.post(f"/api/v1/tenants/{stranger.tenant_id}/archives", data=file, content_type="application/zip")
    assert code_of(answer) == (403, "permission_denied")
    assert stranger.get(f"/api/v1/tenants/{caller.tenant_id}/archives/{archive['id']}").status_code == 404


def test_a_pooled_tenant_moves_into_a_database_of_its_own_with_every_row(
    caller: Caller, engine_tenancy: Tenancy
) -> None:
    fill(caller, engine_tenancy)
    before = rows_of(engine_tenancy, caller.tenant_id)
    before.pop("events")
    old = engine_tenancy.record(caller.tenant_id)
    life(caller, engine_tenancy, "change-tier", tier="dedicated")
    assert (engine_tenancy.record(caller.tenant_id).tier, state(caller)) == ("dedicated", "active")
    after = rows_of(engine_tenancy, caller.tenant_id)
    after.pop("events")  # one more tells of the move
    assert after == before
    with engine_tenancy.database(old) as pool, pool.session(tenant_scope(caller.tenant_id)) as session:
        assert session.connection().exec_driver_sql("SELECT count(*) FROM documents").scalar() == 0
    assert caller.get("/api/v1/search/documents/0").json["title"] == "Title 0"
    again = caller.post(f"/api/v1/tenants/{caller.tenant_id}/change-tier", json={"tier": "dedicated"})
    assert again.status_code == 202, "and the job says that it is dedicated already"


def test_a_viewer_changes_nothing_of_a_tenants_life(sign_in: Callable[..., Caller], pooled_tenant: UUID) -> None:
    viewer = sign_in(pooled_tenant, role="viewer")
    path = f"/api/v1/tenants/{pooled_tenant}"
    answers = [viewer.post(f"{path}/{verb}") for verb in ("suspend", "export", "backup")]
    answers += [viewer.delete(path), viewer.get(f"{path}/archives")]
    assert [code_of(answer) for answer in answers] == [(403, "permission_denied")] * 5
