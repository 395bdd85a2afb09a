"""Reading the tenant's own rows for a source: one transaction that ends with the search's deadline."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from domain.search.asking import Ask, OutOfTime
from jobs.context import JobContext

_QUERY_CANCELED = "57014"
_LIMIT_TIME = text("SELECT set_config('statement_timeout', :milliseconds, true)")


@contextmanager
def reading(context: JobContext, ask: Ask) -> Iterator[Session]:
    """A transaction in the tenant's database. Raises `OutOfTime` when the deadline has passed, also in the middle of a statement."""
    with context.session() as session, _in_time():
        limit_time(session, ask)
        yield session


def limit_time(session: Session, ask: Ask) -> None:
    """Let no further statement of the transaction run beyond the deadline. Raises `OutOfTime` if that has passed."""
    session.execute(_LIMIT_TIME, {"milliseconds": str(max(1, int(ask.seconds_left() * 1000)))})


@contextmanager
def _in_time() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == _QUERY_CANCELED:
            raise OutOfTime from None
        raise
