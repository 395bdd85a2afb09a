"""Counting round trips to PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tenancy.database import Database


@dataclass
class Trips:
    """Round trips seen so far."""

    count: int = 0
    statements: list[str] = field(default_factory=list)


@pytest.fixture
def count_trips(monkeypatch: pytest.MonkeyPatch) -> Callable[[Database], AbstractContextManager[Trips]]:
    """Counts calls of `Database.fetch_many`, each of which is one round trip, and sessions, while they really happen."""

    @contextmanager
    def counting(database: Database) -> Iterator[Trips]:
        trips = Trips()
        fetch_many, session = database.fetch_many, database.session

        def counted(statements: Sequence[tuple[Any, Mapping[str, Any]]], scope: Any = None) -> Any:
            trips.count += 1
            trips.statements.extend(sql for sql, _ in statements)
            return fetch_many(statements, scope or {})

        def counted_session(scope: Any) -> Any:
            trips.count += 1
            return session(scope)

        with monkeypatch.context() as patch:
            patch.setattr(database, "fetch_many", counted)
            patch.setattr(database, "session", counted_session)
            yield trips

    return counting
