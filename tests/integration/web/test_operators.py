"""What operators see and steer through the API, and that nobody else does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from domain.ids import new_id
from jobs import controls, fleet
from jobs.backlog import DEAF_SECONDS, measure
from jobs.kinds import KINDS, QUEUES
from jobs.runtimes import Observed, observe
from tenancy.access import Tenancy
from tenancy.scopes import operator_scope
from tests.integration.jobs.conftest import submit_pings
from tests.integration.web.callers import Caller
from tests.integration.web.engine import code_of, pointers_of, program
from tests.integration.web.test_whole_api import exercise, operations_of

PREFIX = "/api/v1/admin"


@pytest.fixture
def operator(caller: Caller, web_tenancy: Tenancy, engine_tenancy: Tenancy) -> Iterator[Caller]:
    """An operator, on a platform where nothing is held back, runs or works."""
    web_tenancy.platform.fetch("UPDATE users SET is_operator = true WHERE id = %(id)s", {"id": caller.user_id})
    for table in ("jobs", "workers", "queue_backlogs", "kind_runtimes"):
        engine_tenancy.platform.fetch(f"DELETE FROM {table}", {})  # type: ignore[arg-type]  # names of our own tables
    yield caller
    for table in ("dispatch_pauses", "tenant_limits"):
        web_tenancy.platform.fetch(f"DELETE FROM {table}", {}, operator_scope())  # type: ignore[arg-type]  # ours
    engine_tenancy.platform.fetch_many([("DELETE FROM workers", {}), ("DELETE FROM queue_backlogs", {})])


@pytest.fixture
def worker(operator: Caller, engine_tenancy: Tenancy) -> UUID:
    """A worker of `default` and `search` with four slots."""
    worker_id = new_id()
    facts = {"id": worker_id, "name": "io@here", "queues": ["default", "search"], "slots": 4, "pid": 7}
    fleet.beat(engine_tenancy.platform, {**facts, "stopping": False})
    return worker_id


def named(caller: Caller, what: str) -> dict[str, Any]:
    """Items of a list by name."""
    answer = caller.get(f"{PREFIX}/{what}")
    assert answer.status_code == 200, answer.text
    return {item["name"]: item for item in answer.json["items"]}


STEERING = [
    ("GET", "/queues"), ("GET", "/kinds"), ("GET", "/workers"), ("GET", "/pauses"), ("GET", "/activity"),
    *(("POST", f"/{place}/{verb}") for place in ("queues/search", "kinds/system.ping", "tenants/TENANT")
      for verb in ("pause", "drain", "resume")),
    ("GET", "/audit"), ("GET", "/audit/verify"), ("GET", "/audit/export"),
    ("GET", "/tenants/TENANT/quotas"), ("PUT", "/tenants/TENANT/quotas"),
    ("GET", "/erasure-certificates"), ("GET", "/erasure-certificates/TENANT"),
    ("GET", "/tenants/TENANT/limits"), ("PUT", "/tenants/TENANT/limits"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), STEERING)
def test_nobody_but_an_operator_steers(
    caller: Caller, client: FlaskClient, web_tenancy: Tenancy, method: str, path: str
) -> None:
    """An owner of a tenant does not, not even for the own tenant; and what was asked for is not looked at."""
    address = PREFIX + path.replace("TENANT", str(caller.tenant_id))
    assert code_of(client.open(address, method=method)) == (401, "unauthenticated")
    assert code_of(client.open(address, method=method, headers=caller.headers, data="{")) == (403, "permission_denied")
    assert controls.pauses(web_tenancy.platform) == []


def test_an_operators_api_key_does_not_steer(operator: Caller, web_tenancy: Tenancy) -> None:
    key = program(operator, web_tenancy, "job:read")
    assert code_of(key.post(f"{PREFIX}/queues/search/pause")) == (403, "permission_denied")


def test_a_paused_queue_is_shown_so_until_it_is_resumed(operator: Caller) -> None:
    paused = operator.post(f"{PREFIX}/queues/search/pause", json={"reason": "the index is rebuilt"})
    assert (paused.status_code, paused.json["scope"], paused.json["name"]) == (200, "queue", "search")
    assert (paused.json["reason"], paused.json["paused_by"]) == ("the index is rebuilt", f"user:{operator.user_id}")
    assert operator.post(f"{PREFIX}/queues/search/pause").json == paused.json
    queues = named(operator, "queues")
    assert queues["search"]["pause"] == paused.json
    assert {name for name, queue in queues.items() if queue["pause"]} == {"search"}
    assert operator.get(f"{PREFIX}/pauses").json["items"] == [paused.json]

    assert [operator.post(f"{PREFIX}/queues/search/resume").status_code for _ in range(2)] == [204, 204]
    assert named(operator, "queues")["search"]["pause"] is None


def test_kinds_and_tenants_are_paused_in_the_same_way(operator: Caller, stranger: Caller) -> None:
    """Also a tenant that the operator is no member of."""
    for place, scope in ((f"tenants/{stranger.tenant_id}", "tenant"), ("kinds/system.ping", "kind")):
        answer = operator.post(f"{PREFIX}/{place}/pause")
        assert (answer.status_code, answer.json["scope"], answer.json["drain"]) == (200, scope, False)
        assert operator.post(f"{PREFIX}/{place}/drain").json["drain"]
    assert named(operator, "kinds")["system.ping"]["pause"]["drain"]
    assert len(operator.get(f"{PREFIX}/pauses").json["items"]) == 2
    for place in (f"tenants/{stranger.tenant_id}", "kinds/system.ping"):
        assert operator.post(f"{PREFIX}/{place}/resume").status_code == 204
    assert operator.get(f"{PREFIX}/pauses").json["items"] == []


@pytest.mark.parametrize("verb", ["pause", "drain", "resume"])
@pytest.mark.parametrize("place", ["queues/nowhere", "kinds/nothing.done", f"tenants/{UUID(int=7)}", "queues/%2e%2e"])
def test_what_does_not_exist_is_not_found(operator: Caller, place: str, verb: str) -> None:
    assert code_of(operator.post(f"{PREFIX}/{place}/{verb}")) == (404, "not_found")
    assert operator.get(f"{PREFIX}/pauses").json["items"] == []


def test_what_is_no_tenants_id_has_no_route(operator: Caller) -> None:
    assert code_of(operator.post(f"{PREFIX}/tenants/acme/pause")) == (404, "route_not_found")


@pytest.mark.parametrize(
    ("body", "pointer"), [({"reason": "x" * 501}, "/reason"), ({"reason": 1}, "/reason"), ({"why": "x"}, "/why")]
)
def test_a_pause_with_a_bad_body_changes_nothing(operator: Caller, body: dict[str, Any], pointer: str) -> None:
    answer = operator.post(f"{PREFIX}/queues/search/pause", json=body)
    assert (code_of(answer), pointers_of(answer)) == ((422, "invalid_payload"), [pointer])
    assert operator.get(f"{PREFIX}/pauses").json["items"] == []


def test_a_drain_is_watched_to_its_end(operator: Caller, engine_tenancy: Tenancy) -> None:
    submit_pings(engine_tenancy, operator.tenant_id, 2)
    engine_tenancy.platform.fetch("UPDATE jobs SET state = 'dispatched', dispatched_at = now()", {})
    assert operator.post(f"{PREFIX}/queues/default/drain").json["in_flight"] is None
    controls.read(engine_tenancy.platform)
    measure(engine_tenancy.platform, QUEUES)
    (pause,) = operator.get(f"{PREFIX}/pauses").json["items"]
    assert (pause["in_flight"], pause["drained"]) == (2, False)
    engine_tenancy.platform.fetch("UPDATE jobs SET state = 'cancelled'", {})
    measure(engine_tenancy.platform, QUEUES)
    (pause,) = operator.get(f"{PREFIX}/pauses").json["items"]
    assert (pause["in_flight"], pause["drained"]) == (0, True)


def test_queues_tell_what_waits_and_who_works(operator: Caller, engine_tenancy: Tenancy, worker: UUID) -> None:
    assert named(operator, "queues")["default"]["measured_at"] is None
    submit_pings(engine_tenancy, operator.tenant_id, 3)
    measure(engine_tenancy.platform, QUEUES)
    queue = named(operator, "queues")["default"]
    assert (queue["due"], queue["waiting"], queue["in_flight"]) == (3, 0, 0)
    assert (queue["workers"], queue["slots"], queue["deaf"]) == (1, 4, False)
    assert queue["oldest_due_seconds"] > 0
    assert set(named(operator, "queues")) == set(QUEUES)


def test_kinds_tell_how_they_do(operator: Caller, engine_tenancy: Tenancy) -> None:
    observe(engine_tenancy.platform, {"system.ping": Observed(10, 0.1, 3)}, {})
    kinds = named(operator, "kinds")
    assert set(kinds) == set(KINDS)
    ping = kinds["system.ping"]
    assert (ping["runs"], ping["failures"], ping["batch_size"]) == (10, 3, 10)
    assert ping["mean_seconds"] == pytest.approx(0.01)
    assert (kinds["completion.create"]["mean_seconds"], kinds["completion.create"]["batch_size"]) == (None, 1)


def test_workers_tell_what_they_run(operator: Caller, engine_tenancy: Tenancy, worker: UUID) -> None:
    (job_id,) = submit_pings(engine_tenancy, operator.tenant_id, 1)
    engine_tenancy.platform.fetch(
        "UPDATE jobs SET state = 'running', token = id, worker_id = %(id)s, started_at = now(), attempt = 1,"
        " progress_done = 3, progress_total = 10, progress_message = 'third'",
        {"id": worker},
    )
    facts = {"id": worker, "name": "io@here", "queues": ["search"], "slots": 4, "pid": 7, "stopping": True}
    fleet.beat(engine_tenancy.platform, facts)
    shown = named(operator, "workers")["io@here"]
    assert (shown["running"], shown["stopping"], shown["slots"], shown["queues"]) == (1, True, 4, ["search"])
    (job,) = shown["jobs"]
    assert (job["id"], job["tenant_id"], job["kind"]) == (str(job_id), str(operator.tenant_id), "system.ping")
    assert job["progress"] == {"done": 3, "total": 10, "message": "third"}
    assert shown["last_claim_at"] == job["started_at"]


def test_limits_are_set_as_a_whole_against_the_version_that_was_read(operator: Caller, stranger: Caller) -> None:
    path = f"{PREFIX}/tenants/{stranger.tenant_id}/limits"
    read = operator.get(path)
    assert (read.json["weight"], read.json["max_running"], read.json["updated_at"]) == (1.0, None, None)
    etag = {"If-Match": read.headers["ETag"]}
    assert code_of(operator.put(path, json={"weight": 2})) == (428, "precondition_required")
    set_once = operator.put(path, json={"weight": 2, "rate_per_second": 2.5}, headers=etag)
    assert (set_once.status_code, set_once.json["burst"], set_once.json["weight"]) == (200, 3, 2.0)
    assert code_of(operator.put(path, json={"weight": 9}, headers=etag)) == (412, "precondition_failed")
    again = operator.put(path, json={"max_running": 7}, headers={"If-Match": set_once.headers["ETag"]})
    assert again.json["updated_by"] == f"user:{operator.user_id}"
    assert operator.get(path).json == again.json
    assert (again.json["weight"], again.json["max_running"], again.json["rate_per_second"]) == (1.0, 7, None)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [({"weight": 0}, "/weight"), ({"weight": -1}, "/weight"), ({"weight": 1001}, "/weight"), ({"weight": None}, "/weight"),
     ({"max_running": 0}, "/max_running"), ({"max_running": 1.5}, "/max_running"), ({"rate_per_second": 0}, "/rate_per_second"),
     ({"burst": 3}, "/burst"), ({"burst": 0, "rate_per_second": 1}, "/burst"), ({"speed": 1}, "/speed")],
)  # fmt: skip
def test_limits_that_make_no_sense_change_nothing(operator: Caller, body: dict[str, Any], pointer: str) -> None:
    path = f"{PREFIX}/tenants/{operator.tenant_id}/limits"
    answer = operator.put(path, json=body, headers={"If-Match": "*"})
    assert (code_of(answer), pointers_of(answer)) == ((422, "invalid_payload"), [pointer])
    assert operator.get(path).json["updated_at"] is None


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN"])
def test_a_limit_that_is_no_number_is_refused(operator: Caller, number: str) -> None:
    path = f"{PREFIX}/tenants/{operator.tenant_id}/limits"
    answer = operator.put(
        path, data=f'{{"weight": {number}}}', content_type="application/json", headers={"If-Match": "*"}
    )
    assert answer.status_code in {400, 422}
    assert operator.get(path).json["updated_at"] is None


def test_an_unknown_tenant_has_no_limits(operator: Caller) -> None:
    path = f"{PREFIX}/tenants/{new_id()}/limits"
    assert code_of(operator.get(path)) == (404, "not_found")
    assert code_of(operator.put(path, json={}, headers={"If-Match": "*"})) == (404, "not_found")


def test_deaf_workers_make_the_platform_unready_until_their_queue_is_paused(
    operator: Caller, client: FlaskClient, engine_tenancy: Tenancy, worker: UUID
) -> None:
    submit_pings(engine_tenancy, operator.tenant_id, 1)
    engine_tenancy.platform.fetch("UPDATE jobs SET state = 'dispatched', dispatched_at = now()", {})
    measure(engine_tenancy.platform, QUEUES)
    part = "workers:default"
    assert client.get("/health/ready").json["parts"][part]["state"] == "up"
    engine_tenancy.platform.fetch(
        "UPDATE queue_backlogs SET unclaimed_since = unclaimed_since - %(s)s * interval '1 second'", {"s": DEAF_SECONDS}
    )
    parts = client.get("/health/ready").json["parts"]
    assert (parts[part]["state"], parts[part]["problem"], parts[part]["paused"]) == ("down", "no_claims", False)
    assert (parts["workers:search"]["state"], parts["workers:billing"]["problem"]) == ("up", "no_workers")
    assert named(operator, "queues")["default"]["deaf"]
    assert metrics(client)["nexus_queue_deaf", "default"] == 1

    operator.post(f"{PREFIX}/queues/default/pause")
    shown = client.get("/health/ready").json["parts"][part]
    assert (shown["state"], shown["paused"]) == ("up", True)
    figures = metrics(client)
    assert (figures["nexus_queue_deaf", "default"], figures["nexus_queue_paused", "default"]) == (0, 1)


def test_metrics_tell_workers_rates_and_attempts(
    client: FlaskClient, engine_tenancy: Tenancy, operator: Caller, worker: UUID
) -> None:
    observe(engine_tenancy.platform, {"system.ping": Observed(10, 1.0, 3)}, {})
    engine_tenancy.platform.fetch("UPDATE kind_runtimes SET rate_per_minute = 120", {})
    figures = metrics(client)
    assert figures["nexus_workers", "search"] == 1
    assert figures["nexus_queue_paused", "search"] == 0
    assert figures["nexus_job_attempts_total", "system.ping"] == 10
    assert figures["nexus_job_attempt_failures_total", "system.ping"] == 3
    assert figures["nexus_queue_rate_per_minute", "default"] == 120


def metrics(client: FlaskClient) -> dict[tuple[str, str], float]:
    """Figures that have a queue or a kind for their label."""
    return {
        (sample.name, sample.labels.get("queue") or sample.labels["kind"]): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
        if {"queue", "kind"} & set(sample.labels) and "state" not in sample.labels
    }


def test_every_route_of_operators_answers_as_it_says(app: Flask, operator: Caller) -> None:
    steered = tuple({f"{PREFIX}/{path.split('/')[1]}" for _, path in STEERING})
    asked = [each for each in operations_of(app) if each.path.startswith(steered)]
    assert len(asked) >= len(STEERING)
    caller = replace(operator, headers={**operator.headers, "If-Match": "*"})
    failures = {each.label: failure for each in asked if (failure := exercise(each, caller.headers))}
    assert failures == {}


def test_a_tenant_in_the_path_is_not_a_selected_one(operator: Caller, stranger: Caller) -> None:
    """The operator reads the limits of a tenant while another one is selected."""
    assert operator.headers["X-Project-ID"] != str(stranger.tenant_id)
    assert operator.get(f"{PREFIX}/tenants/{stranger.tenant_id}/limits").status_code == 200
