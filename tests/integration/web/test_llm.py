"""Completions, their call log and totals, and the tenant's choice of provider and key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.ids import new_id
from models.tenant import ApiCallLog
from tenancy.access import Tenancy
from tests.integration.web.callers import Caller
from tests.integration.web.engine import all_of, code_of, pointers_of, program, run

COMPLETIONS = "/api/v1/llm/completions"
CALLS = "/api/v1/llm/calls"
USAGE = "/api/v1/llm/usage"
CONFIG = "/api/v1/llm/config"
QUESTION = {"messages": [{"role": "user", "content": "Say hello."}]}
KEY = "sk-EXAMPLE-do-not-use-w3Xq"


def log_call(tenancy: Tenancy, tenant_id: UUID, created_at: datetime, **fields: Any) -> None:
    """Write one entry of the call log."""
    values = {
        "operation": "chat", "provider": "openai", "request_model": "gpt-5-mini", "key_source": "platform",
        "duration_ms": 10, "attempt": 1, "input_tokens": 100, "cached_input_tokens": 10, "output_tokens": 20,
        "cost_micros": 50,
    }  # fmt: skip
    with tenancy.session(tenant_id) as session:
        session.add(ApiCallLog(tenant_id=tenant_id, job_id=new_id(), created_at=created_at, **{**values, **fields}))


def configure(caller: Caller, **config: str) -> Any:
    """Change the configuration as it is now."""
    tag = caller.get(CONFIG).headers["ETag"]
    return caller.put(CONFIG, json=config, headers={"If-Match": tag})


def test_a_completion_is_a_job_and_its_call_is_logged(caller: Caller, engine_tenancy: Tenancy) -> None:
    asked = caller.post(COMPLETIONS, json=QUESTION)
    assert asked.status_code == 202
    assert asked.json["kind"] == "completion.create"
    result = run(engine_tenancy, caller.tenant_id, UUID(asked.json["id"]))
    assert result["sandbox"] is True
    calls = caller.get(CALLS).json["items"]
    assert [(call["job_id"], call["attempt"], call["key_source"]) for call in calls] == [
        (asked.json["id"], 1, "sandbox")
    ]
    assert caller.get(f"/api/v1/jobs/{asked.json['id']}").json["result"]["text"] == result["text"]


def test_a_client_that_prefers_to_wait_is_answered_in_its_time(caller: Caller) -> None:
    asked = caller.post(COMPLETIONS, json=QUESTION, headers={"Prefer": "wait=1"})
    assert asked.status_code == 202
    assert asked.json["state"] == "queued"
    assert code_of(caller.post(COMPLETIONS, json=QUESTION, headers={"Prefer": "wait=31"})) == (422, "invalid_payload")


def test_the_same_idempotency_key_asks_once(caller: Caller) -> None:
    first, again = (caller.post(COMPLETIONS, json=QUESTION, headers={"Idempotency-Key": "k"}) for _ in range(2))
    assert first.json["id"] == again.json["id"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/messages"),
        ({"messages": []}, "/messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "/messages/0/role"),
        ({**QUESTION, "temperature": 3}, "/temperature"),
        ({**QUESTION, "stream": "yes"}, "/stream"),
    ],
)
def test_a_bad_question_is_refused(caller: Caller, body: dict[str, Any], pointer: str) -> None:
    refused = caller.post(COMPLETIONS, json=body)
    assert code_of(refused) == (422, "invalid_payload")
    assert pointers_of(refused) == [pointer]


def test_usage_adds_up_by_day_model_and_key(caller: Caller, web_tenancy: Tenancy) -> None:
    late, early = datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC), datetime(2026, 3, 2, 0, 0, 0, tzinfo=UTC)
    log_call(web_tenancy, caller.tenant_id, late)
    log_call(web_tenancy, caller.tenant_id, late, response_model="gpt-5-mini", cost_micros=None)
    log_call(web_tenancy, caller.tenant_id, late, key_source="tenant")
    log_call(web_tenancy, caller.tenant_id, early, input_tokens=None, output_tokens=None, cached_input_tokens=None,
             cost_micros=None, error_code="provider_timeout")  # fmt: skip
    log_call(web_tenancy, caller.tenant_id, early + timedelta(days=1))
    usage = caller.get(USAGE, query_string={"from": "2026-03-01", "to": "2026-03-02"}).json
    assert (usage["from"], usage["to"], usage["currency"]) == ("2026-03-01", "2026-03-02", "USD")
    fields = (
        "day",
        "key_source",
        "calls",
        "failed_calls",
        "unpriced_calls",
        "input_tokens",
        "output_tokens",
        "cost_micros",
    )
    assert [tuple(item[field] for field in fields) for item in usage["items"]] == [
        ("2026-03-01", "platform", 2, 0, 1, 200, 40, 50),
        ("2026-03-01", "tenant", 1, 0, 0, 100, 20, 50),
        ("2026-03-02", "platform", 1, 1, 0, 0, 0, 0),
    ]
    assert {item["model"] for item in usage["items"]} == {"gpt-5-mini"}


def test_usage_left_alone_covers_the_last_thirty_days(caller: Caller, web_tenancy: Tenancy) -> None:
    now = datetime.now(UTC)
    log_call(web_tenancy, caller.tenant_id, now - timedelta(days=29))
    log_call(web_tenancy, caller.tenant_id, now - timedelta(days=30))
    usage = caller.get(USAGE).json
    assert [item["calls"] for item in usage["items"]] == [1]
    assert usage["to"] == now.date().isoformat()


@pytest.mark.parametrize(
    "period",
    [
        {"from": "2026-03-02", "to": "2026-03-01"},
        {"from": "2025-01-01", "to": "2026-01-02"},
        {"from": "9999-12-31", "to": "9999-12-31"},
        {"from": "soon"},
        {"since": "2026-03-01"},
    ],
)
def test_a_bad_period_is_refused(caller: Caller, period: dict[str, str]) -> None:
    assert code_of(caller.get(USAGE, query_string=period)) == (422, "invalid_payload")


@pytest.mark.parametrize("day", ["0001-01-01", "0001-01-02", "9999-12-30"])
def test_the_ends_of_the_calendar_are_periods_too(caller: Caller, day: str) -> None:
    assert caller.get(USAGE, query_string={"to": day}).json["items"] == []


def test_a_tenant_begins_with_the_platforms_keys(caller: Caller) -> None:
    config = caller.get(CONFIG)
    assert config.json == {
        "provider": "nexus", "model": None, "base_url": None, "api_key_last_four": None, "fallbacks": [],
        "requests_per_minute": None, "tokens_per_minute": None,
    }  # fmt: skip
    assert config.headers["ETag"]


def test_a_tenants_own_key_is_sealed_and_shows_its_last_four(
    caller: Caller, engine_tenancy: Tenancy, web_tenancy: Tenancy
) -> None:
    changed = configure(caller, provider="openai", api_key=KEY)
    assert changed.status_code == 200
    assert (changed.json["provider"], changed.json["api_key_last_four"]) == ("openai", "w3Xq")
    assert changed.headers["ETag"] == caller.get(CONFIG).headers["ETag"]
    row = engine_tenancy.platform.fetch(
        "SELECT llm_key_sealed, llm_config_sealed FROM tenants WHERE id = %(id)s", {"id": caller.tenant_id}
    )[0]
    assert KEY.encode() not in bytes(row["llm_key_sealed"]) + bytes(row["llm_config_sealed"])
    engine_tenancy.directory.forget(caller.tenant_id)
    record = engine_tenancy.record(caller.tenant_id)
    assert (record.llm_provider, record.llm_key) == ("openai", KEY)


def test_the_key_stays_when_it_is_left_out_and_goes_with_the_platforms_keys(caller: Caller) -> None:
    configure(caller, provider="openai", api_key=KEY)
    assert configure(caller, provider="openai").json["api_key_last_four"] == "w3Xq"
    assert configure(caller, provider="nexus").json["api_key_last_four"] is None


@pytest.mark.parametrize(
    "config",
    [
        {"provider": "openai"},
        {"provider": "nexus", "api_key": KEY},
        {"provider": "openai", "api_key": "short"},
        {"provider": "openai", "api_key": "line\nbreak-in-a-key"},
    ],
)
def test_a_configuration_that_cannot_work_is_refused(caller: Caller, config: dict[str, str]) -> None:
    refused = configure(caller, **config)
    assert code_of(refused) == (422, "invalid_payload")
    assert pointers_of(refused) == ["/api_key"]
    assert caller.get(CONFIG).json["provider"] == "nexus"


def test_one_providers_key_is_not_given_to_another(caller: Caller) -> None:
    configure(caller, provider="openai", api_key=KEY)
    assert code_of(configure(caller, provider="anthropic")) == (422, "invalid_payload")
    assert caller.get(CONFIG).json["provider"] == "openai"


def test_a_change_needs_the_present_version(caller: Caller) -> None:
    body = {"provider": "openai", "api_key": KEY}
    assert code_of(caller.put(CONFIG, json=body)) == (428, "precondition_required")
    stale = caller.get(CONFIG).headers["ETag"]
    configure(caller, provider="anthropic", api_key=KEY)
    refused = caller.put(CONFIG, json=body, headers={"If-Match": stale})
    assert code_of(refused) == (412, "precondition_failed")
    assert caller.get(CONFIG).json["provider"] == "anthropic"


def test_another_tenants_calls_usage_and_configuration_are_not_seen(
    caller: Caller, stranger: Caller, web_tenancy: Tenancy
) -> None:
    log_call(web_tenancy, caller.tenant_id, datetime.now(UTC))
    configure(caller, provider="openai", api_key=KEY)
    assert all_of(stranger, CALLS) == []
    assert stranger.get(USAGE).json["items"] == []
    assert stranger.get(CONFIG).json["provider"] == "nexus"


def test_reading_the_configuration_does_not_allow_to_change_it(caller: Caller, web_tenancy: Tenancy) -> None:
    reader = program(caller, web_tenancy, "llm_config:read")
    assert code_of(configure(reader, provider="nexus")) == (403, "permission_denied")
    assert code_of(reader.get(CALLS)) == (403, "permission_denied")
    assert code_of(reader.post(COMPLETIONS, json=QUESTION)) == (403, "permission_denied")


def test_usage_is_totalled_by_who_asked_where_that_is_wanted(caller: Caller, engine_tenancy: Tenancy) -> None:
    now = datetime.now(UTC)
    first, second = (f"key:{new_id()}" for _ in range(2))
    for principal in (first, first, second, f"user:{caller.user_id}"):
        log_call(engine_tenancy, caller.tenant_id, now, principal=principal)
    [together] = caller.get(USAGE).json["items"]
    assert (together["calls"], together["principal"]) == (4, None)
    by_caller = caller.get(USAGE, query_string={"by": "principal"}).json["items"]
    assert {each["principal"]: each["calls"] for each in by_caller} == {
        first: 2,
        second: 1,
        f"user:{caller.user_id}": 1,
    }
    [alone] = caller.get(USAGE, query_string={"principal": first}).json["items"]
    assert (alone["calls"], alone["cost_micros"], alone["principal"]) == (2, 100, None)
    assert caller.get(USAGE, query_string={"principal": f"key:{new_id()}"}).json["items"] == []
    assert code_of(caller.get(USAGE, query_string={"by": "day"})) == (422, "invalid_payload")
