"""Connections that wait for nothing longer than they may, whatever becomes of the server or of the network before it."""

from __future__ import annotations

import select
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from sqlalchemy.exc import DisconnectionError

from tenancy.greenlets import is_patched, looked, system_poll

IDLE_LIMIT = "idle_in_transaction_session_timeout"


class PatientConnection(psycopg.Connection[Any]):
    """A connection on which nothing is waited for longer than `patience` seconds (None: for ever).

    A server that is frozen, or behind a network that swallows everything, ends no connection by itself.
    """

    patience: float | None = None

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """As psycopg's, which every statement goes through. Closes the connection whose answer did not come in time."""
        try:
            seen = looked(gen, self.pgconn.socket) if is_patched() else gen
            return super().wait(seen, interval, timeout or self.patience)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.close()  # a late answer would be taken for that of the next statement
            raise


@dataclass(frozen=True, slots=True)
class Connector:
    """How connections to `dsn` are made. The other fields as for `tenancy.database.Database`."""

    dsn: str
    application_name: str
    patience: float | None
    idle_milliseconds: str
    pin: Callable[[str], str] | None
    pooled: bool

    def pooled_one(self) -> psycopg.Connection[Any]:
        """A connection for the pool."""
        connection = PatientConnection.connect(
            self.dsn, autocommit=True, application_name=self.application_name, **self._bounds()
        )
        connection.patience = self.patience
        try:
            if self.pooled:
                connection.prepare_threshold = None
            else:
                connection.execute("SELECT set_config(%s, %s, false)", (IDLE_LIMIT, self.idle_milliseconds))
            connection.autocommit = False
        except BaseException:
            connection.close()
            raise
        return connection

    def own(self) -> psycopg.Connection[Any]:
        """A connection of one's own, in autocommit, outside the pool."""
        return psycopg.connect(self.dsn, autocommit=True, **self._bounds())

    def _bounds(self) -> dict[str, Any]:
        """libpq's bounds on a peer that has vanished, as far as the DSN does not set its own; and where the pin points."""
        given = conninfo_to_dict(self.dsn)
        pinned = {} if self.pin is None else {"hostaddr": self.pin(self.dsn)}
        return {**{name: value for name, value in _BOUNDS.items() if name not in given}, **pinned}


_BOUNDS: Mapping[str, Any] = {
    "connect_timeout": 5,  # seconds
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # milliseconds
}


def refuse_a_dead_connection(connection: Any, _record: Any, _proxy: Any) -> None:
    """An idle connection with something to read was closed by its server: replace it, at the cost of no round trip."""
    poll = system_poll()
    poll.register(connection.fileno(), select.POLLIN | select.POLLHUP)
    if poll.poll(0):
        raise DisconnectionError("the server closed an idle connection")
