"""Where requests are greenlets, a statement waits for its server, and for nothing that is there already."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import psycopg
import pytest
from psycopg import waiting

from domain.ids import new_id
from tenancy import connecting
from tenancy.access import Tenancy
from tenancy.scopes import tenant_scope


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What connections wait for, as if requests were greenlets: each time what psycopg's own wait is asked to wait for."""
    seen: list[int] = []
    real: Callable[..., Any] = waiting.wait

    def watched(gen: Generator[int, int, Any]) -> Generator[int, int, Any]:
        try:
            wish = next(gen)
            while True:
                seen.append(wish)
                wish = gen.send((yield wish))
        except StopIteration as done:
            return done.value

    monkeypatch.setattr(waiting, "wait", lambda gen, *given, **named: real(watched(gen), *given, **named))
    monkeypatch.setattr(connecting, "is_patched", lambda: True)
    return seen


def test_a_statement_with_its_scope_waits_for_the_server_alone(engine_tenancy: Tenancy, waits: list[int]) -> None:
    scope = tenant_scope(new_id())
    engine_tenancy.platform.fetch("SELECT 1", {}, scope)
    waits.clear()
    rows = engine_tenancy.platform.fetch("SELECT 1 AS one FROM pg_sleep(0.2)", {}, scope)
    assert rows == [{"one": 1}]
    assert set(waits) == {waiting.WAIT_R}
    assert len(waits) <= 3


def test_a_statement_larger_than_what_the_socket_takes_at_once_arrives_whole(
    engine_tenancy: Tenancy, waits: list[int]
) -> None:
    large = "x" * 20_000_000
    rows = engine_tenancy.platform.fetch(
        "SELECT length(%(large)s) AS size, %(large)s AS back", {"large": large}, tenant_scope(new_id())
    )
    assert rows[0]["size"] == len(large)
    assert rows[0]["back"] == large
    assert waiting.WAIT_RW in waits


def test_a_server_that_stays_silent_is_waited_for_no_longer_than_patience(
    engine_tenancy: Tenancy, waits: list[int]
) -> None:
    with connecting.Connector(
        engine_tenancy.settings.engine_dsn, "test", 0.3, "20000", None, False
    ).pooled_one() as one:
        with pytest.raises(psycopg.OperationalError):
            one.execute("SELECT pg_sleep(30)")
        assert one.closed
    assert waits
