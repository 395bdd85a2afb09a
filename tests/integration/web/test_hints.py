"""Whoever makes a job due wakes the leader, and whoever changes a job wakes those who wait for it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any
from uuid import UUID

import pytest

from config.settings import Settings
from domain.billing.signatures import sign_stripe
from domain.errors import Permanent
from domain.identity.principals import system
from domain.ids import new_id
from domain.jobs.families import AfterPolicy
from jobs import hints, waits
from jobs.bulk import Related, submit_related
from jobs.hints import Listener
from jobs.outcomes import failed, record
from jobs.reconcile import reclaim_expired
from jobs.submit import NewJob
from tenancy.access import Tenancy
from tests.integration.jobs.conftest import dispatch_and_claim, submit_pings
from tests.integration.web.callers import Caller

SECONDS = 10.0


class Heard:
    """What has come over one channel."""

    def __init__(self, settings: Settings, channel: str):
        self._messages: SimpleQueue[str] = SimpleQueue()
        Listener(settings, channel, self._messages.put)
        assert self._messages.get(timeout=SECONDS) == ""  # it listens from here on

    def anything(self) -> bool:
        """Whether a message comes in time."""
        try:
            self._messages.get(timeout=SECONDS)
        except Empty:
            return False
        return True

    def ids(self, *wanted: Any) -> bool:
        """Whether all these jobs are named in time."""
        missing, until = {str(each) for each in wanted}, time.monotonic() + SECONDS
        while missing:
            try:
                missing -= set(self._messages.get(timeout=max(0.0, until - time.monotonic())).split(","))
            except Empty:
                return False
        return True


@pytest.fixture
def channel(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Gives a hint a channel of this test's own, since the run's other tests share the Valkey."""

    def own(name: str) -> str:
        made = f"nexus:test:{new_id()}"
        monkeypatch.setattr(hints, name, made)
        return made

    return own


@pytest.fixture
def due(settings: Settings, channel: Callable[[str], str]) -> Heard:
    """Hints that something is due."""
    return Heard(settings, channel("DUE"))


@pytest.fixture
def changed(settings: Settings, channel: Callable[[str], str]) -> Heard:
    """Hints that jobs have changed."""
    return Heard(settings, channel("CHANGED"))


def submit_a_job(caller: Caller) -> Any:
    return caller.post("/api/v1/jobs", json={"kind": "system.ping"})


def submit_a_bulk(caller: Caller) -> Any:
    return caller.post("/api/v1/jobs/bulk", json={"items": [{"kind": "system.ping"}]})


def make_a_tenant(caller: Caller) -> Any:
    headers = {**caller.headers}
    del headers["X-Project-ID"]
    return caller.client.post("/api/v1/tenants", json={"name": "Acme"}, headers=headers)


def send_a_stripe_event(caller: Caller) -> Any:
    raw = json.dumps({"id": f"evt_{new_id().hex}", "type": "payment_intent.succeeded"}).encode()
    signature = sign_stripe(raw, "whsec_test", int(time.time()))
    headers = {"Stripe-Signature": signature, "Content-Type": "application/json"}
    return caller.client.post("/api/v1/webhooks/stripe", data=raw, headers=headers)


def try_a_webhook_endpoint(caller: Caller) -> Any:
    endpoint = caller.post("/api/v1/webhook-endpoints", json={"url": "https://example.com/hook", "event_types": ["*"]})
    return caller.post(f"/api/v1/webhook-endpoints/{endpoint.json['id']}/test")


@pytest.mark.parametrize(
    "act", [submit_a_job, submit_a_bulk, make_a_tenant, send_a_stripe_event, try_a_webhook_endpoint]
)
def test_what_makes_a_job_due_wakes_the_leader(caller: Caller, due: Heard, act: Callable[[Caller], Any]) -> None:
    answer = act(caller)
    assert answer.status_code in {200, 202}, answer.text
    assert due.anything()


def test_a_cancel_wakes_who_waits_for_the_job_or_its_children(caller: Caller, changed: Heard) -> None:
    parent = submit_a_job(caller).json["id"]
    child = caller.post("/api/v1/jobs", json={"kind": "system.ping", "parent_id": parent}).json["id"]
    assert caller.post(f"/api/v1/jobs/{parent}/cancel").status_code == 200
    assert changed.ids(parent, child)


def test_a_lost_lease_wakes_who_waits_for_the_job(engine_tenancy: Tenancy, pooled_tenant: UUID, changed: Heard) -> None:
    (job_id,) = submit_pings(engine_tenancy, pooled_tenant, 1)
    dispatch_and_claim(engine_tenancy, job_id, lease=-1)
    assert reclaim_expired(engine_tenancy, lambda: 0.0) >= 1
    assert changed.ids(job_id)


@pytest.mark.parametrize("policy", list(AfterPolicy))
def test_the_end_of_a_wait_wakes_who_waits_for_the_job(
    engine_tenancy: Tenancy, pooled_tenant: UUID, changed: Heard, policy: AfterPolicy
) -> None:
    (first,) = submit_pings(engine_tenancy, pooled_tenant, 1)
    new = NewJob(kind="system.ping", payload={}, principal=system("test", pooled_tenant))
    waiting = submit_related(engine_tenancy, Related(new, (first,), policy)).id
    row, token = dispatch_and_claim(engine_tenancy, first)
    outcome = failed(first, token, row["kind"], Permanent("no"), 1, engine_tenancy.vault(pooled_tenant), 0.0)
    record(engine_tenancy.platform, [outcome])
    assert waits.Waits(engine_tenancy).look() >= 1
    assert changed.ids(waiting)
