"""One trace from a request to the last call that it causes, over real processes, kills and hours; and one id through all logs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from bench.engine import Engine, until
from bench.service import start_web
from bench.tenant_client import TenantClient
from bus import endpoints
from config.telemetry.trace import of_attempt
from domain.ids import new_id
from jobs.runtimes import Observed, observe
from tenancy.access import Tenancy
from tenancy.scopes import tenant_scope
from tests.collector import Collector, Seen, collector
from tests.contracts.llm_double import LlmDouble, llm_double
from tests.faults.conftest import state

pytestmark = pytest.mark.faults

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HELLO = {"messages": [{"role": "user", "content": "A private question"}]}


@pytest.fixture
def traces() -> Iterator[Collector]:
    """Where spans go."""
    with collector() as running:
        yield running


@pytest.fixture
def models() -> Iterator[LlmDouble]:
    """The vendor of the completions."""
    with llm_double() as running:
        yield running


@pytest.fixture
def engine(engine: Engine, traces: Collector, models: LlmDouble) -> Engine:
    """Processes that send their spans, and may call what listens on loopback."""
    engine.environment |= {
        "OTEL_EXPORTER_OTLP_ENDPOINT": traces.url, "OTEL_BSP_SCHEDULE_DELAY": "100", "OPENAI_BASE_URL": f"{models.url}/v1",
        "OPENAI_API_KEY": "sk-test", "NEXUS_WEBHOOK_PRIVATE_NETWORKS": "127.0.0.0/8", "NEXUS_LOG_LEVEL": "debug",
    }  # fmt: skip
    return engine


@pytest.fixture
def web(engine: Engine) -> str:
    """The address of a real API process."""
    return start_web(engine)[1]


@pytest.fixture
def client(engine: Engine, web: str, tenancy: Tenancy) -> Iterator[TenantClient]:
    """A pooled tenant's."""
    tenancy.platform.fetch("DELETE FROM events", {})
    engine.dispatcher()
    maker = engine.worker("default", "provisioning", "notifications", name="maker")
    with TenantClient.create(web, tier="pooled") as made:
        engine.stop(maker)
        yield made


@pytest.fixture
def hooks() -> list[dict[str, str]]:
    """Headers of the webhooks that came."""
    return []


@pytest.fixture
def hook(tenancy: Tenancy, client: TenantClient, hooks: list[dict[str, str]]) -> Iterator[None]:
    """An endpoint of the tenant's for completions."""

    def take(request: Request) -> Response:
        hooks.append({name.lower(): value for name, value in request.headers.items()})
        return Response(status=204)

    with HTTPServer(host="127.0.0.1", threaded=True) as server:
        server.expect_request("/hook").respond_with_handler(take)
        values = {"url": server.url_for("/hook"), "event_types": ["completion.created"], "description": ""}
        with tenancy.platform.session(tenant_scope(client.tenant_id)) as session:
            vault = tenancy.vault(client.tenant_id)
            endpoints.create(session, vault, new_id(), values, enabled=True, created_by="system:test")
        yield


def one(traces: Collector, name: str) -> Seen:
    """The span of a name in the caller's trace, once it is there."""
    found: list[Seen] = []

    def is_there() -> bool:
        found[:] = [span for span in traces.named(name) if span.trace_id == TRACE]
        return bool(found)

    until(is_there, 30, f"the span {name!r} among {sorted({span.name for span in traces.spans})}")
    (span,) = found
    return span


def completion(client: TenantClient, **headers: str) -> UUID:
    """Ask for one; its job."""
    answer = client.http.post("/llm/completions", json=HELLO, headers={**client.headers, **headers})
    assert answer.status_code == 202, answer.text
    return UUID(answer.json()["id"])


def events(engine: Engine, process: str) -> list[dict[str, Any]]:
    """The lines of a log that are events."""
    return [json.loads(line) for line in engine.log(process).splitlines() if line.startswith("{")]


def test_one_trace_leads_over_four_processes_to_the_providers(
    engine: Engine, traces: Collector, tenancy: Tenancy, client: TenantClient, hook: None, hooks: list[dict[str, str]]
) -> None:
    engine.worker("completions", pool="threads", name="models")
    engine.worker("webhooks", pool="prefork", name="hooks")

    job_id = completion(client, traceparent=f"00-{TRACE}-{CALLER}-01")
    until(lambda: bool(hooks), 40, "the webhook")

    request = one(traces, "POST /api/v1/llm/completions")
    run, call = one(traces, "run completion.create"), one(traces, "openai complete")
    dispatched, delivery = one(traces, "dispatch completion.create"), one(traces, "run webhook.deliver")
    sent = one(traces, "webhook deliver")
    assert [(span.parent, span.service) for span in (request, run, call, dispatched, delivery, sent)] == [
        (CALLER, "nexus-web"), (request.span_id, "nexus-models"), (run.span_id, "nexus-models"),
        (request.span_id, "nexus-dispatcher"), (run.span_id, "nexus-hooks"), (delivery.span_id, "nexus-hooks"),
    ]  # fmt: skip
    assert len({span.pid for span in (request, dispatched, run, delivery)}) == 4
    assert (run.span_id, run.attributes["nexus.job_id"]) == (
        of_attempt(job_id, 1, f"00-{TRACE}-{request.span_id}-01").span_id, str(job_id)
    )  # fmt: skip
    assert request.attributes["http.response.status_code"] == 202
    assert hooks[0]["traceparent"] == f"00-{TRACE}-{sent.span_id}-01"
    assert "private" not in str(traces.spans)


