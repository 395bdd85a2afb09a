"""Webhooks of Stripe: only signed ones count, each counts once, and nobody is told why one was refused."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from config.settings import Settings
from domain.billing.signatures import sign_stripe
from domain.ids import new_id
from jobs import external_events
from tenancy.access import Tenancy
from tenancy.bootstrap import Prepared
from tests.integration.web.callers import Caller
from tests.integration.web.engine import code_of, pointers_of
from web.app import create_app

PATH = "/api/v1/webhooks/stripe"
SECRET = "whsec_test"


def payment_event(event_id: str | None = None) -> dict[str, Any]:
    """An event that nobody has sent before."""
    intent = {"id": f"pi_{new_id().hex}", "status": "succeeded", "amount": 2900, "currency": "eur"}
    return {"id": event_id or f"evt_{new_id().hex}", "type": "payment_intent.succeeded", "data": {"object": intent}}


def deliver(client: FlaskClient, event: Any, *, secret: str = SECRET, age: int = 0) -> TestResponse:
    """Send an event with a signature."""
    raw = event if isinstance(event, bytes) else json.dumps(event).encode()
    signature = sign_stripe(raw, secret, int(time.time()) - age)
    return client.post(PATH, data=raw, headers={"Stripe-Signature": signature, "Content-Type": "application/json"})


def jobs_of(engine: Tenancy, event_id: str) -> list[dict[str, Any]]:
    """The jobs that the event has made."""
    return engine.platform.fetch(
        "SELECT j.tenant_id, j.kind, j.principal FROM external_events e JOIN jobs j ON j.id = e.job_id"
        " WHERE e.source = 'stripe' AND e.external_id = %(id)s",
        {"id": event_id},
    )


def webhook_jobs(engine: Tenancy) -> int:
    """How many webhook jobs there are."""
    number: int = engine.platform.fetch("SELECT count(*) AS n FROM jobs WHERE kind = 'webhook.process'", {})[0]["n"]
    return number


@pytest.fixture
def counts(engine_tenancy: Tenancy) -> Iterator[list[int]]:
    """How many events and webhook jobs there were when the test began."""

    def count() -> list[int]:
        rows = engine_tenancy.platform.fetch(
            "SELECT (SELECT count(*) FROM external_events) AS events,"
            " (SELECT count(*) FROM jobs WHERE kind = 'webhook.process') AS jobs",
            {},
        )
        return [rows[0]["events"], rows[0]["jobs"]]

    before = count()
    yield before
    assert count() == before


def test_a_signed_event_is_kept_with_one_job_of_the_operators_tenant(
    client: FlaskClient, engine_tenancy: Tenancy, prepared: tuple[Settings, Prepared]
) -> None:
    event = payment_event()
    received = deliver(client, event)
    assert (received.status_code, received.json) == (200, {"received": True})
    jobs = jobs_of(engine_tenancy, event["id"])
    operator: UUID = prepared[1].operator_tenant_id
    assert [(job["tenant_id"], job["kind"], job["principal"]) for job in jobs] == [
        (operator, "webhook.process", "system:stripe")
    ]


def test_an_event_that_comes_again_is_received_and_makes_no_second_job(
    client: FlaskClient, engine_tenancy: Tenancy
) -> None:
    event = payment_event()
    before = webhook_jobs(engine_tenancy)
    assert [deliver(client, event).status_code for _ in range(3)] == [200, 200, 200]
    assert webhook_jobs(engine_tenancy) == before + 1


def test_an_event_that_comes_many_times_at_once_makes_one_job(app: Flask, engine_tenancy: Tenancy) -> None:
    event, statuses = payment_event(), []
    before = webhook_jobs(engine_tenancy)
    together = threading.Barrier(6)

    def send() -> None:
        together.wait()
        statuses.append(deliver(app.test_client(), event).status_code)

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 6
    assert webhook_jobs(engine_tenancy) == before + 1


def test_events_that_come_while_one_is_kept_are_kept_together_and_each_once(
    app: Flask, engine_tenancy: Tenancy, settings: Settings
) -> None:
    same, others = payment_event(), [payment_event() for _ in range(3)]
    before = webhook_jobs(engine_tenancy)
    waiting = [others[0], same, others[1], same, others[2], same]
    with (
        ThreadPoolExecutor(1 + len(waiting)) as pool,
        psycopg.connect(settings.database_url.get_secret_value()) as owner,
    ):
        owner.execute("LOCK TABLE external_events IN SHARE MODE")
        answers = [
            pool.submit(lambda event=event: deliver(app.test_client(), event)) for event in [payment_event(), *waiting]
        ]
        while len(external_events._KEEPING) < len(waiting):
            time.sleep(0.01)
        owner.rollback()
        assert [answer.result(timeout=30).status_code for answer in answers] == [200] * 7
    assert [len(jobs_of(engine_tenancy, event["id"])) for event in [same, *others]] == [1, 1, 1, 1]
    assert webhook_jobs(engine_tenancy) == before + 5


def test_the_tenants_payload_is_sealed(client: FlaskClient, engine_tenancy: Tenancy) -> None:
    event = payment_event()
    deliver(client, event)
    sealed = engine_tenancy.platform.fetch(
        "SELECT j.payload_sealed FROM external_events e JOIN jobs j ON j.id = e.job_id WHERE e.external_id = %(id)s",
        {"id": event["id"]},
    )
    assert event["data"]["object"]["id"].encode() not in bytes(sealed[0]["payload_sealed"])


@pytest.mark.usefixtures("counts")
@pytest.mark.parametrize("how", ["another secret", "too old", "from the future", "altered", "no header", "nonsense"])
def test_what_is_not_signed_changes_nothing_and_is_not_told_why(client: FlaskClient, how: str) -> None:
    event = payment_event()
    raw = json.dumps(event).encode()
    now = int(time.time())
    signature = {
        "another secret": sign_stripe(raw, "whsec_other", now),
        "too old": sign_stripe(raw, SECRET, now - 301),
        "from the future": sign_stripe(raw, SECRET, now + 301),
        "altered": sign_stripe(raw.replace(b"2900", b"1"), SECRET, now),
        "no header": "",
        "nonsense": "t=\u00e9,v1=zz,,=",
    }[how]
    headers = {} if how == "no header" else {"Stripe-Signature": signature}
    refused = client.post(PATH, data=raw, headers=headers)
    assert code_of(refused) == (400, "invalid_signature")
    assert refused.json is not None
    assert refused.json["detail"] == refused.json["title"]
    assert refused.json["errors"] == []


@pytest.mark.usefixtures("counts")
@pytest.mark.parametrize("raw", [b"", b"{", b"[1]", b'"x"', b"\xff", b'{"id": NaN, "type": "x"}', b"[" * 100_000])
def test_a_signed_body_that_is_no_json_object_is_refused(client: FlaskClient, raw: bytes) -> None:
    assert code_of(deliver(client, raw)) == (400, "malformed_request")


@pytest.mark.usefixtures("counts")
@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"id": None}, "/id"),
        ({"id": 7}, "/id"),
        ({"id": "x" * 256}, "/id"),
        ({"type": ""}, "/type"),
        ({"id": "a\0"}, "/id"),
    ],
)
def test_a_signed_event_without_its_parts_is_refused(client: FlaskClient, change: dict[str, Any], pointer: str) -> None:
    refused = deliver(client, {**payment_event(), **change})
    assert code_of(refused) == (422, "invalid_payload")
    assert pointers_of(refused) == [pointer]


@pytest.mark.usefixtures("counts")
def test_a_body_over_the_limit_is_refused(client: FlaskClient, settings: Settings) -> None:
    assert code_of(deliver(client, b" " * (settings.max_body_bytes + 1))) == (413, "payload_too_large")


@pytest.mark.usefixtures("counts")
@pytest.mark.parametrize("secret", [None, "  "])
def test_without_a_secret_no_event_is_taken(settings: Settings, secret: str | None) -> None:
    unset = None if secret is None else type(settings.stripe_webhook_secret)(secret)
    app = create_app(settings.model_copy(update={"stripe_webhook_secret": unset}))
    try:
        assert code_of(deliver(app.test_client(), payment_event())) == (503, "not_configured")
    finally:
        app.extensions["nexus.tenancy"].dispose()


@pytest.mark.usefixtures("counts")
def test_credentials_do_not_stand_in_for_a_signature(caller: Caller) -> None:
    assert code_of(caller.post(PATH, json=payment_event())) == (400, "invalid_signature")
