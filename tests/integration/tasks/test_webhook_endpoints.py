"""`webhook.deliver` with a real receiver: what is sent, what is kept, and what follows each answer."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import standardwebhooks
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from bus import deliveries, endpoints, events
from bus.events import publish
from domain.errors import Permanent, Transient
from domain.identity.principals import system
from domain.ids import new_id
from domain.webhooks.delivery import MAX_ATTEMPTS, RESPONSE_LIMIT, RETRY_SECONDS
from jobs.context import JobContext
from models.platform import WebhookEndpoint
from tasks.events import handle
from tasks.webhook_endpoints import deliver
from tenancy.access import Tenancy
from tenancy.scopes import tenant_scope
from tests.conftest import claim_context
from tests.integration.tasks.conftest import next_attempt
from tests.relaying import relay_all

Under = Callable[..., JobContext]


@dataclass
class Hooks:
    """A tenant's endpoint at the test's receiver, and the steps from an event to an attempt."""

    tenancy: Tenancy
    tenant_id: UUID
    server: HTTPServer
    under: Under
    secret: str = ""
    endpoint_id: UUID = field(default_factory=new_id)

    def make(self, *event_types: str, url: str | None = None) -> Hooks:
        """Insert the endpoint, as the API does once it has judged the URL."""
        values = {"url": url or self.server.url_for("/hook"), "event_types": list(event_types), "description": ""}
        with self.tenancy.platform.session(tenant_scope(self.tenant_id)) as session:
            vault = self.tenancy.vault(self.tenant_id)
            _, self.secret = endpoints.create(
                session, vault, self.endpoint_id, values, enabled=True, created_by="system:test"
            )
        return self

    def publish(self, name: str = "notification.sent", **payload: Any) -> UUID:
        """An event, as some part of the platform publishes it."""
        with self.tenancy.platform.session(tenant_scope(self.tenant_id)) as session:
            return publish(session, self.tenancy.vault(self.tenant_id), name, payload)

    def claim(self) -> tuple[JobContext, Any]:
        """Relay, and claim the delivery's job in a process that may call loopback."""
        relay_all(self.tenancy)
        [job_id] = [row["job_id"] for row in self.list() if row["state"] == "pending"]
        context, payload = claim_context(self.tenancy, job_id, system("events", self.tenant_id))
        return self.under(context, webhook_private_networks="127.0.0.0/8"), payload

    def list(self) -> list[Any]:
        """All deliveries to the endpoint, the oldest first."""
        return deliveries.page(
            self.tenancy, self.tenant_id, self.endpoint_id, event_id=None, after=None, limit=100, newest_first=False
        )

    def history(self) -> list[dict[str, Any]]:
        """The attempts of the only delivery."""
        [delivery] = self.list()
        return deliveries.attempts(self.tenancy, self.tenant_id, delivery["id"])

    def row(self) -> WebhookEndpoint:
        """The endpoint as it is."""
        with self.tenancy.platform.session(tenant_scope(self.tenant_id)) as session:
            return endpoints.find(session, self.tenant_id, self.endpoint_id)

    def change(self, **values: Any) -> None:
        """Set columns of the endpoint."""
        with self.tenancy.platform.session(tenant_scope(self.tenant_id)) as session:
            for name, value in values.items():
                setattr(endpoints.find(session, self.tenant_id, self.endpoint_id), name, value)

    @property
    def requests(self) -> list[Request]:
        """What the receiver got. It writes a request down a moment after it has answered it."""
        ends = time.monotonic() + 1.0
        while not self.server.log and time.monotonic() < ends:
            time.sleep(0.01)
        return [request for request, _ in self.server.log]


@pytest.fixture
def hooks(engine_tenancy: Tenancy, pooled_tenant: UUID, httpserver: HTTPServer, under: Under) -> Hooks:
    """An endpoint that is still to be made."""
    return Hooks(engine_tenancy, pooled_tenant, httpserver, under)


def answers(hooks: Hooks, *replies: Response | int) -> None:
    """Let the receiver answer so, one after another."""
    for reply in replies:
        response = Response(status=reply) if isinstance(reply, int) else reply
        hooks.server.expect_ordered_request("/hook", method="POST").respond_with_response(response)


