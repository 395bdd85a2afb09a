"""Running messages as a worker does: real rows, real handlers, each item with its own outcome."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import UUID

import pytest
from celery.result import AsyncResult
from sqlalchemy import text

import tasks
from domain.errors import Permanent
from domain.identity.principals import Principal, system
from domain.ids import new_id
from jobs.context import JobContext
from jobs.control import cancel
from jobs.handlers import HANDLERS, Handler
from jobs.messages import Item
from jobs.queries import get
from jobs.rows import error_of, result_of
from jobs.submit import NewJob, submit
from jobs.transport import celery_app
from tenancy.access import Tenancy
from tenancy.identity import principals
from workers import execution
from workers.execution import JobsFailed
from workers.pulse import Pulse
from workers.runtime import Runtime

tasks.load()


@pytest.fixture
def runtime(engine_tenancy: Tenancy) -> Iterator[Runtime]:
    """A worker process's runtime with a short lease, so that its pulse is quick."""
    pulse = Pulse(engine_tenancy.platform, 1.5)
    yield Runtime(engine_tenancy.settings, engine_tenancy, pulse, new_id())
    pulse.stop()


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch) -> Callable[[Handler], None]:
    """Puts another handler behind `system.ping`, to see what the engine makes of what handlers do."""

    def put(replacement: Handler) -> None:
        monkeypatch.setitem(HANDLERS, "system.ping", replacement)

    return put


def run_message(runtime: Runtime, items: list[Item]) -> dict[str, int]:
    """Run a message and wait until its outcomes are written."""
    try:
        return execution.run_message(runtime, items)
    finally:
        runtime.pulse.flush()


def dispatched(
    tenancy: Tenancy, tenant: UUID, *payloads: Mapping[str, Any], principal: Principal | None = None
) -> list[Item]:
    ids = [
        submit(tenancy, NewJob(kind="system.ping", payload=payload, principal=principal or system("test", tenant))).id
        for payload in payloads
    ]
    tenancy.platform.fetch(
        "UPDATE jobs SET state = 'dispatched', dispatched_at = now() WHERE id = ANY(%(ids)s)", {"ids": ids}
    )
    return [(job_id, 0) for job_id in ids]


def state(tenancy: Tenancy, tenant: UUID, item: Item) -> str:
    found: str = get(tenancy, tenant, item[0])["state"]
    return found


