"""Databases that do not answer: nobody waits for ever, and only one caller at a time waits at all."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError

from config.settings import Settings
from tenancy.database import Database
from tenancy.engines import TenantEngines
from tenancy.reach import ASK_SECONDS, Unreachable


@pytest.fixture
def silent() -> Iterator[str]:
    """The DSN of a server that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"postgresql://someone:secret@127.0.0.1:{server.getsockname()[1]}/somewhere?connect_timeout=2"


def ask(engines: TenantEngines, dsn: str) -> float:
    """Ask for a session in vain; returns the seconds it took."""
    started = time.monotonic()
    with pytest.raises(OperationalError) as failure, engines.use(dsn) as database, database.session({}) as session:
        session.execute(text("SELECT 1"))
    assert isinstance(failure.value.orig, Unreachable)
    return time.monotonic() - started


def test_one_caller_waits_for_a_silent_server_and_the_others_are_told_at_once(silent: str) -> None:
    engines = TenantEngines(limit=2, pool_size=2, application_name="test")
    try:
        assert ask(engines, silent) > 1.5
        assert sum(ask(engines, silent) for _ in range(100)) < ASK_SECONDS
    finally:
        engines.dispose()


def test_a_server_that_is_back_is_asked_again_soon() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    dsn = f"postgresql://someone:secret@127.0.0.1:{port}/somewhere?connect_timeout=2"
    engines = TenantEngines(limit=2, pool_size=2, application_name="test")
    try:
        ask(engines, dsn)
        with socket.create_server(("127.0.0.1", port)) as server:
            server.setblocking(False)
            deadline = time.monotonic() + 3 * ASK_SECONDS
            while not accepted(server):
                assert time.monotonic() < deadline
                ask(engines, dsn)
    finally:
        engines.dispose()


def accepted(server: socket.socket) -> bool:
    """Whether somebody has connected."""
    try:
        server.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def test_a_statement_that_takes_too_long_ends_as_a_database_that_is_away(settings: Settings) -> None:
    database = Database(settings.engine_dsn, pool_size=1, application_name="test", patience=0.5)
    try:
        for _ in range(2):
            started = time.monotonic()
            with pytest.raises(psycopg.OperationalError):
                database.fetch("SELECT pg_sleep(30)", {})
            with pytest.raises(psycopg.OperationalError):
                database.fetch("SELECT pg_sleep(30)", {}, {"nexus.operator": "off"})
            with pytest.raises(OperationalError), database.session({}) as session:
                session.execute(text("SELECT pg_sleep(30)"))
            assert time.monotonic() - started < 10
            assert database.fetch("SELECT 1 AS one", {}) == [{"one": 1}]
    finally:
        database.dispose()


def test_what_a_silent_transaction_holds_is_free_after_a_while(settings: Settings) -> None:
    """As when its process is frozen: the job runs again elsewhere, and must not wait for the first run's locks."""
    frozen = Database(settings.engine_dsn, pool_size=1, application_name="test", idle_limit=1.0)
    other = Database(settings.engine_dsn, pool_size=1, application_name="test", patience=10)
    beat = text("INSERT INTO leaders (role, holder, epoch, heartbeat_at) VALUES ('test', 'test', 1, now())")

    def hold_up() -> None:
        with frozen.session({}) as session:
            session.execute(beat)
            other.fetch(
                "INSERT INTO leaders (role, holder, epoch, heartbeat_at) VALUES ('test', 'other', 1, now())"
                " ON CONFLICT (role) DO NOTHING", {},
            )  # fmt: skip
            session.execute(text("SELECT 1"))

    try:
        with pytest.raises(DBAPIError, match="idle-in-transaction"):
            hold_up()
        rows = other.fetch("DELETE FROM leaders WHERE role = 'test' RETURNING holder", {})
        assert rows == [{"holder": "other"}]
    finally:
        frozen.dispose()
        other.dispose()
