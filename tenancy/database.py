"""One database under one account: a small pool, sessions that carry a scope, and single-trip statements.

A scope is the set of `nexus.*` settings that row-level security reads. It is set locally to each transaction, never to
the connection, so a reused connection starts with none and sees no rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, SessionTransaction

from domain.errors import PlanQuotaExceeded, QuotaExceeded
from tenancy.connecting import IDLE_LIMIT, Connector, refuse_a_dead_connection
from tenancy.reach import Reach

Scope = Mapping[str, str]
NO_SCOPE: Scope = {}
RELAXED: Scope = {"synchronous_commit": "off"}
"""Not waiting for the disk, for marks that a crash of PostgreSQL may forget without harm."""

Row = dict[str, Any]
Notes = Callable[[str], bool]

NOTED = "nexus.noted"

QUOTA_EXCEEDED = "NXQ01"
PLAN_QUOTA_EXCEEDED = "NXQ02"
"""The SQLSTATEs that triggers raise for a row beyond a tenant's quota, and beyond its plan's."""

_TRIES = 5
"""How often a transaction is run that meets rows on the move. Each failure means that someone else's move was done."""


def tenant_scope(tenant_id: UUID) -> Scope:
    """Rows of one tenant."""
    return {"nexus.tenant_id": str(tenant_id)}


class Database:
    """A pool of at most `pool_size` connections to `dsn`. Opens none until it is asked.

    A statement may take `patience` seconds, at the end of which its outcome is unknown; None sets no bound. The server
    rolls a transaction back that nobody has spoken in for `idle_limit` seconds: a frozen process must not hold what it
    locked. `reach` remembers whether the database can be connected to. `pooled` says that a pooler lends a server's session
    for one transaction at a time: nothing is then prepared or set for longer than that. `pin` says to which address a connection goes.
    `notes` says of a statement whether it is to be known of a session that it ran: the session's `info` has `NOTED` then.
    """

    def __init__(
        self,
        dsn: str,
        *,
        pool_size: int,
        application_name: str,
        timeout: float = 10.0,
        patience: float | None = None,
        idle_limit: float = 20.0,
        reach: Reach | None = None,
        pin: Callable[[str], str] | None = None,
        pooled: bool = False,
        notes: Notes | None = None,
    ):
        self._idle_milliseconds = str(round(idle_limit * 1000))
        self._pooled = pooled
        self.reach = reach
        self._connector = connector = Connector(dsn, application_name, patience, self._idle_milliseconds, pin, pooled)
        self._engine = create_engine(
            "postgresql+psycopg://",
            creator=connector.pooled_one if reach is None else lambda: reach.through(connector.pooled_one),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=timeout,
            pool_use_lifo=True,
            pool_recycle=1800,
        )
        self._moved_at = time.monotonic()
        event.listen(self._engine, "checkout", refuse_a_dead_connection)
        event.listen(self._engine, "checkout", self._note_move)
        event.listen(self._engine, "checkin", self._note_move)
        if notes is not None:
            event.listen(self._engine, "before_cursor_execute", partial(_look, notes))
        if reach is not None:
            event.listen(self._engine, "close", lambda _connection, _record: reach.closed())

    @property
    def engine(self) -> Engine:
        """For Alembic and for counting in tests; everything else uses `session` and `fetch`."""
        return self._engine

    def idle_for(self) -> float:
        """Seconds since a connection of the pool was last taken or given back."""
        return time.monotonic() - self._moved_at

    @contextmanager
    def session(self, scope: Scope) -> Iterator[Session]:
        """One transaction: commits at the end of the block, rolls back when it raises. Inner code flushes only."""
        self._arrive()
        with Session(self._engine, expire_on_commit=False) as session:
            session.info["scope"] = {**scope, IDLE_LIMIT: self._idle_milliseconds} if self._pooled else scope
            try:
                with session.begin():
                    yield session
            except DBAPIError as error:
                if isinstance(error.orig, psycopg.Error):
                    _refuse_beyond_quota(error.orig)
                raise

    def fetch(self, sql: LiteralString, parameters: Mapping[str, Any], scope: Scope = NO_SCOPE) -> list[Row]:
        """Run one statement in its own transaction, in one round trip, and return its rows as dictionaries.

        With a scope, both statements travel in one pipeline between two syncs: PostgreSQL runs them as one implicit
        transaction, so the scope ends with it. The commit is done when this returns.
        """
        return self.fetch_many([(sql, parameters)], scope)[0]

    def fetch_many(
        self, statements: Sequence[tuple[LiteralString, Mapping[str, Any]]], scope: Scope = NO_SCOPE
    ) -> list[list[Row]]:
        """Run several statements as one transaction in one round trip; returns the rows of each.

        A row that someone else just moved to another part of its table cannot be followed there: PostgreSQL ends the
        transaction with `SerializationFailure`. It has changed nothing, so it is run again, with the row in its new place. So
        is one that lost a deadlock.
        """
        for _ in range(_TRIES - 1):
            # On another connection each time, since `_once` drops one that failed: psycopg may take a statement for prepared
            # whose preparation the failed pipeline skipped.
            try:
                return self._once(statements, scope)
            except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected):
                continue
        return self._once(statements, scope)

    def connect(self) -> psycopg.Connection[Any]:
        """A connection of one's own, in autocommit, outside the pool: advisory locks and `CREATE DATABASE`."""
        return self._connector.own()

    @contextmanager
    def snapshot(self, scope: Scope) -> Iterator[psycopg.Connection[Any]]:
        """A connection of one's own that reads everything as it is at one moment, and writes nothing."""
        with self.connect() as connection:
            connection.prepare_threshold = None  # a pooler may lend the server's session to others afterwards
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            connection.execute(*_set_scope(scope))
            yield connection
            connection.rollback()

    def dispose(self, *, close: bool = True) -> None:
        """Drop the pool; with `close=False`, as after a fork, leave the parent's sockets alone."""
        self._engine.dispose(close=close)

    def _note_move(self, *_: Any) -> None:
        self._moved_at = time.monotonic()

    def _arrive(self) -> None:
        """Be told at once, and wait for no connection of the pool, where the database is known not to answer."""
        if self.reach is not None:
            self.reach.arrive(lambda: self._engine.raw_connection().close())

    def _once(self, statements: Sequence[tuple[LiteralString, Mapping[str, Any]]], scope: Scope) -> list[list[Row]]:
        self._arrive()
        pooled = self._engine.raw_connection()
        try:
            connection: psycopg.Connection[Any] = pooled.driver_connection  # type: ignore[assignment]  # it is psycopg
            connection.autocommit = True
            try:
                return _run(connection, statements, scope)
            finally:
                if not connection.closed:
                    connection.autocommit = False
        except psycopg.OperationalError:
            pooled.invalidate()
            raise
        except psycopg.DatabaseError as error:
            _refuse_beyond_quota(error)
            raise
        finally:
            pooled.close()


