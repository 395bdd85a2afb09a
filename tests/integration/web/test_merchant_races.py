"""A subscription and a billing run at once: whatever their order, the tick finds the tenant when the period ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql

from config.settings import Settings
from jobs.context import JobContext
from tasks.billing import refresh_due
from tenancy.access import Tenancy
from tenancy.servers import pool_database, with_database
from tests.integration.web.callers import Caller
from tests.integration.web.test_merchant import CUSTOMER, CUSTOMERS, PLAN, PLANS, SUBSCRIPTIONS, created, due_at

GATE = 20_261_121

_CLOSE: LiteralString = """
CREATE FUNCTION wait_at_the_gate() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_advisory_xact_lock_shared({gate}); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER at_the_gate AFTER INSERT ON subscriptions DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.tenant_id = {tenant_id}) EXECUTE FUNCTION wait_at_the_gate()
"""
_OPEN: LiteralString = "DROP TRIGGER at_the_gate ON subscriptions; DROP FUNCTION wait_at_the_gate()"


class Gate:
    """Holds the commit of a new subscription in the tenant's database."""

    def __init__(self, connection: psycopg.Connection[Any]):
        self._connection = connection
        connection.execute("SELECT pg_advisory_lock(%s)", (GATE,))

    def until_someone_waits(self) -> None:
        """Wait for a transaction that is about to commit."""
        query: LiteralString = "SELECT 1 FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))"
        deadline = time.monotonic() + 20
        while self._connection.execute(query).fetchone() is None:
            assert time.monotonic() < deadline, "nobody came to the gate"
            time.sleep(0.01)

    def open(self) -> None:
        """Let the commit happen."""
        self._connection.execute("SELECT pg_advisory_unlock(%s)", (GATE,))


@pytest.fixture
def gate(settings: Settings, caller: Caller) -> Iterator[Gate]:
    """A gate before the commit of the caller's subscriptions."""
    dsn = with_database(settings, pool_database(settings))
    with _gated(dsn, caller) as connection:
        yield Gate(connection)


@contextmanager
def _gated(dsn: str, caller: Caller) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL(_CLOSE).format(gate=sql.Literal(GATE), tenant_id=sql.Literal(caller.tenant_id)))
        try:
            yield connection
        finally:
            connection.execute("SELECT pg_advisory_unlock_all()")
            connection.execute(_OPEN)


def test_a_billing_run_just_before_the_commit_does_not_lose_the_subscription(
    caller: Caller, engine_tenancy: Tenancy, gate: Gate, make_context: Callable[..., tuple[JobContext, Any]]
) -> None:
    """The run has not seen the subscription and puts the hint back; who creates it lowers the hint again."""
    plan_id = created(caller, PLANS, PLAN)["id"]
    customer_id = created(caller, CUSTOMERS, CUSTOMER)["id"]
    context, _ = make_context("billing.cycle", caller.tenant_id, {"until": datetime.now(UTC).isoformat()})
    with ThreadPoolExecutor(1) as threads:
        try:
            creating = threads.submit(created, caller, SUBSCRIPTIONS, {"customer_id": customer_id, "plan_id": plan_id})
            gate.until_someone_waits()
            before = due_at(engine_tenancy, caller)
            assert refresh_due(context) is None
            assert due_at(engine_tenancy, caller) is None
        finally:
            gate.open()
        subscription = creating.result(20)
    due = due_at(engine_tenancy, caller)
    assert due is not None
    assert before == due, "lowered before the commit already, for a crash that follows it"
    assert subscription["next_cycle_at"] == due.astimezone(UTC).isoformat().replace("+00:00", "Z")
