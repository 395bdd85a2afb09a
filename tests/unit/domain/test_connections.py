"""The connection budget: what a node may open at most, and what would fit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import Settings, load
from domain.connections import fitting, needed, programs


def sizes(**changes: int) -> Settings:
    values = {"NEXUS_TENANT_ENGINE_LIMIT": 32, "NEXUS_TENANT_POOL_SIZE": 2, "NEXUS_PLATFORM_POOL_SIZE": 8, **changes}
    return load(_env_file=None, **values)


def test_the_default_node_fits_the_embedded_server() -> None:
    # web 8+32×2, dispatcher 8+1, worker-io 8+32×2, worker-cpu 2×(8+32), its parent 8, owners 4
    assert needed(sizes()) == 72 + 9 + 72 + 80 + 8 + 4
    assert needed(sizes()) <= 300 - 3


@pytest.mark.parametrize(
    ("variable", "program"),
    [("NEXUS_WEB_WORKERS", "web"), ("NEXUS_WORKER_CPU_CONCURRENCY", "worker-cpu")],
)
def test_each_process_counts(variable: str, program: str) -> None:
    assert {each.name: each.processes for each in programs(sizes(**{variable: 5}))}[program] == 5


def test_a_worker_with_one_thread_needs_one_connection_to_a_database() -> None:
    one = {each.name: each.per_database for each in programs(sizes(NEXUS_WORKER_IO_CONCURRENCY=1))}

    assert (one["worker-io"], one["worker-cpu"], one["web"]) == (1, 1, 2)


@given(
    st.fixed_dictionaries(
        {"NEXUS_WEB_WORKERS": st.integers(1, 64), "NEXUS_WORKER_CPU_CONCURRENCY": st.integers(1, 256),
         "NEXUS_TENANT_POOL_SIZE": st.integers(1, 100), "NEXUS_PLATFORM_POOL_SIZE": st.integers(1, 200)}
    ),
    st.integers(1, 10_000),
)  # fmt: skip
def test_what_is_said_to_fit_fits_and_one_more_does_not(given: dict[str, Any], limit: int) -> None:
    fits = fitting(sizes(**given), limit)
    if fits:
        assert needed(sizes(**given, NEXUS_TENANT_ENGINE_LIMIT=min(fits, 10_000))) <= limit
    if fits < 10_000:
        assert needed(sizes(**given, NEXUS_TENANT_ENGINE_LIMIT=fits + 1)) > limit
