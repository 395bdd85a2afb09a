"""Deliveries whose worker, or whose relay, is killed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import standardwebhooks
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from bench.engine import Engine, until
from bus import deliveries, endpoints
from bus.events import publish
from domain.ids import new_id
from tenancy.access import Tenancy
from tenancy.scopes import tenant_scope

pytestmark = pytest.mark.faults

LOOPBACK = {"NEXUS_WEBHOOK_PRIVATE_NETWORKS": "127.0.0.0/8"}


class Receiver:
    """Holds its first request until `released`, and counts."""

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.released = threading.Event()
        self.requests: list[tuple[dict[str, str], str]] = []

    def __call__(self, request: Request) -> Response:
        self.requests.append((dict(request.headers), request.get_data(as_text=True)))
        if len(self.requests) == 1:
            self.arrived.set()
            self.released.wait(60)
        return Response(status=204)


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    """Answers others while one request hangs."""
    with HTTPServer(host="127.0.0.1", threaded=True) as running:
        yield running


@pytest.fixture
def receiver(server: HTTPServer) -> Iterator[Receiver]:
    """At `/hook`."""
    made = Receiver()
    server.expect_request("/hook").respond_with_handler(made)
    yield made
    made.released.set()


@pytest.fixture
def hook(tenancy: Tenancy, tenant: UUID, server: HTTPServer) -> tuple[UUID, str]:
    """An endpoint for everything; its id and its secret."""
    tenancy.platform.fetch("DELETE FROM events", {})
    values = {"url": server.url_for("/hook"), "event_types": ["*"], "description": ""}
    with tenancy.platform.session(tenant_scope(tenant)) as session:
        endpoint, secret = endpoints.create(
            session, tenancy.vault(tenant), new_id(), values, enabled=True, created_by="system:test"
        )
        return endpoint.id, secret


def tell(tenancy: Tenancy, tenant: UUID) -> UUID:
    """Publish an event."""
    with tenancy.platform.session(tenant_scope(tenant)) as session:
        return publish(session, tenancy.vault(tenant), "notification.sent", {"n": 1})


def delivered(tenancy: Tenancy, tenant: UUID, endpoint_id: UUID) -> list[Any]:
    """The endpoint's deliveries that are through."""
    rows = deliveries.page(tenancy, tenant, endpoint_id, event_id=None, after=None, limit=1000, newest_first=False)
    return [row for row in rows if row["state"] == "delivered"]


def test_a_delivery_whose_worker_is_killed_during_the_call_arrives_again_with_the_same_id(
    engine: Engine, tenancy: Tenancy, tenant: UUID, hook: tuple[UUID, str], receiver: Receiver
) -> None:
    endpoint_id, secret = hook
    engine.dispatcher()
    first = engine.worker("webhooks", pool="threads", name="first", **LOOPBACK)
    event_id = tell(tenancy, tenant)
    assert receiver.arrived.wait(30)
    engine.kill(first)
    engine.worker("webhooks", pool="threads", name="second", **LOOPBACK)
    until(lambda: len(delivered(tenancy, tenant, endpoint_id)) == 1, 40, "the delivery")
    assert [headers["Webhook-Id"] for headers, _ in receiver.requests] == [str(event_id)] * 2
    for headers, body in receiver.requests:
        standardwebhooks.Webhook(secret).verify(body, headers)
    [delivery] = delivered(tenancy, tenant, endpoint_id)
    history = deliveries.attempts(tenancy, tenant, delivery["id"])
    assert [(one["number"], one["error_code"], one["response_status"]) for one in history] == [
        (1, "interrupted", None),
        (2, None, 204),
    ]


def test_every_event_is_delivered_once_while_relays_are_killed(
    engine: Engine, tenancy: Tenancy, tenant: UUID, hook: tuple[UUID, str], receiver: Receiver
) -> None:
    endpoint_id, _ = hook
    receiver.released.set()
    told: list[UUID] = []
    leader = engine.dispatcher()
    engine.worker("webhooks", pool="threads", concurrency=8, **LOOPBACK)
    for number in range(90):
        told.append(tell(tenancy, tenant))
        if number % 30 == 15:
            until(lambda: len(receiver.requests) > 0, 40, "the first delivery")
            engine.kill(leader)
            leader = engine.dispatcher()
    until(lambda: len(delivered(tenancy, tenant, endpoint_id)) == len(told), 60, "all deliveries")
    assert sorted(headers["Webhook-Id"] for headers, _ in receiver.requests) == sorted(str(one) for one in told)
