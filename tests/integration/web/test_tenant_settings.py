"""A tenant's settings and quotas, and external tenants as the API takes them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any
from uuid import UUID

import pytest

from config.settings import Settings
from domain.errors import Permanent
from domain.ids import new_id
from models.platform import Membership, User
from tenancy.access import Tenancy
from tenancy.database import QUOTA_EXCEEDED
from tenancy.life.archives import check_storage, put
from tenancy.scopes import tenant_scope, user_scope
from tests.integration.web.callers import Caller, access_token
from tests.integration.web.engine import code_of, pointers_of, run

DEFAULTS = {
    "locale": "en", "timezone": "UTC", "provider_fallback": True, "backups": True, "search_log": "full", "search_log_days": 30,
}  # fmt: skip


@pytest.fixture
def quotas(app: Any, web_tenancy: Tenancy, prepared: tuple[Settings, Any], caller: Caller) -> Callable[..., None]:
    """Sets the quotas of the caller's tenant, as an operator."""
    headers = {"Authorization": f"Bearer {access_token(app, web_tenancy, prepared[1].operator_owner_id)}"}
    path = f"/api/v1/admin/tenants/{caller.tenant_id}/quotas"

    def put(**bounds: int) -> None:
        etag = caller.client.get(path, headers=headers).headers["ETag"]
        answer = caller.client.put(path, json=bounds, headers={**headers, "If-Match": etag})
        assert answer.status_code == 200, answer.json

    return put


def test_settings_are_replaced_as_they_were_read(caller: Caller) -> None:
    path = f"/api/v1/tenants/{caller.tenant_id}/settings"
    read = caller.get(path)
    assert read.json == DEFAULTS
    wanted = {
        "locale": "pt-BR", "timezone": "America/Sao_Paulo", "provider_fallback": False, "backups": False,
        "search_log": "redacted", "search_log_days": 7,
    }  # fmt: skip
    answer = caller.put(path, json=wanted, headers={"If-Match": read.headers["ETag"]})
    assert (answer.status_code, answer.json) == (200, wanted)
    assert caller.get(path).json == wanted
    stale = caller.put(path, json={}, headers={"If-Match": read.headers["ETag"]})
    assert code_of(stale) == (412, "precondition_failed")
    assert code_of(caller.put(path, json={})) == (428, "precondition_required")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"locale": "english"}, "/locale"),
        ({"locale": ""}, "/locale"),
        ({"timezone": "Mars/Olympus"}, "/timezone"),
        ({"timezone": "../etc/passwd"}, "/timezone"),
        ({"provider_fallback": "yes"}, "/provider_fallback"),
        ({"search_log": "some"}, "/search_log"),
        ({"search_log_days": 0}, "/search_log_days"),
        ({"colour": "red"}, "/colour"),
    ],
)
def test_settings_that_mean_nothing_are_refused_and_change_nothing(caller: Caller, body: Any, pointer: str) -> None:
    path = f"/api/v1/tenants/{caller.tenant_id}/settings"
    answer = caller.put(path, json=body, headers={"If-Match": "*"})
    assert (answer.status_code, pointers_of(answer)) == (422, [pointer])
    assert caller.get(path).json == DEFAULTS


def test_the_last_job_of_the_day_is_taken_once_however_many_ask_at_once(
    caller: Caller, quotas: Callable[..., None]
) -> None:
    quotas(jobs_per_day=5)

    def submit(_: int) -> int:
        return int(caller.post("/api/v1/jobs", json={"kind": "system.ping"}).status_code)

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(submit, range(12)))
    assert sorted(answers) == [202] * 5 + [409] * 7
    refused = caller.post("/api/v1/jobs", json={"kind": "system.ping"})
    assert code_of(refused) == (409, "quota_exceeded")
    assert len(caller.get("/api/v1/jobs").json["items"]) == 5
    used = caller.get(f"/api/v1/tenants/{caller.tenant_id}/quotas").json
    assert (used["jobs_per_day"], used["used"]["jobs_per_day"]) == (5, 5)


def test_jobs_in_bulk_count_together_and_the_platforms_own_do_not(caller: Caller, quotas: Callable[..., None]) -> None:
    quotas(jobs_per_day=2)
    bulk = {"items": [{"kind": "system.ping"}] * 3}
    assert code_of(caller.post("/api/v1/jobs/bulk", json=bulk)) == (409, "quota_exceeded")
    assert caller.get("/api/v1/jobs").json["items"] == []
    for _ in range(3):
        assert caller.post(f"/api/v1/tenants/{caller.tenant_id}/export").status_code in {202, 409}
    assert caller.get(f"/api/v1/tenants/{caller.tenant_id}/quotas").json["used"]["jobs_per_day"] == 0


def test_keys_and_members_are_held_to_their_quota(
    caller: Caller, quotas: Callable[..., None], web_tenancy: Tenancy
) -> None:
    quotas(api_keys=1, members=2)
    body = {"name": "one", "scopes": ["job:read"]}
    made = caller.post("/api/v1/api-keys", json=body)
    assert made.status_code == 201
    assert code_of(caller.post("/api/v1/api-keys", json=body)) == (409, "quota_exceeded")
    caller.delete(f"/api/v1/api-keys/{made.json['id']}")
    assert caller.post("/api/v1/api-keys", json=body).status_code == 201

    def join(_: int) -> str:
        user_id = new_id()
        with web_tenancy.platform.session(user_scope(user_id)) as session:
            session.add(User(id=user_id, email=f"{user_id}@example.com", name="N", password_hash="none"))
        try:
            with web_tenancy.platform.session(tenant_scope(caller.tenant_id)) as session:
                session.add(Membership(tenant_id=caller.tenant_id, user_id=user_id))
        except Exception as error:  # noqa: BLE001 - whichever way it is refused
            return str(getattr(error, "code", error))
        return "joined"

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(join, range(4))) == ["joined"] + ["quota_exceeded"] * 3