def test_an_event_arrives_signed_as_the_reference_library_verifies(hooks: Hooks) -> None:
    hooks.make("notification.*")
    answers(hooks, Response("thanks", 200))
    event_id = hooks.publish(notification={"id": "1", "to": "ä@example.com"})
    context, payload = hooks.claim()
    assert deliver(context, payload) == {"delivered": True, "response_status": 200}
    [request] = hooks.requests
    body = standardwebhooks.Webhook(hooks.secret).verify(request.get_data(as_text=True), dict(request.headers))
    assert body["data"] == {"notification": {"id": "1", "to": "ä@example.com"}}
    assert (body["id"], body["type"]) == (str(event_id), "notification.sent")
    assert datetime.fromisoformat(body["timestamp"]).tzinfo is not None
    assert request.headers["webhook-id"] == str(event_id)
    assert request.headers["content-type"] == "application/json"
    [delivery] = hooks.list()
    assert (delivery["state"], delivery["attempts"], delivery["response_status"]) == ("delivered", 1, 200)
    assert [(one["number"], one["response_body"]) for one in hooks.history()] == [(1, "thanks")]


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (500, 500),
        (404, 404),
        (Response(status=302, headers={"Location": "/elsewhere"}), 302),
    ],
)
def test_any_other_answer_is_tried_again_by_the_schedule(hooks: Hooks, reply: Response | int, told: int) -> None:
    hooks.make("*")
    answers(hooks, reply)
    hooks.publish()
    context, payload = hooks.claim()
    with pytest.raises(Transient) as error:
        deliver(context, payload)
    assert error.value.job_code == "webhook_not_delivered"
    assert RETRY_SECONDS[0] <= (error.value.retry_after or 0) <= RETRY_SECONDS[0] * 1.1
    assert [one["response_status"] for one in hooks.history()] == [told]
    assert len(hooks.requests) == 1


def test_attempts_are_numbered_and_keep_the_id_while_each_is_signed_anew(hooks: Hooks) -> None:
    hooks.make("*")
    answers(hooks, 500, 503, 204)
    event_id = hooks.publish()
    context, payload = hooks.claim()
    waits = []
    for _ in range(2):
        with pytest.raises(Transient) as error:
            deliver(context, payload)
        waits.append(error.value.retry_after or 0)
        context = next_attempt(context)
    deliver(context, payload)
    assert [one["number"] for one in hooks.history()] == [1, 2, 3]
    assert [one["response_status"] for one in hooks.history()] == [500, 503, 204]
    assert waits[0] < 6 < RETRY_SECONDS[1] <= waits[1]
    assert {request.headers["webhook-id"] for request in hooks.requests} == {str(event_id)}
    for request in hooks.requests:
        standardwebhooks.Webhook(hooks.secret).verify(request.get_data(as_text=True), dict(request.headers))
    assert hooks.row().failing_since is None


def test_a_receivers_retry_after_is_a_minimum(hooks: Hooks) -> None:
    hooks.make("*")
    answers(hooks, Response(status=429, headers={"Retry-After": "120"}))
    hooks.publish()
    context, payload = hooks.claim()
    with pytest.raises(Transient) as error:
        deliver(context, payload)
    assert error.value.retry_after == 120


def test_the_last_attempt_ends_the_delivery(hooks: Hooks) -> None:
    hooks.make("*")
    answers(hooks, 500)
    hooks.publish()
    context, payload = hooks.claim()
    context.attempt = MAX_ATTEMPTS
    with pytest.raises(Permanent) as error:
        deliver(context, payload)
    assert error.value.job_code == "webhook_not_delivered"
    assert [row["state"] for row in hooks.list()] == ["failed"]


def test_410_disables_the_endpoint_and_its_owners_are_told(hooks: Hooks) -> None:
    hooks.make("*")
    answers(hooks, 410)
    hooks.publish()
    context, payload = hooks.claim()
    with pytest.raises(Permanent) as error:
        deliver(context, payload)
    assert error.value.job_code == "endpoint_gone"
    assert hooks.row().disabled_reason == "gone"
    relay_all(hooks.tenancy)
    letters = told_owners(hooks)
    assert len(letters) == 1
    assert str(hooks.endpoint_id) in letters[0]["text"]