def wait_for(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_a_batch_runs_in_two_round_trips_of_the_engine(
    runtime: Runtime, pooled_tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = dispatched(runtime.tenancy, pooled_tenant, *({} for _ in range(8)))
    platform, calls = runtime.tenancy.platform, []
    real = platform.fetch_many
    monkeypatch.setattr(platform, "fetch_many", lambda *a, **k: (calls.append(a[0][0][0]), real(*a, **k))[1])
    assert run_message(runtime, items) == {"succeeded": 8, "not_ours": 0}
    assert len([sql for sql in calls if "jobs" in sql and "kind_runtimes" not in sql]) == 2
    assert {state(runtime.tenancy, pooled_tenant, item) for item in items} == {"succeeded"}


def test_one_failing_item_does_not_touch_its_neighbours(
    runtime: Runtime, pooled_tenant: UUID, handler: Callable[[Handler], None]
) -> None:
    def fail_on_bad(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        if payload["message"] == "bad":
            raise Permanent("refused", code="refused")
        if payload["message"] == "bug":
            raise ZeroDivisionError
        return {"ran": payload["message"]}

    handler(fail_on_bad)
    items = dispatched(runtime.tenancy, pooled_tenant, *({"message": name} for name in ("a", "bad", "bug", "b")))
    with pytest.raises(JobsFailed, match="2 of 4"):
        run_message(runtime, items)
    states = [state(runtime.tenancy, pooled_tenant, item) for item in items]
    assert states == ["succeeded", "failed", "retrying", "succeeded"]


def test_neighbours_of_a_slow_item_go_back_to_the_queue(
    runtime: Runtime, pooled_tenant: UUID, handler: Callable[[Handler], None]
) -> None:
    def slow(context: JobContext, payload: Mapping[str, Any]) -> None:
        wait_for(lambda: state(runtime.tenancy, pooled_tenant, items[1]) == "queued")

    handler(slow)
    items = dispatched(runtime.tenancy, pooled_tenant, {}, {})
    assert run_message(runtime, items) == {"succeeded": 1, "not_ours": 1}
    assert get(runtime.tenancy, pooled_tenant, items[1][0])["attempt"] == 0


def test_a_running_handler_sees_a_cancel_within_seconds(
    runtime: Runtime, pooled_tenant: UUID, handler: Callable[[Handler], None]
) -> None:
    def wait_long(context: JobContext, payload: Mapping[str, Any]) -> None:
        cancel(runtime.tenancy, pooled_tenant, context.job_id)
        context.wait(30)

    handler(wait_long)
    items = dispatched(runtime.tenancy, pooled_tenant, {})
    with pytest.raises(JobsFailed):
        run_message(runtime, items)
    assert state(runtime.tenancy, pooled_tenant, items[0]) == "cancelled"


def test_the_lease_of_a_long_job_is_renewed(
    runtime: Runtime, pooled_tenant: UUID, handler: Callable[[Handler], None]
) -> None:
    def outlive_the_lease(context: JobContext, payload: Mapping[str, Any]) -> None:
        before = lease_of(runtime, context.job_id)
        wait_for(lambda: lease_of(runtime, context.job_id) > before)

    handler(outlive_the_lease)
    items = dispatched(runtime.tenancy, pooled_tenant, {})
    assert run_message(runtime, items)["succeeded"] == 1


def lease_of(runtime: Runtime, job_id: UUID) -> Any:
    return runtime.tenancy.platform.fetch("SELECT lease_until FROM jobs WHERE id = %(id)s", {"id": job_id})[0][
        "lease_until"
    ]


def test_progress_reaches_the_row_while_the_handler_runs(
    runtime: Runtime, pooled_tenant: UUID, handler: Callable[[Handler], None]
) -> None:
    def report(context: JobContext, payload: Mapping[str, Any]) -> None:
        context.progress(3, 10, "three")
        wait_for(lambda: get(runtime.tenancy, pooled_tenant, context.job_id)["progress_done"] == 3)

    handler(report)
    assert run_message(runtime, dispatched(runtime.tenancy, pooled_tenant, {}))["succeeded"] == 1


def test_a_handler_that_ignores_its_deadline_is_ended_and_its_late_result_dropped(
    runtime: Runtime, pooled_tenant: UUID, handler: Callable[[Handler], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.pulse.OVERDUE_GRACE_SECONDS", 0.1)
    seen: list[UUID] = []
    runtime.pulse.on_overdue = lambda entry: seen.append(entry.job_id)

    def ignore_everything(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        wait_for(lambda: state(runtime.tenancy, pooled_tenant, items[0]) == "retrying")
        return {"late": True}

    handler(ignore_everything)
    items = dispatched(runtime.tenancy, pooled_tenant, {})
    runtime.tenancy.platform.fetch("UPDATE jobs SET deadline_seconds = 0.1 WHERE id = %(id)s", {"id": items[0][0]})
    run_message(runtime, items)
    row = get(runtime.tenancy, pooled_tenant, items[0][0])
    assert (row["state"], row["error_code"], row["result_sealed"]) == ("retrying", "deadline_exceeded", None)
    assert seen == [items[0][0]]


def test_a_permission_lost_after_submission_stops_the_job(runtime: Runtime, pooled_tenant: UUID, user: UUID) -> None:
    member = principals.permissions_of(runtime.tenancy.platform, f"user:{user}", pooled_tenant)
    assert member is not None
    items = dispatched(runtime.tenancy, pooled_tenant, {}, principal=member)
    runtime.tenancy.platform.fetch("DELETE FROM membership_roles WHERE user_id = %(id)s", {"id": user})
    with pytest.raises(JobsFailed):
        run_message(runtime, items)
    assert get(runtime.tenancy, pooled_tenant, items[0][0])["error_code"] == "permission_denied"


def test_a_suspended_tenants_jobs_wait(runtime: Runtime, pooled_tenant: UUID) -> None:
    items = dispatched(runtime.tenancy, pooled_tenant, {})
    runtime.tenancy.platform.fetch("UPDATE tenants SET state = 'suspended' WHERE id = %(id)s", {"id": pooled_tenant})
    runtime.tenancy.directory.forget(pooled_tenant)
    with pytest.raises(JobsFailed):
        run_message(runtime, items)
    row = get(runtime.tenancy, pooled_tenant, items[0][0])
    assert (row["state"], row["error_code"], row["attempt"]) == ("retrying", "tenant_unavailable", 0)


def test_an_effect_in_the_tenants_database_happens_once(
    runtime: Runtime, pooled_tenant: UUID, handler: Callable[[Handler], None]
) -> None:
    def effect_then_crash_once(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        with context.session() as session:
            if context.once(session, "count"):
                insert = "INSERT INTO invoice_counters (tenant_id, last_number) VALUES (:t, 1) ON CONFLICT (tenant_id) DO UPDATE SET last_number = invoice_counters.last_number + 1"
                session.execute(text(insert), {"t": context.tenant_id})
        if context.attempt == 1:
            raise ConnectionError("after the effect, before the outcome")
        with context.session() as session:
            return {"count": session.execute(text("SELECT last_number FROM invoice_counters")).scalar_one()}

    handler(effect_then_crash_once)
    items = dispatched(runtime.tenancy, pooled_tenant, {})
    with pytest.raises(JobsFailed):
        run_message(runtime, items)
    runtime.tenancy.platform.fetch("UPDATE jobs SET state = 'dispatched' WHERE id = %(id)s", {"id": items[0][0]})
    run_message(runtime, [(items[0][0], 1)])
    row = get(runtime.tenancy, pooled_tenant, items[0][0])
    assert result_of(row, runtime.tenancy.vault(pooled_tenant)) == {"count": 1}


def test_a_checkpoint_survives_to_the_next_attempt_sealed(
    runtime: Runtime, pooled_tenant: UUID, handler: Callable[[Handler], None]
) -> None:
    def resume(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        if context.attempt == 1:
            context.checkpoint({"page": 7})
            raise ConnectionError
        return dict(context.resumed())

    handler(resume)
    items = dispatched(runtime.tenancy, pooled_tenant, {})
    with pytest.raises(JobsFailed):
        run_message(runtime, items)
    stored = runtime.tenancy.platform.fetch(
        "SELECT checkpoint_sealed AS c FROM jobs WHERE id = %(id)s", {"id": items[0][0]}
    )
    assert b"page" not in bytes(stored[0]["c"])
    runtime.tenancy.platform.fetch("UPDATE jobs SET state = 'dispatched' WHERE id = %(id)s", {"id": items[0][0]})
    run_message(runtime, [(items[0][0], 1)])
    row = get(runtime.tenancy, pooled_tenant, items[0][0])
    assert result_of(row, runtime.tenancy.vault(pooled_tenant)) == {"page": 7}


def test_a_child_is_submitted_once_however_often_its_parent_runs(
    runtime: Runtime, pooled_tenant: UUID, handler: Callable[[Handler], None]
) -> None:
    def spawn(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"children": [str(context.submit("system.ping", {}, key="one")) for _ in range(2)]}

    handler(spawn)
    items = dispatched(runtime.tenancy, pooled_tenant, {})
    run_message(runtime, items)
    result = result_of(get(runtime.tenancy, pooled_tenant, items[0][0]), runtime.tenancy.vault(pooled_tenant))
    first, second = result["children"]
    assert first == second
    assert get(runtime.tenancy, pooled_tenant, UUID(first))["parent_id"] == items[0][0]


@pytest.fixture
def result_app(engine_tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch, runtime: Runtime) -> Iterator[Any]:
    """A Celery client with our result backend."""
    monkeypatch.setattr("workers.runtime._runtime", runtime)
    app = celery_app(engine_tenancy.settings, "workers.results:JobRowBackend")
    yield app
    app.close()


def test_celerys_async_result_tells_what_the_row_says(
    runtime: Runtime, pooled_tenant: UUID, result_app: Any, handler: Callable[[Handler], None]
) -> None:
    good, waiting = dispatched(runtime.tenancy, pooled_tenant, {"message": "hi"}, {})
    run_message(runtime, [good])
    done = AsyncResult(str(good[0]), app=result_app)
    assert (done.status, done.get(timeout=2)) == ("SUCCESS", {"message": "hi"})
    assert AsyncResult(str(waiting[0]), app=result_app).status == "RECEIVED"
    assert AsyncResult(str(new_id()), app=result_app).status == "PENDING"

    def refuse(context: JobContext, payload: Mapping[str, Any]) -> None:
        raise Permanent("no such thing", code="nope")

    handler(refuse)
    with pytest.raises(JobsFailed):
        run_message(runtime, [waiting])
    failed = AsyncResult(str(waiting[0]), app=result_app)
    assert failed.status == "FAILURE"
    assert "nope: no such thing" in str(failed.result)
    assert error_of(get(runtime.tenancy, pooled_tenant, waiting[0]), runtime.tenancy.vault(pooled_tenant)) is not None


def test_a_change_of_the_tenant_holds_for_the_next_job_at_once(
    runtime: Runtime, pooled_tenant: UUID, handler: Callable[[Handler], None]
) -> None:
    handler(lambda context, _payload: {"provider": context.tenant.llm_provider})

    def provider() -> str:
        items = dispatched(runtime.tenancy, pooled_tenant, {})
        run_message(runtime, items)
        row = get(runtime.tenancy, pooled_tenant, items[0][0])
        found: str = result_of(row, runtime.tenancy.vault(pooled_tenant))["provider"]
        return found

    assert provider() == "nexus"
    change = "UPDATE tenants SET llm_provider = 'openai', version = version + 1 WHERE id = %(id)s"
    runtime.tenancy.platform.fetch(change, {"id": pooled_tenant})
    assert provider() == "openai"


def test_the_last_progress_is_kept_with_the_outcome(
    runtime: Runtime, pooled_tenant: UUID, handler: Callable[[Handler], None]
) -> None:
    def report(context: JobContext, payload: Mapping[str, Any]) -> None:
        context.progress(1, 2, "half")
        context.progress(2, 2, "all")

    handler(report)
    items = dispatched(runtime.tenancy, pooled_tenant, {})
    run_message(runtime, items)
    row = get(runtime.tenancy, pooled_tenant, items[0][0])
    assert (row["progress_done"], row["progress_total"], row["progress_message"]) == (2, 2, "all")


def test_a_platform_database_that_goes_away_under_a_handler_is_no_bug_of_it(
    runtime: Runtime, tenant: UUID, handler: Callable[[Handler], None]
) -> None:
    def cut_off(context: JobContext, _payload: Mapping[str, Any]) -> Mapping[str, Any]:
        context.tenancy.platform.fetch("SELECT pg_terminate_backend(pg_backend_pid())", {})
        return {}

    handler(cut_off)
    (item,) = dispatched(runtime.tenancy, tenant, {})
    with pytest.raises(JobsFailed):
        run_message(runtime, [item])
    row = get(runtime.tenancy, tenant, item[0])
    assert (row["state"], row["attempt"], row["error_code"]) == ("retrying", 1, "platform_database_down")
