"""Reading the tenant's own rows for a source: one transaction that ends with the search's deadline."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from domain.search.query import Unanswered
from jobs.context import JobContext

SNIPPET = 'StartSel=«, StopSel=», MaxWords=30, MinWords=10, MaxFragments=2, FragmentDelimiter=" … "'
"""How PostgreSQL shows what matched. Guillemets of the text itself are taken out first, so a mark is always a match."""

_QUERY_CANCELED = "57014"
_LIMIT_TIME = text("SELECT set_config('statement_timeout', :milliseconds, true)")


@contextmanager
def reading(context: JobContext, deadline: datetime) -> Iterator[Session]:
    """A transaction in the tenant's database. Raises `Unanswered` when the deadline passes, also in the middle of a statement."""
    with context.session() as session, _in_time():
        limit_time(session, deadline)
        yield session


def limit_time(session: Session, deadline: datetime) -> None:
    """Let no later statement of the transaction run beyond the deadline. Raises `Unanswered` if that has passed."""
    left = (deadline - datetime.now(UTC)).total_seconds()
    if left <= 0:
        raise Unanswered("timeout")
    session.execute(_LIMIT_TIME, {"milliseconds": str(max(1, int(left * 1000)))})


@contextmanager
def _in_time() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == _QUERY_CANCELED:
            raise Unanswered("timeout") from None
        raise