def told_owners(hooks: Hooks) -> list[Any]:
    """The letters that the subscriber's jobs submit, each job run twice as after a crash."""
    waiting = jobs(hooks, "event.handle")
    for job_id in waiting:
        context, payload = claim_context(hooks.tenancy, job_id, system("events", hooks.tenant_id))
        handle(context, payload)
        handle(context, payload)
    return [
        claim_context(hooks.tenancy, job_id, system("events", hooks.tenant_id))[1]
        for job_id in jobs(hooks, "notification.deliver")
    ]


def jobs(hooks: Hooks, kind: str) -> list[UUID]:
    """The tenant's queued jobs of that kind."""
    query = "SELECT id FROM jobs WHERE tenant_id = %(tenant)s AND kind = %(kind)s AND state = 'queued' ORDER BY id"
    return [row["id"] for row in hooks.tenancy.platform.fetch(query, {"tenant": hooks.tenant_id, "kind": kind})]


def test_an_endpoint_that_fails_for_days_is_disabled_and_gets_no_more(hooks: Hooks) -> None:
    hooks.make("*")
    answers(hooks, 500)
    hooks.publish()
    context, payload = hooks.claim()
    hooks.change(failing_since=datetime.now(UTC) - timedelta(days=5, minutes=1))
    with pytest.raises(Transient):
        deliver(context, payload)
    assert hooks.row().disabled_reason == "failing"
    with pytest.raises(Permanent) as error:
        deliver(next_attempt(context), payload)
    assert error.value.job_code == "endpoint_disabled"
    assert len(hooks.requests) == 1
    hooks.publish()
    relay_all(hooks.tenancy)
    assert [row["state"] for row in hooks.list()] == ["failed"]


def test_days_of_failing_are_counted_from_the_first_failure_after_a_delivery(hooks: Hooks) -> None:
    hooks.make("*")
    answers(hooks, 500, 200)
    hooks.publish()
    context, payload = hooks.claim()
    with pytest.raises(Transient):
        deliver(context, payload)
    began = hooks.row().failing_since
    assert began is not None
    assert hooks.row().disabled_at is None
    deliver(next_attempt(context), payload)
    assert hooks.row().failing_since is None


def test_during_a_rotation_both_secrets_verify_and_a_day_later_only_the_new_one(hooks: Hooks) -> None:
    hooks.make("*")
    answers(hooks, 200, 200)
    vault = hooks.tenancy.vault(hooks.tenant_id)
    with hooks.tenancy.platform.session(tenant_scope(hooks.tenant_id)) as session:
        endpoint = endpoints.find(session, hooks.tenant_id, hooks.endpoint_id, lock=True)
        fresh = endpoints.rotate_secret(endpoint, vault, datetime.now(UTC))
    assert fresh != hooks.secret
    for secrets_that_verify in ({hooks.secret, fresh}, {fresh}):
        hooks.publish()
        deliver(*hooks.claim())
        request = hooks.requests[-1]
        assert verifying(request, hooks.secret, fresh) == secrets_that_verify
        hooks.change(previous_secret_until=datetime.now(UTC) - timedelta(seconds=1))


def verifying(request: Request, *secrets: str) -> set[str]:
    """Those of the secrets with which the request verifies."""
    found = set()
    for secret in secrets:
        try:
            standardwebhooks.Webhook(secret).verify(request.get_data(as_text=True), dict(request.headers))
        except standardwebhooks.WebhookVerificationError:
            continue
        found.add(secret)
    return found


