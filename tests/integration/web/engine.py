"""Doing a worker's part by hand, and small ways to read answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

from werkzeug.test import TestResponse

import tasks
from domain.identity.principals import system
from domain.ids import new_id
from jobs.handlers import HANDLERS
from jobs.outcomes import record, succeeded
from tenancy.access import Tenancy
from tenancy.identity.api_keys import create
from tests.conftest import claim_context
from tests.integration.web.callers import Caller

tasks.load()


def all_of(caller: Caller, path: str, **query: str) -> list[dict[str, Any]]:
    """Every item of a list, page after page."""
    items: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = caller.get(path, query_string={**query, **cursor}).json
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        cursor = {"cursor": page["next_cursor"]}


def program(caller: Caller, tenancy: Tenancy, *scopes: str) -> Caller:
    """A program of the caller with an API key that has these scopes."""
    _, key = create(
        tenancy.platform, key_id=new_id(), tenant_id=caller.tenant_id, user_id=caller.user_id, name="test",
        scopes=scopes, expires_at=None,
    )  # fmt: skip
    return replace(caller, headers={"Authorization": f"Bearer {key}"})


def run(tenancy: Tenancy, tenant_id: UUID, job_id: UUID) -> Any:
    """Run one job as a worker would, and record that it succeeded; returns its result."""
    context, payload = claim_context(tenancy, job_id, system("test", tenant_id))
    result = HANDLERS[context.kind](context, payload)
    record(tenancy.platform, [succeeded(job_id, context.token, context.kind, result, tenancy.vault(tenant_id))])
    return result


def run_queued(tenancy: Tenancy, tenant_id: UUID, *kinds: str) -> int:
    """Run the tenant's queued jobs of these kinds; returns their number."""
    rows = tenancy.platform.fetch(
        "SELECT id FROM jobs WHERE tenant_id = %(tenant)s AND kind = ANY(%(kinds)s) AND state = 'queued' ORDER BY id",
        {"tenant": tenant_id, "kinds": list(kinds)},
    )
    for row in rows:
        run(tenancy, tenant_id, row["id"])
    return len(rows)


@contextmanager
def worker(tenancy: Tenancy, tenant_id: UUID, *kinds: str) -> Iterator[None]:
    """A worker in a thread that runs the tenant's jobs of these kinds for the length of the block."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.005):
            run_queued(tenancy, tenant_id, *kinds)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def code_of(response: TestResponse) -> tuple[int, str]:
    """Status and code of a problem."""
    assert response.mimetype == "application/problem+json", response.get_data(as_text=True)[:500]
    body = response.json
    assert body is not None
    return response.status_code, body["code"]


def pointers_of(response: TestResponse) -> list[str]:
    """Where the faults of a problem are."""
    body = response.json
    assert body is not None
    return [error["pointer"] for error in body["errors"]]
