"""A process's memory is bounded by its set of pools, however many tenants it has touched."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from bench.idle_tenants import LIMIT, measured
from tenancy.access import Tenancy

TENANTS, ROUNDS = 250, 2
"""`python -m bench idle-tenants` does the same with 2,000."""


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