def test_the_last_schedule_is_made_once_however_many_ask_at_once(
    caller: Caller, quotas: Callable[..., None], stranger: Caller
) -> None:
    quotas(schedules=2)

    def make(number: int) -> int:
        body = {"name": f"s{number}", "kind": "system.ping", "cron": "0 6 * * *"}
        return int(caller.post("/api/v1/schedules", json=body).status_code)

    with ThreadPoolExecutor(6) as threads:
        assert sorted(threads.map(make, range(6))) == [201] * 2 + [409] * 4
    refused = caller.post("/api/v1/schedules", json={"name": "more", "kind": "system.ping", "cron": "0 6 * * *"})
    assert code_of(refused) == (409, "quota_exceeded")
    kept = caller.get("/api/v1/schedules").json["items"]
    shown = caller.get(f"/api/v1/tenants/{caller.tenant_id}/quotas").json
    assert (len(kept), shown["schedules"], shown["used"]["schedules"]) == (2, 2, 2)
    etag = caller.get(f"/api/v1/schedules/{kept[0]['id']}").headers["ETag"]
    again = {"name": kept[0]["name"], "kind": "system.ping", "cron": "0 7 * * *"}
    changed = caller.put(f"/api/v1/schedules/{kept[0]['id']}", json=again, headers={"If-Match": etag})
    assert changed.status_code == 200, "what is there may be changed"
    body = {"name": "theirs", "kind": "system.ping", "cron": "0 6 * * *"}
    assert stranger.post("/api/v1/schedules", json=body).status_code == 201


def test_an_archive_beyond_the_storage_quota_is_refused(
    caller: Caller, quotas: Callable[..., None], engine_tenancy: Tenancy
) -> None:
    engine_tenancy.bucket(caller.tenant_id).put("big", b"x" * 10_000)
    quotas(storage_bytes=10_100)
    job = caller.post(f"/api/v1/tenants/{caller.tenant_id}/export").json
    with pytest.raises(Permanent) as raised:
        run(engine_tenancy, caller.tenant_id, UUID(job["id"]))
    assert raised.value.job_code == "quota_exceeded"
    assert caller.get(f"/api/v1/tenants/{caller.tenant_id}/quotas").json["used"]["storage_bytes"] < 10_100


def test_two_files_that_fit_one_by_one_do_not_both_get_in(
    caller: Caller, quotas: Callable[..., None], engine_tenancy: Tenancy
) -> None:
    """Both were looked at before either was put."""
    platform, bucket = engine_tenancy.platform, engine_tenancy.bucket(caller.tenant_id)
    held = sum(info.size for info in bucket.list())
    quotas(storage_bytes=held + 15_000)
    for key in ("one", "two"):
        check_storage(platform, caller.tenant_id, bucket, key, 10_000)
    put(platform, caller.tenant_id, bucket, "one", BytesIO(b"1" * 10_000), 10_000, "text/plain")
    with pytest.raises(Permanent) as refused:
        put(platform, caller.tenant_id, bucket, "two", BytesIO(b"2" * 10_000), 10_000, "text/plain")
    assert refused.value.job_code == "quota_exceeded"
    assert sum(info.size for info in bucket.list()) == held + 10_000
    bucket.put("two", b"2" * 10_000)  # who puts dies before the second look; the next attempt begins with the first
    with pytest.raises(Permanent):
        check_storage(platform, caller.tenant_id, bucket, "two", 10_000)
    assert sum(info.size for info in bucket.list()) == held + 10_000
    put(platform, caller.tenant_id, bucket, "one", BytesIO(b"3" * 10_000), 10_000, "text/plain")
    assert bucket.get("one") == b"3" * 10_000, "writing the same again takes no more room"


def test_the_triggers_and_the_database_room_know_the_same_state(engine_tenancy: Tenancy) -> None:
    found = engine_tenancy.platform.fetch("SELECT prosrc FROM pg_proc WHERE proname LIKE %(name)s", {"name": "%quota%"})
    assert found
    assert all(QUOTA_EXCEEDED in row["prosrc"] for row in found)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"tier": "external"}, "/database"),
        ({"tier": "pooled", "database": {"url": "postgresql://u:p@db.example.com/d"}}, "/database"),
        ({"tier": "external", "database": {"url": "postgresql://u:p@127.0.0.1/d"}}, "/database/url"),
        ({"tier": "external", "database": {"url": "postgresql://u:p@db.example.com/d?service=x"}}, "/database/url"),
        (
            {
                "tier": "external",
                "database": {"url": "postgresql://u:p@db.example.com/d"},
                "bucket": {"name": "acme", "endpoint": "http://169.254.169.254", "access_key": "k", "secret_key": "s"},
            },
            "/bucket/endpoint",
        ),
    ],
)
def test_an_external_tenant_that_leads_inside_is_refused_at_once(caller: Caller, body: Any, pointer: str) -> None:
    before = len(caller.get("/api/v1/tenants").json["items"])
    answer = caller.client.post(
        "/api/v1/tenants", json={"name": "Own", **body}, headers={"Authorization": caller.headers["Authorization"]}
    )
    assert (answer.status_code, pointers_of(answer)) == (422, [pointer])
    assert "u:p" not in answer.get_data(as_text=True)
    assert len(caller.get("/api/v1/tenants").json["items"]) == before
