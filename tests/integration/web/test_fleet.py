"""The fleet of tenants' databases over HTTP: for operators alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import UUID

import pytest

from domain.ids import new_id
from tenancy.access import Tenancy
from tenancy.fleet import newest
from tests.integration.web.callers import Caller
from tests.integration.web.engine import code_of, pointers_of, run

FLEET = "/api/v1/admin/fleet"


@pytest.fixture(autouse=True)
def no_wave(engine_tenancy: Tenancy) -> Iterator[None]:
    """No wave before the test, and none left unfinished after it."""
    end = "UPDATE fleet_waves SET state = 'finished', finished_at = now() WHERE state <> 'finished'"
    engine_tenancy.platform.fetch(end, {})  # type: ignore[arg-type]  # our own words
    yield
    engine_tenancy.platform.fetch(end, {})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("POST", "/migrate"), ("POST", "/pause"), ("POST", "/resume"), ("POST", "/drift")],
)
def test_the_fleet_is_for_operators(caller: Caller, method: str, path: str) -> None:
    send = caller.get if method == "GET" else caller.post
    assert code_of(send(f"{FLEET}{path}")) == (403, "permission_denied")


def test_an_operator_starts_a_wave_pauses_and_resumes_it_and_sees_its_end(
    operator: Caller, operator_tenant: UUID, engine_tenancy: Tenancy
) -> None:
    answer = operator.post(f"{FLEET}/migrate")
    assert (answer.status_code, answer.json["kind"]) == (202, "fleet.migrate")
    shown = operator.get(FLEET).json
    assert (shown["newest"], shown["behind"]) == (newest(), 0)
    assert shown["current"] > 0
    assert (shown["wave"]["state"], shown["wave"]["job_id"]) == ("running", answer.json["id"])
    assert shown["wave"]["started_by"] == f"user:{operator.user_id}"
    assert code_of(operator.post(f"{FLEET}/migrate")) == (409, "conflict")
    assert operator.post(f"{FLEET}/pause").json["state"] == "paused"
    assert operator.post(f"{FLEET}/pause").json["state"] == "paused"
    resumed = operator.post(f"{FLEET}/resume").json
    assert (resumed["state"], resumed["job_id"] != answer.json["id"]) == ("running", True)
    assert operator.post(f"{FLEET}/resume").json["job_id"] == resumed["job_id"]
    assert run(engine_tenancy, operator_tenant, UUID(answer.json["id"]))["state"] == "superseded"
    assert run(engine_tenancy, operator_tenant, UUID(resumed["job_id"]))["state"] == "finished"
    assert operator.get(FLEET).json["wave"]["state"] == "finished"
    noted = [entry["action"] for entry in operator.get("/api/v1/admin/audit").json["items"]]
    assert noted[:3] == ["fleet_wave.resumed", "fleet_wave.paused", "fleet_wave.started"]
    for verb in ("pause", "resume"):
        assert code_of(operator.post(f"{FLEET}/{verb}")) == (409, "illegal_transition")


def test_a_repeated_request_starts_one_wave(operator: Caller, operator_tenant: UUID) -> None:
    key = {"Idempotency-Key": str(new_id())}
    first, second = (operator.post(f"{FLEET}/migrate", headers=key) for _ in range(2))
    assert (first.json["id"], second.status_code) == (second.json["id"], 202)


def test_what_is_no_canary_is_refused_and_changes_nothing(operator: Caller, operator_tenant: UUID) -> None:
    before = operator.get(FLEET).json["wave"]
    for canary in (str(new_id()), "nobody"):
        answer = operator.post(f"{FLEET}/migrate", json={"canaries": [canary]})
        assert code_of(answer) == (422, "invalid_payload")
        assert pointers_of(answer) == ["/canaries/0"]
    assert operator.get(FLEET).json["wave"] == before


def test_an_operator_learns_how_a_tenants_database_differs(
    operator: Caller, operator_tenant: UUID, engine_tenancy: Tenancy, make_tenant: Callable[..., UUID]
) -> None:
    tenant = make_tenant("dedicated")
    answer = operator.post(f"{FLEET}/drift", json={"tenant_ids": [str(tenant)]})
    assert (answer.status_code, answer.json["kind"]) == (202, "fleet.drift")
    found = run(engine_tenancy, operator_tenant, UUID(answer.json["id"]))
    assert (found["databases"], found["differences"], found["items"]) == (1, 0, [])