def _refuse_beyond_quota(error: psycopg.Error) -> None:
    if error.sqlstate == QUOTA_EXCEEDED:
        raise QuotaExceeded(error.diag.message_detail or "") from None
    if error.sqlstate == PLAN_QUOTA_EXCEEDED:
        raise PlanQuotaExceeded(error.diag.message_detail or "") from None


def _run(
    connection: psycopg.Connection[Any], statements: Sequence[tuple[LiteralString, Mapping[str, Any]]], scope: Scope
) -> list[list[Row]]:
    if len(statements) == 1 and not scope:
        cursors = [connection.cursor(row_factory=dict_row).execute(*statements[0])]
    else:
        with connection.pipeline():
            if scope:
                connection.execute(*_set_scope(scope))
            cursors = [
                connection.cursor(row_factory=dict_row).execute(sql, parameters) for sql, parameters in statements
            ]
    return [cursor.fetchall() if cursor.description else [] for cursor in cursors]


@event.listens_for(Session, "after_begin")
def _apply_scope(session: Session, _transaction: SessionTransaction, connection: Connection) -> None:
    scope: Scope = session.info.get("scope", NO_SCOPE)
    connection.info[_SESSION] = session.info
    if scope:
        sql, parameters = _set_scope(scope)
        connection.exec_driver_sql(sql, parameters)


def _look(notes: Notes, connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
    if notes(statement):
        connection.info.get(_SESSION, {})[NOTED] = True


_SESSION = "nexus.session"


def _set_scope(scope: Scope) -> tuple[LiteralString, dict[str, str]]:
    calls: list[LiteralString] = []
    parameters: dict[str, str] = {}
    for index, (name, value) in enumerate(scope.items()):
        position: LiteralString = _POSITIONS[index]
        calls.append("set_config(%(n" + position + ")s, %(v" + position + ")s, true)")
        parameters[f"n{index}"], parameters[f"v{index}"] = name, value
    return "SELECT " + ", ".join(calls), parameters


_POSITIONS: tuple[LiteralString, ...] = ("0", "1", "2", "3", "4", "5")
