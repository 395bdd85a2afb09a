"""What the platform's own handlers publish, also when a worker was lost between the effect and the event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

import tasks
from bus import events
from domain.ids import new_id
from jobs.context import JobContext
from jobs.handlers import HANDLERS
from tenancy.access import Tenancy

tasks.load()
MakeContext = Callable[..., tuple[JobContext, Mapping[str, Any]]]

MESSAGE = {"to": "guest@example.com", "subject": "Hi", "text": "Hello"}
QUESTION = {"messages": [{"role": "user", "content": "Hello"}]}


def told(tenancy: Tenancy, tenant: UUID) -> list[tuple[str, Mapping[str, Any]]]:
    """Name and payload of the tenant's events, the oldest first."""
    found = events.page(tenancy, tenant, name=None, after=None, limit=200, newest_first=False)
    return [(event.type, event.data) for event in found]


@pytest.mark.parametrize(
    ("kind", "payload", "event", "fact"),
    [
        ("notification.deliver", MESSAGE, "notification.sent", ("notification", "to", "guest@example.com")),
        ("completion.create", QUESTION, "completion.created", ("completion", "provider", "sandbox")),
        ("search.query", {"q": "travel"}, "search.requested", ("search", "q", "travel")),
    ],
)
def test_an_effect_is_published_once_however_often_its_job_runs(
    make_context: MakeContext,
    engine_tenancy: Tenancy,
    pooled_tenant: UUID,
    kind: str,
    payload: dict[str, Any],
    event: str,
    fact: tuple[str, str, str],
) -> None:
    context, loaded = make_context(kind, pooled_tenant, payload)
    HANDLERS[kind](context, loaded)
    HANDLERS[kind](replace(context, attempt=2, token=new_id()), loaded)
    [(name, data)] = told(engine_tenancy, pooled_tenant)
    resource, field, value = fact
    assert (name, data[resource]["id"], data[resource][field]) == (event, str(context.job_id), value)


def test_a_message_that_was_sent_by_a_worker_lost_before_it_could_tell_is_told_by_the_next(
    make_context: MakeContext, engine_tenancy: Tenancy, pooled_tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, loaded = make_context("notification.deliver", pooled_tenant, MESSAGE)

    def killed(*_args: Any, **_options: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("tasks.notifications.delivery.announce", killed)
        with pytest.raises(KeyboardInterrupt):
            HANDLERS["notification.deliver"](context, loaded)
    assert told(engine_tenancy, pooled_tenant) == []
    HANDLERS["notification.deliver"](replace(context, attempt=2, token=new_id()), loaded)
    assert [name for name, _ in told(engine_tenancy, pooled_tenant)] == ["notification.sent"]


def test_a_tenant_that_is_ready_is_told_once(
    make_context: MakeContext, engine_tenancy: Tenancy, make_tenant_row: Callable[..., UUID], user: UUID
) -> None:
    tenant = make_tenant_row("pooled")
    context, loaded = make_context("tenant.provision", tenant, {"owner_id": str(user)})
    for attempt in (1, 2):
        HANDLERS["tenant.provision"](replace(context, attempt=attempt), loaded)
    assert told(engine_tenancy, tenant) == [("tenant.provisioned", {"tenant": {"id": str(tenant), "name": "Acme"}})]