def test_a_retry_after_a_kill_goes_on_in_the_trace_and_links_to_the_attempt_before(
    engine: Engine, traces: Collector, tenancy: Tenancy, client: TenantClient, models: LlmDouble
) -> None:
    models.script.append("529")
    worker = engine.worker("completions", pool="threads", name="models")
    job_id = completion(client, traceparent=f"00-{TRACE}-{CALLER}-01")
    until(lambda: state(tenancy, job_id) == "retrying", 30, "the first attempt to fail")
    (first,) = _runs(traces, 1)
    engine.kill(worker)
    engine.worker("completions", pool="threads", name="later")
    until(lambda: state(tenancy, job_id) == "succeeded", 60, "the second attempt")

    first, second = _runs(traces, 2)
    assert (first.parent, first.failed, first.links) == (second.parent, True, ())
    assert (second.failed, second.links) == (False, ((TRACE, first.span_id),))
    assert (first.service, second.service) == ("nexus-models", "nexus-later")


def _runs(traces: Collector, count: int) -> list[Seen]:
    until(lambda: len(traces.named("run completion.create")) == count, 30, f"{count} attempts")
    return sorted(traces.named("run completion.create"), key=lambda span: span.attributes["nexus.attempt"])


def test_jobs_of_one_message_keep_their_traces_and_the_message_links_to_them(
    engine: Engine, traces: Collector, tenancy: Tenancy, ping: Callable[..., UUID]
) -> None:
    worker = engine.worker("default", concurrency=1)
    observe(tenancy.platform, {"system.ping": Observed(100, 0.1)}, {})  # known to be quick: its jobs travel together
    own = {ping(traceparent=f"00-{n:032x}-{CALLER}-01"): f"{n:032x}" for n in range(1, 40)}
    engine.dispatcher()
    until(lambda: all(state(tenancy, job_id) == "succeeded" for job_id in own), 60, "the backlog", 0.2)
    engine.stop(worker)

    runs = {span.trace_id: span for span in traces.named("run system.ping")}
    assert set(own.values()) <= set(runs)
    messages = {span.span_id: span for span in traces.named("process system.ping")}
    assert messages
    for message in messages.values():
        assert message.parent == ""
        assert len(message.links) == message.attributes["messaging.batch.message_count"] > 1
    in_one = [span for span in runs.values() if any(link[1] in messages for link in span.links)]
    assert in_one
    for span in in_one:
        (link,) = span.links
        assert (span.trace_id, span.span_id) in messages[link[1]].links


def test_jobs_that_nobody_asked_for_have_a_trace_of_their_own(
    engine: Engine, traces: Collector, tenancy: Tenancy, ping: Callable[..., UUID]
) -> None:
    worker = engine.worker("default", concurrency=1)
    engine.dispatcher()
    job_id = ping()
    until(lambda: state(tenancy, job_id) == "succeeded", 40, "the job")
    engine.stop(worker)

    own = of_attempt(job_id, 1, None)
    (run,) = [span for span in traces.named("run system.ping") if span.attributes["nexus.job_id"] == str(job_id)]
    assert (run.trace_id, run.span_id, run.parent) == (own.trace_id, own.span_id, "")


def test_a_collector_that_is_away_holds_nothing_up(engine: Engine, tenancy: Tenancy, ping: Callable[..., UUID]) -> None:
    engine.environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:9"
    worker: subprocess.Popen[bytes] = engine.worker("default", concurrency=1)
    dispatcher = engine.dispatcher()
    jobs = [ping() for _ in range(5)]
    until(lambda: all(state(tenancy, job_id) == "succeeded" for job_id in jobs), 40, "the jobs")
    engine.stop(worker, dispatcher)
    assert (worker.returncode, dispatcher.returncode) == (0, 0)


def test_one_id_leads_through_all_logs_from_the_request_to_the_provider(
    engine: Engine, tenancy: Tenancy, client: TenantClient, hook: None, hooks: list[dict[str, str]]
) -> None:
    engine.worker("completions", pool="threads", name="models")
    engine.worker("webhooks", pool="prefork", name="hooks")

    job_id = completion(client, **{"X-Request-ID": "my-request-7"})
    until(lambda: bool(hooks), 40, "the webhook")
    said = {"request_id": "my-request-7", "tenant_id": str(client.tenant_id)}

    def found(process: str, **wanted: str) -> dict[str, Any]:
        def those() -> list[dict[str, Any]]:
            return [event for event in events(engine, process) if wanted.items() <= event.items()]

        until(lambda: bool(those()), 20, f"{wanted} in the log of {process}:\n{engine.log(process)[-2000:]}")
        return those()[0]

    asked = found("web", event="http.request", path="/api/v1/llm/completions", **said)
    trace = {"trace_id": asked["trace_id"]}
    call = found("models", event="provider.call", provider="openai", outcome="ok", job_id=str(job_id), **said, **trace)
    assert call["process"] == "models"
    assert found("models", event="job.succeeded", job_id=str(job_id), **said, **trace)["kind"] == "completion.create"
    assert found("dispatcher", event="job.dispatched", job_id=str(job_id))["process"] == "dispatcher"
    delivered = found("hooks", event="provider.call", provider="webhook", **trace)
    assert (delivered["process"], delivered["tenant_id"], delivered["request_id"]) == (
        "hooks",
        str(client.tenant_id),
        "my-request-7",
    )
    assert "private" not in "".join(engine.log(name) for name in ("web", "dispatcher", "models", "hooks"))
