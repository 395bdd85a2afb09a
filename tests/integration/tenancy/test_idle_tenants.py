"""A process's memory is bounded by its set of pools, however many tenants it has touched."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest

from bench.idle_tenants import LIMIT, measured
from config.settings import Settings
from tenancy.access import Tenancy
from tenancy.engines import TenantEngines

TENANTS, ROUNDS = 250, 2
"""`python -m bench idle-tenants` does the same with 2,000."""


def test_a_pool_that_nobody_uses_is_closed_when_another_one_is_used(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = TenantEngines(limit=8, pool_size=2, application_name="test")
    try:
        for name in ("one", "two", "three"):
            with engines.use(and_option(settings.engine_dsn, len(name))) as database:
                assert database.fetch("SELECT 1 AS one", {}) == [{"one": 1}]
        assert len(engines) == 2, "two names of one length are one database"
        monkeypatch.setattr("tenancy.engines.IDLE_SECONDS", 0.0)
        with engines.use(settings.engine_dsn):
            assert len(engines) == 1
        with engines.use(settings.engine_dsn) as again:
            assert again.fetch("SELECT 1 AS one", {}) == [{"one": 1}]
    finally:
        engines.dispose()


def test_hundreds_of_tenants_touched_in_turn_leave_the_memory_of_a_process_flat(
    engine_tenancy: Tenancy, make_tenant: Callable[..., UUID]
) -> None:
    dsns = [engine_tenancy.record(make_tenant("dedicated")).dsn for _ in range(4)]
    first, *later = measured(dsns, TENANTS, ROUNDS)
    assert (first["touched"], later[-1]["touched"]) == (LIMIT, ROUNDS * TENANTS)
    assert {row["pools"] for row in (first, *later)} == {LIMIT}
    assert max(row["open_files"] for row in later) <= first["open_files"] + 4
    assert later[-1]["mib"] - first["mib"] < 16, "a pool that was kept would be more than 100 KiB"
    assert later[-1]["mib"] - later[1]["mib"] < 4, "touching them all again costs next to nothing"


def and_option(dsn: str, seconds: int) -> str:
    """The same database by another name."""
    return f"{dsn}{'&' if '?' in dsn else '?'}keepalives_idle={seconds}"
