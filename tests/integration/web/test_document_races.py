"""Writes of the same documents at once: each has its turn, and a new name is taken by one of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from tenancy.access import Tenancy
from tests.integration.web.callers import Caller

DOCUMENTS = "/api/v1/search/documents"
BODY = {"title": "Travel", "body": "What is paid."}

_BLOCKED = text("SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))")
_LOOK_AGAIN = text("SELECT pg_stat_clear_snapshot()")  # a transaction sees others as they were when it first looked
_LOCK = text("SELECT FROM documents WHERE external_id = :name FOR UPDATE NOWAIT")


@pytest.fixture
def beside(caller: Caller) -> Iterator[Callable[..., Future[Any]]]:
    """Sends a request of its own client while the test goes on."""
    with ThreadPoolExecutor(4) as pool:

        def send(method: str, path: str, **options: Any) -> Future[Any]:
            other = replace(caller, client=caller.client.application.test_client())
            return pool.submit(getattr(other, method), path, **options)

        yield send


def until_blocked(session: Session, count: int) -> None:
    """Wait until so many transactions wait for this one."""
    deadline = time.monotonic() + 30
    while (session.scalar(_BLOCKED) or 0) < count:
        session.execute(_LOOK_AGAIN)
        assert time.monotonic() < deadline, "nobody waits"
        time.sleep(0.01)


def test_writers_of_the_same_documents_wait_for_each_other_one_way(
    caller: Caller, web_tenancy: Tenancy, beside: Callable[..., Future[Any]]
) -> None:
    items = [{"external_id": name, **BODY} for name in ("b", "a")]
    assert caller.post(f"{DOCUMENTS}/bulk", json={"items": items}).status_code == 200

    with web_tenancy.session(caller.tenant_id) as session:
        session.execute(_LOCK, {"name": "a"})
        writing = beside("post", f"{DOCUMENTS}/bulk", json={"items": items})
        until_blocked(session, 1)
        session.execute(_LOCK, {"name": "b"})  # who waits for the first holds none of those that follow

    assert writing.result(60).json["replaced"] == 2


def test_a_name_that_must_be_new_is_taken_by_one_of_two_at_once(
    caller: Caller, web_tenancy: Tenancy, beside: Callable[..., Future[Any]]
) -> None:
    """Both have looked before either has written: an uncommitted document of that name holds them at their insert."""
    with web_tenancy.session(caller.tenant_id) as session:
        insert = (
            "INSERT INTO documents (tenant_id, id, external_id, title, body) VALUES (:tenant, uuidv7(), 'a', '', '')"
        )
        session.execute(text(insert), {"tenant": caller.tenant_id})
        new = {"If-None-Match": "*"}
        both = [beside("put", f"{DOCUMENTS}/a", json={**BODY, "title": name}, headers=new) for name in ("1", "2")]
        until_blocked(session, 2)
        session.rollback()

    answers = [one.result(60) for one in both]
    assert sorted(each.status_code for each in answers) == [201, 412]
    made = next(each for each in answers if each.status_code == 201)
    assert caller.get(f"{DOCUMENTS}/a").json == made.json
