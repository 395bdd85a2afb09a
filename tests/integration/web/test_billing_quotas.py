"""What a plan allows: held where jobs are made, told when it is used up, and lifted by another plan."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from bus.events import page
from domain.errors import Permanent
from domain.identity.principals import Principal
from models.tenant import Subscription
from tasks.notifications.sending import send
from tenancy.access import Tenancy
from tests.conftest import claim_context
from tests.integration.web.books import BILLING, operate, subscribe
from tests.integration.web.callers import Caller
from tests.integration.web.engine import all_of, code_of, run_queued

JOBS = "/api/v1/jobs"
PING = {"kind": "system.ping"}
MESSAGE = {"to": "ada@example.com", "subject": "Your invoice", "text": "It is ready."}
SPENT = (402, "plan_quota_exceeded")

Limited = Callable[..., dict[str, Any]]


def refresh(engine: Tenancy, operator_tenant: UUID) -> None:
    operate(engine, operator_tenant, "usage.collect", {})


def allowed(caller: Caller) -> Any:
    answer = caller.get(f"{BILLING}/entitlements")
    assert answer.status_code == 200, answer.json
    return answer.json


def told(engine: Tenancy, tenant_id: UUID) -> list[Any]:
    found = page(engine, tenant_id, name="quota.reached", after=None, limit=100, newest_first=False)
    return [event.data["quota"] for event in found]


@pytest.fixture
def limited(plan: Callable[..., UUID], operator_tenant: UUID, engine_tenancy: Tenancy) -> Limited:
    """Subscribes a caller to a plan with these quotas, and has them hold."""

    def make(caller: Caller, quotas: dict[str, Any], **fields: Any) -> dict[str, Any]:
        made: dict[str, Any] = subscribe(caller, plan(quotas=quotas, **fields))
        refresh(engine_tenancy, operator_tenant)
        return made

    return make


def test_jobs_beyond_a_hard_quota_are_refused_and_not_made(caller: Caller, limited: Limited) -> None:
    limited(caller, {"jobs": {"limit": 2, "hard": True}})
    for _ in range(2):
        assert caller.post(JOBS, json=PING).status_code == 202
    assert code_of(caller.post(JOBS, json=PING)) == SPENT
    assert code_of(caller.post(f"{JOBS}/bulk", json={"items": [PING, PING]})) == SPENT
    assert len([job for job in all_of(caller, JOBS) if job["kind"] == "system.ping"]) == 2
    quota = allowed(caller)["quotas"]["jobs"]
    assert quota == {"limit": 2, "hard": True, "used": "2", "exceeded": False}


def test_a_repeated_submission_counts_once_and_is_answered_when_the_quota_is_used_up(
    caller: Caller, limited: Limited
) -> None:
    limited(caller, {"jobs": {"limit": 1, "hard": True}})
    first = caller.post(JOBS, json=PING, headers={"Idempotency-Key": "once"})
    again = caller.post(JOBS, json=PING, headers={"Idempotency-Key": "once"})
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json["id"] == first.json["id"]


def test_requests_at_the_same_time_do_not_share_the_last_place(caller: Caller, limited: Limited) -> None:
    limited(caller, {"jobs": {"limit": 5, "hard": True}})

    def submit(_: int) -> int:
        return caller.client.application.test_client().post(JOBS, json=PING, headers=caller.headers).status_code

    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(submit, range(16)))
    assert sorted(statuses) == [202] * 5 + [402] * 11


def test_messages_completions_and_searches_have_quotas_of_their_own(caller: Caller, limited: Limited) -> None:
    bound = {"limit": 1, "hard": True}
    limited(caller, {"messages": bound, "completions": bound, "searches": bound})
    asked = {"messages": [{"role": "user", "content": "Say hello."}]}
    for path, body, headers in (
        ("/api/v1/notifications/send", MESSAGE, {}),
        ("/api/v1/llm/completions", asked, {}),
        ("/api/v1/search", {"q": "travel"}, {"Prefer": "respond-async"}),
    ):
        assert caller.post(path, json=body, headers=headers).status_code == 202, path
        assert code_of(caller.post(path, json=body, headers=headers)) == SPENT, path
    assert caller.post(JOBS, json=PING).status_code == 202, "what has no quota is not held"


def test_a_broadcast_that_would_go_beyond_is_refused_as_a_whole(
    caller: Caller, limited: Limited, engine_tenancy: Tenancy
) -> None:
    limited(caller, {"messages": {"limit": 3, "hard": True}})
    for number in range(2):
        body = {"email": f"r{number}@example.com"}
        assert caller.put(f"/api/v1/notifications/recipients/r{number}", json=body).status_code in {200, 201}
    news = {"name": "News", "subject": "News", "text": "It is here.", "audience": {}, "category": "news"}
    first = caller.post("/api/v1/notifications/broadcast", json=news, headers={"Idempotency-Key": "n1"})
    assert first.status_code == 202, first.json
    repeated = caller.post("/api/v1/notifications/broadcast", json=news, headers={"Idempotency-Key": "n1"})
    assert repeated.json["id"] == first.json["id"]
    assert allowed(caller)["quotas"]["messages"]["used"] == "2", "the repetition took nothing"
    assert code_of(caller.post("/api/v1/notifications/broadcast", json={**news, "name": "More"})) == SPENT
    assert [each["name"] for each in all_of(caller, "/api/v1/notifications/broadcasts")] == ["News"]
    assert caller.post("/api/v1/notifications/send", json=MESSAGE).status_code == 202, "one is left"


def test_a_notification_to_several_stops_at_the_quota_and_says_why(
    caller: Caller, limited: Limited, engine_tenancy: Tenancy
) -> None:
    limited(caller, {"messages": {"limit": 1, "hard": True}})
    for number in range(2):
        body = {"email": f"r{number}@example.com"}
        assert caller.put(f"/api/v1/notifications/recipients/r{number}", json=body).status_code in {200, 201}
    several = {"recipients": ["r0", "r1"], "channels": ["email"], "subject": "News", "text": "It is here."}
    sent = caller.post("/api/v1/notifications/send", json=several)
    assert sent.status_code == 202, sent.json
    who = Principal(f"user:{caller.user_id}", caller.user_id, caller.tenant_id)
    with pytest.raises(Permanent) as raised:
        send(*claim_context(engine_tenancy, UUID(sent.json["id"]), who))
    assert raised.value.job_code == "plan_quota_exceeded"
    assert run_queued(engine_tenancy, caller.tenant_id, "notification.deliver") == 1


def test_a_feature_that_the_plan_lacks_is_refused(caller: Caller, limited: Limited) -> None:
    limited(caller, {}, entitlements={"completions": False, "sso": True})
    asked = {"messages": [{"role": "user", "content": "Say hello."}]}
    assert code_of(caller.post("/api/v1/llm/completions", json=asked)) == SPENT
    assert allowed(caller)["entitlements"] == {"completions": False, "sso": True}


def test_a_soft_quota_stops_nothing_and_is_told_once(
    caller: Caller, limited: Limited, operator_tenant: UUID, engine_tenancy: Tenancy
) -> None:
    limited(caller, {"jobs": 2})
    for _ in range(3):
        assert caller.post(JOBS, json=PING).status_code == 202
    refresh(engine_tenancy, operator_tenant)
    refresh(engine_tenancy, operator_tenant)
    (quota,) = told(engine_tenancy, caller.tenant_id)
    assert (quota["code"], quota["limit"], quota["used"], quota["hard"]) == ("jobs", 2, 3, False)
    assert allowed(caller)["quotas"]["jobs"] == {"limit": 2, "hard": False, "used": "3", "exceeded": True}


def test_another_plan_lifts_the_quota_and_keeps_what_was_counted(
    caller: Caller, limited: Limited, plan: Callable[..., UUID], operator_tenant: UUID, engine_tenancy: Tenancy
) -> None:
    limited(caller, {"jobs": {"limit": 1, "hard": True}})
    assert caller.post(JOBS, json=PING).status_code == 202
    assert code_of(caller.post(JOBS, json=PING)) == SPENT
    subscribe(caller, plan(2000, quotas={"jobs": {"limit": 2, "hard": True}}))
    assert run_queued(engine_tenancy, operator_tenant, "usage.collect") == 1, "going over has asked for it"
    assert caller.post(JOBS, json=PING).status_code == 202
    assert code_of(caller.post(JOBS, json=PING)) == SPENT
    subscribe(caller, plan(3000))
    refresh(engine_tenancy, operator_tenant)
    assert caller.post(JOBS, json=PING).status_code == 202


@pytest.mark.parametrize("state", ["incomplete", "past_due", "unpaid", "paused"])
def test_who_does_not_pay_is_held_to_the_plan_all_the_same(
    caller: Caller, limited: Limited, operator_tenant: UUID, engine_tenancy: Tenancy, state: str
) -> None:
    subscription = limited(caller, {"jobs": {"limit": 1, "hard": True}}, entitlements={"sso": True})
    with engine_tenancy.session(operator_tenant) as session:
        session.execute(update(Subscription).where(Subscription.id == subscription["id"]).values(state=state))
    refresh(engine_tenancy, operator_tenant)
    assert caller.post(JOBS, json=PING).status_code == 202
    assert code_of(caller.post(JOBS, json=PING)) == SPENT
    found = allowed(caller)
    assert found["quotas"]["jobs"]["used"] == "1"
    assert found["entitlements"] == ({"sso": True} if state == "past_due" else {})


def test_one_tenants_quota_holds_no_other(caller: Caller, stranger: Caller, limited: Limited) -> None:
    limited(caller, {"jobs": {"limit": 0, "hard": True}})
    assert code_of(caller.post(JOBS, json=PING)) == SPENT
    assert stranger.post(JOBS, json=PING).status_code == 202
    assert code_of(stranger.get(f"{BILLING}/entitlements")) == (404, "not_found")


def test_a_tenant_at_its_quota_can_still_pay(caller: Caller, limited: Limited) -> None:
    limited(caller, {"jobs": {"limit": 0, "hard": True}})
    paying = caller.post(f"{BILLING}/payment-methods", json={"provider_id": "pm_card_visa"})
    assert paying.status_code == 202


def test_a_new_period_begins_at_nothing(
    caller: Caller, limited: Limited, operator_tenant: UUID, engine_tenancy: Tenancy
) -> None:
    limited(caller, {"jobs": {"limit": 1, "hard": True}})
    assert caller.post(JOBS, json=PING).status_code == 202
    engine_tenancy.platform.fetch(  # as if what was counted belonged to the month before
        "UPDATE plan_allowances SET period_start = period_start - interval '1 month', period_end = period_start"
        " WHERE tenant_id = %(id)s",
        {"id": caller.tenant_id},
    )
    refresh(engine_tenancy, operator_tenant)
    assert caller.post(JOBS, json=PING).status_code == 202
    assert code_of(caller.post(JOBS, json=PING)) == SPENT


def test_the_api_cannot_raise_a_quota(caller: Caller, limited: Limited, web_tenancy: Tenancy) -> None:
    limited(caller, {"jobs": {"limit": 1, "hard": True}})
    scope = {"nexus.tenant_id": str(caller.tenant_id)}
    for statement in ("UPDATE plan_allowances SET quota = 9", "DELETE FROM plan_allowances"):
        with pytest.raises(Exception, match="permission denied"):
            web_tenancy.platform.fetch(statement, {}, scope)


@pytest.mark.parametrize("quota", [-1, "many", True, {"hard": True}, {"limit": 1, "soft": False}, {"limit": -1}])
def test_a_quota_that_is_none_is_refused(caller: Caller, quota: Any) -> None:
    body = {"code": "q", "name": "Q", "amount": 0, "currency": "EUR", "interval": "month", "quotas": {"jobs": quota}}
    assert code_of(caller.post("/api/v1/merchant/plans", json=body)) == (422, "invalid_payload")
