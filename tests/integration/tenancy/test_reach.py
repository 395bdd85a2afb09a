"""Databases that do not answer: nobody waits for ever, and only one caller at a time waits at all."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from config.settings import Settings
from tenancy.database import Database
from tenancy.engines import MOST_WAITING, STANDSTILL_SECONDS, TenantEngines
from tenancy.reach import ASK_SECONDS, HANGING_SECONDS, Reach, Unreachable

PATIENT = 10
"""Seconds that an attempt to connect takes where it must not be over by the test's next line."""


@pytest.fixture
def silent() -> Iterator[str]:
    """The DSN of a server that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"postgresql://someone:secret@127.0.0.1:{server.getsockname()[1]}/somewhere?connect_timeout=2"


def ask(engines: TenantEngines, dsn: str) -> float:
    """Ask for a session in vain; returns the seconds it took."""
    started = time.monotonic()
    with pytest.raises(Unreachable), engines.use(dsn) as database, database.session({}) as session:
        session.execute(text("SELECT 1"))
    return time.monotonic() - started


def test_one_caller_waits_for_a_silent_server_and_the_others_are_told_at_once(silent: str) -> None:
    engines = TenantEngines(limit=2, pool_size=2, application_name="test")
    try:
        assert ask(engines, silent) > 1.5
        assert sum(ask(engines, silent) for _ in range(100)) < ASK_SECONDS
    finally:
        engines.dispose()


def test_while_a_first_connection_hangs_newcomers_wait_a_moment_and_then_not_at_all(silent: str) -> None:
    """However many they are: none of them holds a thread that another tenant needs."""
    engines = TenantEngines(limit=2, pool_size=2, application_name="test")
    silent = silent.replace("connect_timeout=2", f"connect_timeout={PATIENT}")
    try:
        with ThreadPoolExecutor(20) as threads:
            first = threads.submit(ask, engines, silent)
            until_it_knocks(engines, silent)
            early = [threads.submit(ask, engines, silent) for _ in range(10)]
            assert all(each.result() < PATIENT / 2 for each in early), (
                "they waited for as long as it may be a matter of moments"
            )
            assert not first.done(), "the first still waits, by itself"
            late = [ask(engines, silent) for _ in range(100)]
            assert sum(late) < ASK_SECONDS
            assert first.result() > HANGING_SECONDS
    finally:
        engines.dispose()


def test_of_many_who_come_at_once_one_connects_and_all_are_served(settings: Settings) -> None:
    engines = TenantEngines(limit=2, pool_size=2, application_name="test")

    def read(_: int) -> int:
        with engines.use(settings.engine_dsn) as database:
            return int(database.fetch("SELECT 1 AS one", {})[0]["one"])

    try:
        with ThreadPoolExecutor(40) as threads:
            assert set(threads.map(read, range(200))) == {1}
    finally:
        engines.dispose()


def test_a_refusing_port_is_told_at_once_and_asked_once_a_second() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    dsn = f"postgresql://someone:secret@127.0.0.1:{port}/somewhere"
    engines = TenantEngines(limit=2, pool_size=2, application_name="test")
    try:
        with ThreadPoolExecutor(20) as threads:
            assert max(threads.map(lambda _: ask(engines, dsn), range(200))) < HANGING_SECONDS
    finally:
        engines.dispose()


def test_half_open_one_knocks_and_the_rest_are_told() -> None:
    """After a failure, one caller in a second finds out whether it is back; with it, everybody comes in."""
    reach, calls, gate = Reach(), [], threading.Event()

    def fail() -> Any:
        raise psycopg.OperationalError("refused")

    def refuse() -> None:
        reach.through(fail)

    with pytest.raises(Unreachable):
        reach.arrive(refuse)
    with pytest.raises(Unreachable):
        reach.arrive(refuse)
    time.sleep(ASK_SECONDS * 1.1)

    def knock() -> None:
        calls.append(1)
        assert gate.wait(30)
        reach.through(lambda: cast("Any", object()))

    with ThreadPoolExecutor(10) as threads:
        prober = threads.submit(reach.arrive, knock)
        while not calls:
            time.sleep(0.01)
        for _ in range(20):
            with pytest.raises(Unreachable):
                reach.arrive(knock)
        gate.set()
        prober.result()
    reach.arrive(knock)
    assert calls == [1]
    reach.closed()
    assert reach.retry_after is None, "it was there a moment ago, so whoever comes next may connect"


def test_a_pool_that_stands_still_takes_no_more_who_wait(settings: Settings) -> None:
    """As when the server is frozen: a few wait for a connection, nobody else does."""
    engines = TenantEngines(limit=2, pool_size=1, application_name="test")
    stuck = threading.Event()

    def hold() -> None:
        with engines.use(settings.engine_dsn) as database, database.session({}) as session:
            session.execute(text("SELECT 1"))
            assert stuck.wait(60)

    def wait() -> str:
        with engines.use(settings.engine_dsn) as database:
            return str(database.fetch("SELECT 'served' AS it", {})[0]["it"])

    try:
        with ThreadPoolExecutor(MOST_WAITING + 1) as threads:
            holder = threads.submit(hold)
            while len(engines) == 0:
                time.sleep(0.01)
            time.sleep(0.2)
            waiting = [threads.submit(wait) for _ in range(MOST_WAITING)]
            time.sleep(STANDSTILL_SECONDS * 1.2)
            started = time.monotonic()
            with pytest.raises(PoolTimeout):
                wait()
            assert time.monotonic() - started < STANDSTILL_SECONDS
            stuck.set()
            holder.result()
            assert {each.result() for each in waiting} == {"served"}
    finally:
        engines.dispose()


def until_it_knocks(engines: TenantEngines, dsn: str) -> None:
    """Wait until somebody tries to connect."""
    with engines.use(dsn) as database:
        reach = database.reach
    assert reach is not None
    while not reach.is_knocked_at:
        time.sleep(0.005)


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