def test_a_receiver_that_hangs_is_given_up_after_the_timeout(hooks: Hooks, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def hang(_request: Request) -> Response:
        released.wait(20)
        return Response(status=200)

    monkeypatch.setattr("tasks.webhook_endpoints.TIMEOUT_SECONDS", 0.3)
    hooks.server.expect_request("/hook").respond_with_handler(hang)
    hooks.make("*")
    hooks.publish()
    context, payload = hooks.claim()
    started = time.monotonic()
    try:
        with pytest.raises(Transient):
            deliver(context, payload)
        assert time.monotonic() - started < 10
    finally:
        released.set()
    assert [(one["response_status"], one["error_code"]) for one in hooks.history()] == [(None, "timeout")]


def test_the_address_is_judged_at_each_attempt(hooks: Hooks, under: Under) -> None:
    hooks.make("*", url=f"http://localhost:{hooks.server.port}/hook")
    answers(hooks, 500)
    hooks.publish()
    context, payload = hooks.claim()
    with pytest.raises(Transient):
        deliver(context, payload)
    for networks in ("", "10.0.0.0/8"):  # the operator has thought again
        context = under(next_attempt(context), webhook_private_networks=networks)
        with pytest.raises(Transient):
            deliver(context, payload)
    assert [one["error_code"] for one in hooks.history()] == [None, "address_refused", "address_refused"]
    assert len(hooks.requests) == 1


def test_a_worker_lost_during_the_call_leaves_a_trace_and_the_next_has_the_same_id(hooks: Hooks) -> None:
    hooks.make("*")
    answers(hooks, 200)
    event_id = hooks.publish()
    context, payload = hooks.claim()
    assert deliveries.begin(hooks.tenancy, hooks.tenant_id, payload["delivery_id"]) is not None  # and is killed
    deliver(next_attempt(context), payload)
    assert [(one["number"], one["error_code"]) for one in hooks.history()] == [(1, "interrupted"), (2, None)]
    assert hooks.requests[0].headers["webhook-id"] == str(event_id)


def test_a_worker_lost_after_the_delivery_was_recorded_does_not_call_again(hooks: Hooks) -> None:
    hooks.make("*")
    answers(hooks, 200)
    hooks.publish()
    context, payload = hooks.claim()
    deliver(context, payload)
    assert deliver(next_attempt(context), payload) == {"delivered": True}
    assert len(hooks.requests) == 1


def test_what_a_receiver_answers_is_kept_sealed_and_cut_off(hooks: Hooks) -> None:
    hooks.make("*")
    answers(hooks, Response("quokka " * 2000, 200))
    hooks.publish()
    deliver(*hooks.claim())
    [attempt] = hooks.history()
    assert attempt["response_body"] == ("quokka " * 2000)[:RESPONSE_LIMIT]
    rows = hooks.tenancy.platform.fetch(
        "SELECT a.*, e.payload_sealed, p.secret_sealed FROM webhook_attempts a JOIN webhook_deliveries d"
        " ON d.id = a.delivery_id JOIN events e ON e.id = d.event_id JOIN webhook_endpoints p ON p.id = d.endpoint_id"
        " WHERE a.tenant_id = %(tenant)s", {"tenant": hooks.tenant_id},
    )  # fmt: skip
    assert b"quokka" not in b"".join(value for value in rows[0].values() if isinstance(value, bytes))
    assert hooks.secret.encode() not in b"".join(value for value in rows[0].values() if isinstance(value, bytes))


def test_the_delivery_of_a_deleted_endpoint_ends(hooks: Hooks) -> None:
    hooks.make("*")
    hooks.publish()
    context, payload = hooks.claim()
    with hooks.tenancy.platform.session(tenant_scope(hooks.tenant_id)) as session:
        session.delete(endpoints.find(session, hooks.tenant_id, hooks.endpoint_id))
    with pytest.raises(Permanent) as error:
        deliver(context, payload)
    assert error.value.job_code == "endpoint_deleted"


def test_an_event_goes_to_its_own_tenants_endpoints_only(
    hooks: Hooks, make_tenant: Callable[..., UUID], engine_tenancy: Tenancy, under: Under
) -> None:
    hooks.make("*")
    other = Hooks(engine_tenancy, make_tenant("pooled"), hooks.server, under).make("*")
    mine = hooks.publish(secret="mine")
    relay_all(engine_tenancy)
    assert [row["event_id"] for row in hooks.list()] == [mine]
    assert other.list() == []
    [delivery] = hooks.list()
    with pytest.raises(Permanent):
        deliveries.begin(engine_tenancy, other.tenant_id, delivery["id"])
    assert deliveries.attempts(engine_tenancy, other.tenant_id, delivery["id"]) == []
    assert events.page(
        engine_tenancy, other.tenant_id, name=None, after=None, limit=9, newest_first=True
    ) == []  # fmt: skip


def test_the_body_is_json_that_any_library_reads(hooks: Hooks) -> None:
    hooks.make("*")
    answers(hooks, 200)
    hooks.publish(text="line\u2028separator")
    deliver(*hooks.claim())
    assert json.loads(hooks.requests[0].get_data())["data"] == {"text": "line\u2028separator"}
