"""Targets, budgets, prices, models and the picture of usage, over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID
from xml.etree import ElementTree as ET

import pytest

from tenancy.access import Tenancy
from tests.integration.web.callers import Caller
from tests.integration.web.engine import code_of, pointers_of, program, run
from tests.integration.web.test_llm import CONFIG, KEY, USAGE, configure, log_call

BUDGETS, PRICES = "/api/v1/llm/budgets", "/api/v1/llm/prices"
BUDGET = {"name": "team", "period": "month", "limit_micros": 1_000_000}
PRICE = {"provider": "openai_compatible", "model": "llama-4", "input_micros": 200_000, "output_micros": 600_000}
OWN_SERVER = {"provider": "openai_compatible", "base_url": "https://llm.example.com/v1", "model": "llama-4"}


def test_targets_are_kept_in_their_order_and_no_key_is_shown(caller: Caller, engine_tenancy: Tenancy) -> None:
    changed = configure(
        caller, provider="openai", api_key=KEY, fallbacks=[{**OWN_SERVER, "api_key": KEY}, {"provider": "nexus"}],
        requests_per_minute=60,
    )  # type: ignore[arg-type]  # fmt: skip

    assert changed.status_code == 200
    assert [each["provider"] for each in (changed.json, *changed.json["fallbacks"])] == [
        "openai",
        "openai_compatible",
        "nexus",
    ]
    assert changed.json["requests_per_minute"] == 60
    assert KEY not in changed.text
    kept = configure(caller, provider="openai", fallbacks=[OWN_SERVER])  # type: ignore[arg-type]
    assert [each["api_key_last_four"] for each in (kept.json, *kept.json["fallbacks"])] == [KEY[-4:], KEY[-4:]]


def test_a_key_is_not_sent_to_another_address_than_it_was_given_for(caller: Caller) -> None:
    configure(caller, **OWN_SERVER, api_key=KEY)
    moved = configure(caller, **{**OWN_SERVER, "base_url": "https://evil.example.com/v1"})

    assert moved.json["api_key_last_four"] is None


@pytest.mark.parametrize(
    ("config", "pointer"),
    [
        ({"provider": "openai_compatible"}, "/base_url"),
        ({**OWN_SERVER, "base_url": "http://10.0.0.1/v1"}, "/base_url"),
        ({**OWN_SERVER, "base_url": "https://169.254.169.254/"}, "/base_url"),
        ({**OWN_SERVER, "base_url": "https://localhost/v1"}, "/base_url"),
        ({"provider": "openai", "api_key": KEY, "base_url": "https://x.example.com"}, "/base_url"),
        ({"provider": "nexus", "fallbacks": [{"provider": "anthropic"}]}, "/fallbacks/0/api_key"),
        ({"provider": "nexus", "fallbacks": [{**OWN_SERVER, "base_url": "https://10.1.1.1"}]}, "/fallbacks/0/base_url"),
        ({"provider": "nexus", "requests_per_minute": 0}, "/requests_per_minute"),
        ({"provider": "nexus", "fallbacks": [{"provider": "nexus"}] * 5}, "/fallbacks"),
    ],
)
def test_a_target_that_cannot_work_is_refused_where_it_is_wrong(
    caller: Caller, config: dict[str, Any], pointer: str
) -> None:
    refused = configure(caller, **config)

    assert code_of(refused) == (422, "invalid_payload")
    assert pointers_of(refused) == [pointer]
    assert caller.get(CONFIG).json["provider"] == "nexus"


def test_verifying_is_a_job_that_tells_of_each_target(caller: Caller, engine_tenancy: Tenancy) -> None:
    asked = caller.post(f"{CONFIG}/verify")

    assert asked.status_code == 202
    result = run(engine_tenancy, caller.tenant_id, UUID(asked.json["id"]))
    assert [(each["provider"], each["ok"]) for each in result["targets"]] == [("sandbox", True)]


def test_embeddings_are_a_job(caller: Caller, engine_tenancy: Tenancy) -> None:
    asked = caller.post("/api/v1/llm/embeddings", json={"input": ["one", "two"], "dimensions": 8})

    result = run(engine_tenancy, caller.tenant_id, UUID(asked.json["id"]))
    assert [len(vector) for vector in result["embeddings"]] == [8, 8]
    assert result["sandbox"] is True


@pytest.mark.parametrize(
    "body", [{}, {"input": []}, {"input": [""]}, {"input": ["x"] * 257}, {"input": ["x"], "dimensions": 0}]
)
def test_bad_texts_are_refused(caller: Caller, body: dict[str, Any]) -> None:
    assert code_of(caller.post("/api/v1/llm/embeddings", json=body)) == (422, "invalid_payload")


def test_models_are_those_of_the_targets(caller: Caller) -> None:
    assert caller.get("/api/v1/llm/models").json["items"] == []
    configure(caller, provider="anthropic", api_key=KEY)
    models = caller.get("/api/v1/llm/models").json["items"]

    assert {each["provider"] for each in models} == {"anthropic"}
    haiku = next(each for each in models if each["id"].startswith("claude-haiku-4-5"))
    assert haiku["input_micros"] == 1_000_000
    assert haiku["context_window"] == 200_000


def test_a_budget_lives_through_its_changes(caller: Caller) -> None:
    made = caller.post(BUDGETS, json=BUDGET, headers={"Idempotency-Key": "b"})
    again = caller.post(BUDGETS, json=BUDGET, headers={"Idempotency-Key": "b"})
    assert made.status_code == 201
    assert made.json["id"] == again.json["id"]
    here = made.headers["Location"]
    assert (made.json["spent_micros"], made.json["reserved_micros"]) == (0, 0)

    assert code_of(caller.put(here, json=BUDGET)) == (428, "precondition_required")
    changed = caller.put(here, json={**BUDGET, "limit_micros": 5}, headers={"If-Match": made.headers["ETag"]})
    assert changed.json["limit_micros"] == 5
    stale = caller.put(here, json=BUDGET, headers={"If-Match": made.headers["ETag"]})
    assert code_of(stale) == (412, "precondition_failed")
    assert [each["id"] for each in caller.get(BUDGETS).json["items"]] == [made.json["id"]]
    assert caller.delete(here).status_code == 204
    assert code_of(caller.get(here)) == (404, "not_found")


@pytest.mark.parametrize(
    ("field", "value"),
    [("period", "week"), ("limit_micros", 0), ("principal", "ada"), ("key_source", "mine"), ("surplus", 1)],
)
def test_a_bad_budget_is_refused(caller: Caller, field: str, value: object) -> None:
    refused = caller.post(BUDGETS, json={**BUDGET, field: value})

    assert code_of(refused) == (422, "invalid_payload")
    assert pointers_of(refused) == [f"/{field}"]


def test_a_model_has_one_price(caller: Caller) -> None:
    made = caller.post(PRICES, json=PRICE)
    other = caller.post(PRICES, json={**PRICE, "model": "llama-5"})
    assert made.status_code == 201

    assert code_of(caller.post(PRICES, json=PRICE)) == (409, "conflict")
    taken = caller.put(other.headers["Location"], json=PRICE, headers={"If-Match": other.headers["ETag"]})
    assert code_of(taken) == (409, "conflict")
    changed = caller.put(
        made.headers["Location"], json={**PRICE, "input_micros": 1}, headers={"If-Match": made.headers["ETag"]}
    )
    assert (changed.json["input_micros"], changed.json["version"]) == (1, 2)
    assert caller.delete(made.headers["Location"]).status_code == 204


def test_who_may_only_read_the_configuration_changes_nothing(caller: Caller, web_tenancy: Tenancy) -> None:
    made = caller.post(BUDGETS, json=BUDGET)
    reader = program(caller, web_tenancy, "llm_config:read")

    assert reader.get(BUDGETS).status_code == 200
    assert code_of(reader.post(BUDGETS, json=BUDGET)) == (403, "permission_denied")
    assert code_of(reader.post(PRICES, json=PRICE)) == (403, "permission_denied")
    assert code_of(reader.delete(made.headers["Location"])) == (403, "permission_denied")
    assert code_of(reader.post(f"{CONFIG}/verify")) == (403, "permission_denied")


def test_budgets_and_prices_of_another_tenant_are_not_there(caller: Caller, stranger: Caller) -> None:
    for path, body in ((BUDGETS, BUDGET), (PRICES, PRICE)):
        here = caller.post(path, json=body).headers["Location"]
        assert stranger.get(path).json["items"] == []
        assert code_of(stranger.get(here)) == (404, "not_found")
        assert code_of(stranger.delete(here)) == (404, "not_found")


def test_usage_is_a_picture_for_who_asks_for_one(caller: Caller, web_tenancy: Tenancy) -> None:
    for number in range(10):
        log_call(web_tenancy, caller.tenant_id, datetime(2026, 3, 1, tzinfo=UTC), request_model=f"<model {number}>",
                 cost_micros=1000 * (number + 1))  # fmt: skip
    period = {"from": "2026-03-01", "to": "2026-03-02"}
    answer = caller.get(USAGE, query_string=period, headers={**caller.headers, "Accept": "image/svg+xml"})

    assert answer.mimetype == "image/svg+xml"
    drawn = ET.fromstring(answer.text)
    texts = "".join(drawn.itertext())
    assert "<model 9>" in texts
    assert "others" in texts
    assert caller.get(USAGE, query_string=period).mimetype == "application/json"
