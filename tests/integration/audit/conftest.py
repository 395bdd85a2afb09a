"""Chains with entries in them, and an account that can do what no application may."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
import pytest

from config.settings import Settings
from tenancy.access import Tenancy
from tenancy.audit import record
from tenancy.audit.sealing import seal_waiting
from tenancy.database import Database
from tenancy.scopes import tenant_scope

TABLES = ("audit_entries", "audit_seals", "audit_unsealed", "audit_anchors")


@pytest.fixture
def note(web_tenancy: Tenancy) -> Callable[[UUID, int], None]:
    """Notes that many changes in a tenant, each in a transaction of its own."""

    def make(tenant_id: UUID, count: int) -> None:
        for number in range(count):
            with web_tenancy.platform.session(tenant_scope(tenant_id)) as session:
                record(session, "thing.update", f"thing:{number}", before={"n": number}, after={"n": number + 1})

    return make


@pytest.fixture
def seal_all(engine_tenancy: Tenancy) -> Callable[[], None]:
    """Seals whatever waits, as the leader does."""

    def make() -> None:
        while seal_waiting(engine_tenancy.platform):
            pass

    return make


@pytest.fixture
def as_owner(settings: Settings) -> Iterator[Callable[..., Any]]:
    """Runs statements as the owner of the tables, who lifts row-level security for each: the worst that can happen."""
    owner = Database(settings.owner_dsn, pool_size=1, application_name="test")

    @contextmanager
    def lifted(connection: psycopg.Connection[Any]) -> Iterator[None]:
        for table in TABLES:
            connection.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")  # type: ignore[arg-type]
        yield
        for table in TABLES:
            connection.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")  # type: ignore[arg-type]

    def run(*statements: tuple[Any, dict[str, Any]]) -> None:
        with owner.connect() as connection, connection.transaction(), lifted(connection):
            for sql, parameters in statements:
                connection.execute(sql, parameters)

    yield run
    owner.dispose()
